"""What a stain is, and what a method of finding it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from ...core.arrays import Float64Array
from ...core.tile import Pixels

Restain = Callable[[Pixels], Pixels]
"""Gives (H, W, 3) uint8 of one stain another stain."""


class Stain(Protocol):
    """What dyes a slide was given, as a few numbers."""

    @property
    def method(self) -> str:
        """Name of the method that found it."""

    def features(self) -> Float64Array:
        """(N,) values by which two stains of one method are compared."""

    def restain(self, target: Self) -> Restain:
        """Gives tissue of this stain the target's."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the key `method`."""


class FitStain(Protocol):
    """Finds a stain in pixels (..., 3) uint8, or raises `StainNotFound`."""

    def __call__(
        self,
        pixels: Pixels,
        name: str = "the picture",
    ) -> Stain:
        """The stain; `name` is for refusals."""


@dataclass(frozen=True)
class StainMethod:
    """One method of finding and exchanging stains.

    Attributes:
        name: as in recipes, options and the key `method` of a stored stain.
        fit: finds a stain in pixels.
        from_dict: the way back from `Stain.as_dict`.
        revision: counts changes of what the method finds, so that no run mixes tiles of two.
    """

    name: str
    fit: FitStain
    from_dict: Callable[[Mapping[str, Any]], Stain]
    revision: int = 1
