"""Stain methods by name, and what is done with any stain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...core.errors import BadOption
from ...core.tile import Pixels
from .macenko import MACENKO
from .reinhard import REINHARD
from .stain import Restain, Stain, StainMethod
from .unlit import is_unlit
from .vahadane import VAHADANE

STAIN_METHODS: Mapping[str, StainMethod] = {
    "macenko": MACENKO,
    "vahadane": VAHADANE,
    "reinhard": REINHARD,
}
"""Every method by its name. A new one is a file and a line."""


def fit_stain(
    method: str,
    pixels: Pixels,
    name: str,
) -> Stain:
    """Find a stain by the method of that name.

    Args:
        method: a key of `STAIN_METHODS`.
        pixels: (..., 3) uint8 of tissue.
        name: of the picture, for refusals.

    Raises:
        BadOption: there is no such method.
        StainNotFound: the stain cannot be found.
    """
    if method not in STAIN_METHODS:
        known = ", ".join(STAIN_METHODS)
        raise BadOption(
            "stain.method",
            method,
            f"one of none, {known}",
        )
    return STAIN_METHODS[method].fit(pixels, name)


def stain_from_dict(values: Mapping[str, Any]) -> Stain:
    """The way back from `Stain.as_dict`."""
    return STAIN_METHODS[values["method"]].from_dict(values)


def medoid(stains: Sequence[Stain]) -> Stain:
    """The stain with the smallest sum of distances to the others; the first of equal ones.

    Distances are Euclidean over `features`, each scaled by its spread over the set.
    """
    features = np.array([stain.features() for stain in stains])
    spread = np.maximum(features.std(axis=0), 1e-6)
    scaled = (features - features.mean(axis=0)) / spread
    differences = scaled[:, None] - scaled[None]
    distances = np.linalg.norm(differences, axis=2)
    sums = distances.sum(axis=1)
    nearest = int(sums.round(9).argmin())
    return stains[nearest]


def restain_between(source: Stain, target: Stain) -> Restain:
    """Turns tissue of one stain into the other's; black ground stays as it is.

    Raises:
        ValueError: the two are described by different numbers.
    """
    if type(source) is not type(target):
        raise ValueError(f"stains of {source.method} and {target.method} cannot be compared")
    restain = source.restain(target)

    def restain_lit(pixels: Pixels) -> Pixels:
        restained = restain(pixels)
        unlit = is_unlit(pixels)
        restained[unlit] = pixels[unlit]
        return restained

    return restain_lit
