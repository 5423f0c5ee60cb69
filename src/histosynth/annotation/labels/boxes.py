"""Nuclei as boxes: their extent is not known, so that all have one nominal diameter."""

from __future__ import annotations

import numpy as np

from ...core.arrays import Float64Array
from ...core.nuclei import ANY, ANY_CLASS, Nuclei

NOMINAL_DIAMETER_UM = 8.0
"""Side of the boxes. Between the lymphocytes' 6 to 7 um and the 9 to 10 um of epithelium."""
LABEL_NOTICE = "Synthetic. For research use; not for diagnosis."


def boxes_of(nuclei: Nuclei) -> Float64Array:
    """(N, 4) left, top, right, bottom in px from the corner of the tile, cut at its border."""
    half = NOMINAL_DIAMETER_UM / nuclei.mpp / 2
    centres = nuclei.xy.astype(np.float64) + 0.5
    corners = np.concatenate([centres - half, centres + half], axis=1)
    width, height = nuclei.size
    return np.asarray(corners.clip(0, [width, height, width, height]))


def label_classes(nuclei: Nuclei, *, with_any: bool) -> list[str]:
    """Names by number, from 0: the classes in their order, and `any` as the last."""
    names = list(nuclei.classes)
    return [*names, ANY] if with_any else names


def class_numbers(nuclei: Nuclei) -> list[int]:
    """The number of each nucleus (N) in `label_classes`."""
    last = len(nuclei.classes)
    return [last if number == ANY_CLASS else int(number) for number in nuclei.class_ids]


def has_any(nuclei: Nuclei) -> bool:
    """Whether a nucleus has the class `any`."""
    return bool((nuclei.class_ids == ANY_CLASS).any())
