"""Morphology: outlines of nuclei, features of each, and how they differ from those of real
nuclei.
"""

from __future__ import annotations

from ..finding import Section
from ..metric import Metric, Settings, Sides, TileInput, Tool, Tools
from ..sample import Values


def _measure(tile: TileInput, tools: Tools) -> dict[str, Values]:
    from ...detectors.finding import find_nuclei
    from ..nuclei_classes import classed_by_request, first_detector, with_classes
    from ..structure.measure import STRICT_UM
    from .features import measure_morphology

    if not tools.detectors:
        return {}
    classes_of = {name: each.classes for name, each in tools.detectors.items()}
    detector = tools.detectors[first_detector(classes_of, tools.classes)]
    detected = find_nuclei(tile.pixels, tile.mpp, detector)
    # in the requested classes, whether a detector detects them or not
    if tile.nuclei is None:
        nuclei = with_classes(detected, tools.classes or detector.classes)
    else:
        nuclei = classed_by_request(
            detected,
            tile.nuclei,
            reach_um=STRICT_UM,
        )
    return dict(measure_morphology(tile.pixels, nuclei))


def _conclude(sides: Sides, settings: Settings) -> Section:
    from ..nuclei_classes import layout_classes
    from .conclude import conclude_morphology

    classes = settings.classes or layout_classes(settings.classes, settings.detector_classes)
    return conclude_morphology(
        sides.synthetic,
        sides.real,
        sides.reference,
        classes,
    )


def _verdict(section: Section) -> str:
    from .words import morphology_verdict

    return morphology_verdict(section)


MORPHOLOGY = Metric(
    "morphology",
    _measure,
    _conclude,
    tools=frozenset({Tool.DETECTORS}),
    verdict=_verdict,
)
