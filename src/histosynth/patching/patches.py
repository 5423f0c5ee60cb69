"""Painted pixels over a slide: as a slide that is read, and as files of a folder of parts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..core.errors import BadRun
from ..core.geometry import Box
from ..core.tile import Mask, Pixels
from ..painting.part_files import has_array, read_array, write_array
from ..slides import PyramidLevel, Slide
from ..slides.slide import SlideFacts

KEPT_PATCH_BYTES = 1 << 27
"""Of patches that are kept in memory; the one that is used is kept in any case."""
PATCH_BYTES_A_PX = 4
"""R, G, B and the mask."""


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


@dataclass(frozen=True)
class PatchPlace:
    """A patch in a file.

    Attributes:
        path: of the file.
        box: of level 0.
    """

    path: Path
    box: Box


@dataclass(eq=False)
class PatchFiles:
    """Patches in files, of which few are in memory at a time.

    Attributes:
        places: where they are, in the order in which they were painted.
    """

    places: Sequence[PatchPlace] = ()
    _kept: OrderedDict[Path, Patch] = field(default_factory=OrderedDict)

    def touching(self, box: Box) -> Iterator[Patch]:
        """Those that reach into a box.

        Raises:
            BadRun: a file is no longer there, or damaged.
        """
        for place in self.places:
            if place.box.intersect(box) is not None:
                yield self._read(place)

    def _read(self, place: PatchPlace) -> Patch:
        patch = self._kept.pop(place.path, None)
        if patch is None:
            patch = read_patch(place.path, place.box)
        if patch is None:
            raise BadRun(place.path, "it is absent or damaged, though it was written before")
        self._kept[place.path] = patch
        while len(self._kept) > 1 and self._bytes() > KEPT_PATCH_BYTES:
            self._kept.popitem(last=False)
        return patch

    def _bytes(self) -> int:
        areas = [patch.box.width * patch.box.height for patch in self._kept.values()]
        return PATCH_BYTES_A_PX * sum(areas)


@dataclass(eq=False)
class PatchedSlide:
    """Level 0 of a slide with patches over it: a `Slide`.

    Attributes:
        slide: under them.
        patches: over it.
    """

    slide: Slide
    patches: PatchFiles = field(default_factory=PatchFiles)

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
        for patch in self.patches.touching(box):
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
        PATCH_BYTES_A_PX,
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
