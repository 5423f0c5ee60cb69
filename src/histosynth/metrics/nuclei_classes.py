"""Nuclei translated between the classes that were requested and those that a detector detects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..core.matching import match_points
from ..core.nuclei import ANY_CLASS, Nuclei

UNCLASSIFIED = ("nucleus",)
"""The single class of all nuclei where the detector does not detect the requested classes."""


def first_detector(
    detector_classes: Mapping[str, Sequence[str]],
    classes: Sequence[str],
) -> str:
    """Name of the first detector that detects all requested classes, else of the first detector.

    Args:
        detector_classes: classes of each detector, by its name.
        classes: the requested ones; `UNCLASSIFIED`: any detector will do.
    """
    names = list(detector_classes)
    if tuple(classes) == UNCLASSIFIED:
        return names[0]
    for name in names:
        if set(classes) <= set(detector_classes[name]):
            return name
    return names[0]


def layout_classes(
    classes: Sequence[str],
    detector_classes: Mapping[str, Sequence[str]],
) -> tuple[str, ...]:
    """The classes in which layouts are measured.

    The requested classes if a detector detects them, else one class for all nuclei. Without
    requested classes those of the first detector.
    """
    detected = detector_classes[first_detector(detector_classes, classes)]
    if not classes:
        return tuple(detected)
    if set(classes) <= set(detected):
        return tuple(classes)
    return UNCLASSIFIED


def with_classes(nuclei: Nuclei, classes: Sequence[str]) -> Nuclei:
    """The same nuclei in other classes: matched by name, `ANY` where no name matches."""
    if tuple(classes) == UNCLASSIFIED:
        class_ids = np.zeros(len(nuclei), np.uint8)
        return replace(
            nuclei,
            class_ids=class_ids,
            classes=UNCLASSIFIED,
        )
    index = {name: class_id for class_id, name in enumerate(classes)}
    class_ids = np.array([index.get(name, ANY_CLASS) for name in nuclei.names()], np.uint8)
    return replace(
        nuclei,
        class_ids=class_ids,
        classes=tuple(classes),
    )


def classed_by_request(
    detected: Nuclei,
    requested: Nuclei,
    *,
    reach_um: float,
) -> Nuclei:
    """Detected nuclei, each in the class of the requested nucleus within `reach_um`, else in none.

    Where nothing was detected there is no nucleus to measure: `structure` reports that it is
        missing
    or elsewhere, and `morphology` is limited to the nuclei that exist.
    """
    pairs, _ = match_points(
        requested.xy,
        detected.xy,
        reach_um / requested.mpp,
    )
    class_ids = np.full(len(detected), ANY_CLASS, np.uint8)
    class_ids[pairs[:, 1]] = requested.class_ids[pairs[:, 0]]
    return replace(
        detected,
        class_ids=class_ids,
        classes=requested.classes,
    )
