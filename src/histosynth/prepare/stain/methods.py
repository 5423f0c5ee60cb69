"""Which methods there are, and which slide of a set is the one that others should look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ...core.errors import BadOption
from ...core.tile import Pixels
from .dyes import DyeRestain, DyeStain, fit_macenko
from .reinhard import LabRestain, LabStain, fit_reinhard
from .vahadane import fit_vahadane

Stain = DyeStain | LabStain
Restain = DyeRestain | LabRestain


class Fit(Protocol):
    """Finds a stain in pixels (..., 3) uint8, or raises `StainNotFound`."""

    def __call__(self, pixels: Pixels, name: str = "the picture") -> Stain:
        """The stain; `name` is for refusals."""


METHODS: dict[str, Fit] = {
    "macenko": fit_macenko,
    "vahadane": fit_vahadane,
    "reinhard": fit_reinhard,
}


def fit_stain(method: str, pixels: Pixels, name: str) -> Stain:
    """Find a stain by the method of that name.

    Raises:
        BadOption: there is no such method.
        StainNotFound: the stain cannot be found.
    """
    if method not in METHODS:
        raise BadOption("stain.method", method, f"one of none, {', '.join(METHODS)}")
    return METHODS[method](pixels, name)


def medoid(stains: Sequence[Stain]) -> Stain:
    """The stain with the least sum of distances to the others; of equals the first.

    Distances are Euclidean over `features`, each scaled by its spread over the set.
    """
    rows = np.array([stain.features() for stain in stains])
    rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-6)
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2).sum(axis=1)
    return stains[int(apart.round(9).argmin())]


def restain_between(source: Stain, target: Stain) -> Callable[[Pixels], Pixels]:
    """Turns tissue of one stain into the other's; both must come of the same kind of method."""
    if isinstance(source, DyeStain) and isinstance(target, DyeStain):
        return source.restain(target)
    if isinstance(source, LabStain) and isinstance(target, LabStain):
        return source.restain(target)
    raise ValueError(f"stains of {source.method} and {target.method} cannot be compared")


def stain_from_dict(values: Mapping[str, Any]) -> Stain:
    """The way back from `as_dict`."""
    if "dyes" in values:
        first, second = (tuple(map(float, dye)) for dye in values["dyes"])
        high, low = map(float, values["reach"])
        return DyeStain((first, second), (high, low), str(values["method"]))  # type: ignore[arg-type]
    mean, spread = (tuple(map(float, values[name])) for name in ("mean", "spread"))
    return LabStain(mean, spread)  # type: ignore[arg-type]
