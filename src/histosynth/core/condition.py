"""The input of the model: nuclei, a label, and for completion the known pixels and the mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import BadMask, SizeMismatch
from .geometry import Size
from .line_of_facts import line_of_facts
from .nuclei import Nuclei
from .number_format import counted
from .orientation import FibreOrientation
from .pictures import as_mask, as_rgb
from .tile import Mask, Pixels, read_only


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class Context:
    """The known part of a tile.

    Attributes:
        pixels: (H, W, 3) uint8 RGB; values inside the mask are not used. Whatever
            `pictures.as_rgb` takes may be given.
        mask: (H, W) bool, True where tissue must be generated; likewise of `pictures.as_mask`.
    """

    pixels: Pixels
    mask: Mask

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", as_rgb(self.pixels, "image"))
        object.__setattr__(self, "mask", as_mask(self.mask))
        if self.mask.shape != self.pixels.shape[:2]:
            got = _size_of(self.mask)
            want = _size_of(self.pixels)
            raise SizeMismatch("mask", got, want)
        if not self.mask.any():
            raise BadMask(
                "The mask is empty: no pixel is marked as missing.",
                "Mark missing pixels with any value but 0.",
            )
        if self.mask.all():
            raise BadMask(
                "The mask covers the whole tile, so nothing is left to go by.",
                "Use `histosynth synthesize` to make a whole tile.",
            )
        object.__setattr__(self, "pixels", read_only(self.pixels))
        object.__setattr__(self, "mask", read_only(self.mask))

    def __repr__(self) -> str:
        size = _size_of(self.mask)
        share = float(self.mask.mean())
        facts = [f"{size.width} x {size.height} px", f"{share:.1%} missing"]
        return line_of_facts("Context", facts)


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class Condition:
    """One tile's condition. Without a context the whole tile is generated (`global`).

    Attributes:
        nuclei: all nuclei of the tile; None: not known (an empty set means that there are none).
        size: of the tile in pixels; a plain (width, height) is taken too.
        label: the bundle's label of the tissue, or None.
        context: known pixels and mask, for `local`.
        empty: (H, W) bool, True where there is no tissue: lumina, glass, the inside of fat cells;
            whatever `pictures.as_mask` takes. None: left to the model.
        orientation: how fibres run, where it is known; None: it is not.
    """

    nuclei: Nuclei | None
    size: Size
    label: str | None = None
    context: Context | None = None
    empty: Mask | None = None
    orientation: FibreOrientation | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", Size(*self.size))
        if self.nuclei is not None and self.nuclei.size != self.size:
            raise SizeMismatch("nuclei's tile", self.nuclei.size, self.size)
        if self.context is not None:
            context_size = _size_of(self.context.mask)
            if context_size != self.size:
                raise SizeMismatch("context", context_size, self.size)
        if self.empty is not None:
            object.__setattr__(self, "empty", _checked_empty(self.empty, self.size))
        if self.orientation is not None and self.orientation.size != self.size:
            raise SizeMismatch("orientation's tile", self.orientation.size, self.size)

    def __repr__(self) -> str:
        nuclei = (
            "nuclei unknown"
            if self.nuclei is None
            else counted(len(self.nuclei), "nucleus", "nuclei")
        )
        facts = [f"{self.size.width} x {self.size.height} px", nuclei]
        if self.label:
            facts.append(f"label {self.label!r}")
        if self.context is not None:
            facts.append(f"{float(self.mask.mean()):.1%} to complete")
        if self.empty is not None:
            facts.append(f"{float(self.empty.mean()):.1%} without tissue")
        if self.orientation is not None:
            facts.append(f"orientation known on {self.orientation.known_share:.1%}")
        return line_of_facts("Condition", facts)

    @property
    def mask(self) -> Mask:
        """(H, W) bool: the context's mask, or all of the tile."""
        if self.context is not None:
            return self.context.mask
        return np.ones(self.size.shape, bool)


def _checked_empty(empty: Mask, size: Size) -> Mask | None:
    """A mask of what holds no tissue; one that marks nothing is None.

    Raises:
        NotRGB, BadMask: it is no mask, or covers the whole tile.
        SizeMismatch: it is not of the tile's size.
    """
    mask = as_mask(empty)
    if mask.shape != size.shape:
        raise SizeMismatch("regions without tissue", _size_of(mask), size)
    if mask.all():
        raise BadMask(
            "The regions without tissue cover the whole tile, so nothing is left to make.",
            "Leave some of the tile for tissue.",
        )
    return read_only(mask) if mask.any() else None


def _size_of(array: Pixels | Mask) -> Size:
    height, width = array.shape[:2]
    return Size(width, height)
