"""All that the model may see: nuclei, a label, and for completion the known pixels and the hole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import BadMask, SizeMismatch
from .geometry import Size
from .nuclei import Nuclei
from .tile import Mask, Pixels, check_rgb, read_only


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class Context:
    """What is left of a tile, and where it is not.

    Attributes:
        pixels: (H, W, 3) uint8 RGB; values inside the hole are never looked at.
        mask: (H, W) bool, True where tissue must be painted.
    """

    pixels: Pixels
    mask: Mask

    def __post_init__(self) -> None:
        check_rgb(self.pixels, "image")
        if self.mask.shape != self.pixels.shape[:2]:
            got = self.mask.shape[::-1]
            want = self.pixels.shape[1::-1]
            raise SizeMismatch("mask", (got[0], got[1]), (want[0], want[1]))
        if not self.mask.any():
            raise BadMask(
                "The hole is empty: no pixel is marked as missing.",
                "Mark missing pixels with any value but 0.",
            )
        if self.mask.all():
            raise BadMask(
                "The hole covers the whole tile, so nothing is left to go by.",
                "Use `histosynth synthesize` to make a whole tile.",
            )
        object.__setattr__(self, "pixels", read_only(self.pixels))
        object.__setattr__(self, "mask", read_only(self.mask))


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class Condition:
    """One tile's condition. Without a context everything is hole: that is `global`.

    Attributes:
        nuclei: which stand where; None: not told (which is not the same as none there).
        size: (width, height) of the tile in pixels.
        label: the bundle's label of the tissue, or None.
        context: known pixels and hole, for `local`.
    """

    nuclei: Nuclei | None
    size: Size
    label: str | None = None
    context: Context | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", Size(*self.size))
        if self.nuclei is not None and self.nuclei.size != self.size:
            raise SizeMismatch("nuclei's tile", self.nuclei.size, self.size)
        if self.context is not None:
            height, width = self.context.mask.shape
            if (width, height) != self.size:
                raise SizeMismatch("context", (width, height), self.size)

    @property
    def mask(self) -> Mask:
        """(H, W) bool: the context's hole, or all of the tile."""
        if self.context is not None:
            return self.context.mask
        return np.ones((self.size[1], self.size[0]), bool)
