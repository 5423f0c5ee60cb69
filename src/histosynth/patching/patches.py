"""Painted pixels over a slide: as a slide that is read, and as files of a folder of parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..core.geometry import Box
from ..core.tile import Mask, Pixels
from ..painting.part_files import has_array, read_array, write_array
from ..slides import PyramidLevel, Slide
from ..slides.slide import SlideFacts

_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class Patch:
    """Painted pixels.

    Attributes:
        box: of level 0.
        pixels: (H, W, 3) uint8; only those of the mask count.
        mask: (H, W) bool.
    """

    box: Box
    pixels: Pixels
    mask: Mask

    def put_on(self, pixels: Pixels, box: Box) -> Mask | None:
        """Copy what lies in a box to its pixels (H, W, 3).

        Returns:
            (H, W) bool, what was copied; None: nothing.
        """
        common = self.box.intersect(box)
        if common is None:
            return None
        own = common.shift(-self.box.x, -self.box.y).slices
        target = common.shift(-box.x, -box.y).slices
        painted = self.mask[own]
        pixels[target][painted] = self.pixels[own][painted]
        where = np.zeros(pixels.shape[:2], bool)
        where[target] = painted
        return where


@dataclass(eq=False)
class PatchedSlide:
    """Level 0 of a slide with patches over it: a `Slide`.

    Attributes:
        slide: under them.
        patches: those so far.
    """

    slide: Slide
    patches: list[Patch] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The slide's file."""
        return self.slide.path

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of level 0."""
        return self.slide.mpp

    @property
    def levels(self) -> Sequence[PyramidLevel]:
        """Level 0 alone: the others do not show the patches."""
        return self.slide.levels[:1]

    @property
    def reader(self) -> str:
        """Which library reads it."""
        return self.slide.reader

    @property
    def facts(self) -> SlideFacts:
        """What the file is."""
        return self.slide.facts

    def read(self, level: int, box: Box) -> Pixels:
        """Pixels of level 0 with the patches; see `Slide.read`."""
        pixels = self.slide.read(level, box)
        for patch in self.patches:
            patch.put_on(pixels, box)
        return pixels

    def close(self) -> None:
        """Close the file."""
        self.slide.close()


def patch_path(folder: Path, number: int) -> Path:
    """The file of a piece's patch."""
    return folder / f"{number:06d}.patch"


def write_patch(path: Path, patch: Patch) -> None:
    """Write a patch with a checksum, whole or not at all."""
    mask = np.where(
        patch.mask,
        255,
        0,
    ).astype(np.uint8)[..., None]
    write_array(path, np.concatenate([patch.pixels, mask], axis=2))


def read_patch(path: Path, box: Box) -> Patch | None:
    """A patch that an earlier run wrote; None: it is not there, or not whole."""
    shape = (
        box.height,
        box.width,
        _CHANNELS,
    )
    if not has_array(
        path,
        shape,
        np.uint8,
    ):
        return None
    values = np.asarray(
        read_array(
            path,
            shape,
            np.uint8,
        ),
        np.uint8,
    )
    return Patch(
        box,
        np.ascontiguousarray(values[..., :3]),
        values[..., 3] > 0,
    )


def touching(patches: Sequence[Patch], box: Box) -> Iterator[Patch]:
    """Those that reach into a box."""
    for patch in patches:
        if patch.box.intersect(box) is not None:
            yield patch
