"""Tiles: RGB pictures with an address and a scale. `core.images` reads and writes their files."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .arrays import Scalar
from .errors import NotRGB
from .geometry import Box, Size
from .line_of_facts import line_of_facts

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
UNKNOWN_PATIENT_PREFIX = "unknown of "
"""Begins the patient of tiles whose patient is unknown; `unknown_patient` completes it."""


@dataclass(frozen=True, slots=True)
class TileRef:
    """Where a tile comes from: slide, patient, box (level-0 px) and scale (um/px)."""

    slide: str
    patient: str
    box: Box
    mpp: float

    def __post_init__(self) -> None:
        if not self.mpp > 0:
            raise ValueError(f"mpp must be positive, not {self.mpp}")

    @property
    def has_patient(self) -> bool:
        """Whether the patient is known; see `unknown_patient`."""
        return not self.patient.startswith(UNKNOWN_PATIENT_PREFIX)


def unknown_patient(source: str) -> str:
    """The patient of all tiles of a source that states none: they may all be of one person."""
    return f"{UNKNOWN_PATIENT_PREFIX}{source}"


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class Tile:
    """A picture with an address; notebooks show it, and `numpy.asarray(tile)` are its pixels.

    `pixels`: (H, W, 3) uint8 RGB, 0..255, made read-only.
    """

    ref: TileRef
    pixels: Pixels

    def __post_init__(self) -> None:
        check_rgb(self.pixels, "tile")
        object.__setattr__(self, "pixels", read_only(self.pixels))

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return Size(self.pixels.shape[1], self.pixels.shape[0])

    def __repr__(self) -> str:
        width, height = self.size
        box = self.ref.box
        facts = [f"{width} x {height} px", f"{self.ref.mpp:g} um/px"]
        facts += [f"slide {self.ref.slide!r}", f"at {box.x}, {box.y}"]
        return line_of_facts("Tile", facts)

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,
    ) -> NDArray[Any]:
        """The pixels (H, W, 3); see `Synthetic.__array__`."""
        return array_of(self.pixels, dtype, copy)

    def _repr_png_(self) -> bytes:
        """A PNG, for notebooks."""
        from PIL import Image

        stream = BytesIO()
        Image.fromarray(self.pixels).save(stream, "PNG")
        return stream.getvalue()


def array_of(
    pixels: Pixels,
    dtype: DTypeLike | None,
    copy: bool | None,
) -> NDArray[Any]:
    """Pixels as numpy's `__array__` protocol returns them, of NumPy 1 and 2.

    Raises:
        ValueError: `copy` is False and the type differs.
    """
    is_same = dtype is None or np.dtype(dtype) == pixels.dtype
    if copy is False and not is_same:
        raise ValueError(f"pixels are {pixels.dtype}: {np.dtype(dtype)} needs a copy")
    if copy or not is_same:
        return np.array(pixels, dtype=dtype)
    return pixels


def read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """A view of an array that cannot be written through; the caller's own array stays as it is."""
    view = array.view()
    view.flags.writeable = False
    return view


def check_rgb(pixels: Pixels, name: str) -> None:
    """Refuse arrays that are not (H, W, 3) uint8.

    Raises:
        NotRGB: naming the shape and type found.
    """
    if not isinstance(pixels, np.ndarray):
        found = f"a {type(pixels).__name__} and no array"
        raise NotRGB(
            name,
            found,
            "Hand in (height, width, 3) of type uint8, e.g. from read_rgb.",
        )
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        found = f"an array of shape {pixels.shape} and type {pixels.dtype}"
        raise NotRGB(name, found, "Hand in (height, width, 3) of type uint8.")
