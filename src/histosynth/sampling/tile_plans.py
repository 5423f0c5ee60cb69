"""The tiles that `synthesize` makes of files of nuclei, or of layouts that it draws itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..annotation.windows import FileNuclei, extent_of
from ..core.condition import Condition
from ..core.errors import BadNuclei, BadOption, BadSize, UnknownClasses
from ..core.geometry import Box, Size
from ..core.images import IMAGE_SUFFIXES, read_picture_info
from ..core.nuclei import Nuclei
from ..core.number_format import counted
from ..model.bundle import Bundle
from ..model.info import BundleInfo
from ..tissue.appearance import Appearance
from ..tissue.layouts.drawing import draw_nuclei_like
from ..tissue.layouts.model import LayoutModel, read_layouts
from .batches import check_condition
from .files import ConditionReader
from .stated_maps import NOTHING_STATED, StatedMaps
from .tile_sizes import GRID, TileSize

MAX_DRAWN = 10_000
"""Layouts of one call."""


@dataclass(frozen=True, eq=False)
class TilePlan:
    """One tile to synthesize.

    Attributes:
        stem: begins the names of its pictures.
        origin: name of the layout, in which the patient may stand.
        condition: its nuclei and size.
        appearance: its stain and style.
        facts: added to its recipe.
        source: file of its nuclei; None: they were drawn.
    """

    stem: str
    origin: str
    condition: Condition
    appearance: Appearance
    facts: dict[str, Any]
    source: Path | None = None


@dataclass(eq=False)
class SizeNotes:
    """What people are to know about sizes, over all files.

    Attributes:
        left_out: nuclei outside of the tiles.
        cut_files: files of which nuclei were left out.
        empty: tiles of grids that hold no nucleus, and were left out.
        by_extent: files whose size is that of their objects, with it.
        without_tissue: nuclei inside of regions without tissue.
    """

    left_out: int = 0
    cut_files: int = 0
    empty: int = 0
    by_extent: list[tuple[Path, Size]] = field(default_factory=list)
    without_tissue: int = 0

    def add_condition(self, condition: Condition) -> None:
        """Count the nuclei of a tile that lie where it is to hold no tissue."""
        if condition.nuclei is not None and condition.empty is not None:
            columns, rows = np.rint(condition.nuclei.xy).astype(int).T
            self.without_tissue += int(condition.empty[rows, columns].sum())

    def sentences(self) -> list[str]:
        """Each that there is something to state of."""
        found = []
        if self.by_extent:
            path, size = self.by_extent[0]
            found.append(
                "Sizes come from how far the objects of a file reach, where it has no picture "
                f"(files: {len(self.by_extent):,}, first {path}: {size.width} x {size.height} px)."
            )
        if self.left_out:
            found.append(
                f"{self.left_out:,} nuclei lie outside of their tiles and were left out (files: "
                f"{self.cut_files:,})."
            )
        if self.empty:
            found.append(f"Tiles without a nucleus were left out of grids ({self.empty:,}).")
        if self.without_tissue:
            found.append(
                f"{counted(self.without_tissue, 'nucleus lies', 'nuclei lie')} in regions without "
                "tissue; the pictures may lack them."
            )
        return found


@dataclass(frozen=True, eq=False)
class FilePlanner:
    """Plans the tiles of files of nuclei.

    Attributes:
        reader: of the files.
        tile_size: `--size` and `--crop`.
        notes: on sizes.
    """

    reader: ConditionReader
    tile_size: TileSize
    notes: SizeNotes = field(default_factory=SizeNotes)

    def plans(
        self,
        path: Path,
        appearance: Appearance,
        picture: Path | None,
        maps: StatedMaps = NOTHING_STATED,
    ) -> list[TilePlan]:
        """The tiles of one file.

        Args:
            path: of the nuclei.
            appearance: of the tiles.
            picture: that the appearance was measured on; None: it comes from the palette.
            maps: what is stated of the layout.

        Raises:
            HistosynthError: whatever the file, its size or its nuclei are refused for.
        """
        own = self._own_size(path, picture) if self.tile_size.needs_own_size else None
        boxes = self.tile_size.boxes(own, self.reader.bundle.info)
        if self.tile_size.crop is None:
            try:
                condition = self.reader.whole(path, boxes[0].size, maps)
            except BadSize as refused:
                raise _with_crop(refused, self.reader.bundle.info) from None
            self.notes.add_condition(condition)
            noted = self.reader.noted(path)
            return [TilePlan(path.stem, path.stem, condition, appearance, noted, path)]
        return self._cut(path, appearance, boxes, maps)

    def _cut(
        self,
        path: Path,
        appearance: Appearance,
        boxes: Sequence[Box],
        maps: StatedMaps,
    ) -> list[TilePlan]:
        nuclei = self.reader.file_nuclei(path, has_regions=maps.regions is not None)
        is_grid = self.tile_size.crop == GRID
        tiles: list[tuple[Box, Condition]] = []
        inside = 0
        for box in boxes:
            found = nuclei.inside(box)
            inside += len(found)
            if is_grid and not len(found):
                continue
            condition = Condition(
                found,
                box.size,
                self.reader.label,
                empty=maps.empty(box, may_miss=is_grid),
                orientation=maps.orientation(box, may_miss=is_grid),
            )
            check_condition(condition, self.reader.bundle.info)
            self.notes.add_condition(condition)
            tiles.append((box, condition))
        if not tiles or (len(nuclei) and not inside):
            raise _nothing_inside(nuclei, boxes)
        conditions = [condition for _, condition in tiles]
        maps.refuse_missed(conditions)
        self.reader.note_lines(path, maps.lines, conditions)
        plans = []
        for box, condition in tiles:
            place = f"_x{box.x}_y{box.y}" if is_grid else ""
            window = {"window": [box.x, box.y, box.width, box.height]}
            facts = self.reader.noted(path) | window
            stem = f"{path.stem}{place}"
            plans.append(TilePlan(stem, path.stem, condition, appearance, facts, path))
        left_out = len(nuclei) - inside
        self.notes.left_out += left_out
        self.notes.cut_files += left_out > 0
        self.notes.empty += len(boxes) - len(plans)
        return plans

    def _own_size(self, path: Path, picture: Path | None) -> Size:
        """Size of the picture that a file's nuclei lie on."""
        if picture is not None:
            return read_picture_info(picture)[0]
        found = _picture_next_to(path)
        if found is not None:
            return found
        size = extent_of(path, self.reader.mpp)
        if self.tile_size.crop is None:
            info = self.reader.bundle.info
            width, height = (_rounded_up(side, info.multiple_px, info.least_px) for side in size)
            size = Size(width, height)
        self.notes.by_extent.append((path, size))
        return size


def _rounded_up(
    side: int,
    multiple: int,
    least: int,
) -> int:
    return max(-(-side // multiple) * multiple, least)


def _picture_next_to(path: Path) -> Size | None:
    """Size of the picture of the same stem in the same folder; None: there is none.

    Raises:
        BadOption: there are several, of different sizes.
    """
    sizes = {}
    for suffix in IMAGE_SUFFIXES:
        candidate = path.with_suffix(suffix)
        if os.path.isfile(candidate):
            sizes[candidate.name] = read_picture_info(candidate)[0]
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} of {size[0]} x {size[1]} px" for name, size in sizes.items())
        raise BadOption("--size", f"auto for {path}", f"in pixels: next to it are {listed}")
    return next(iter(sizes.values()), None)


def _with_crop(refused: BadSize, info: BundleInfo) -> BadSize:
    """The refusal of a layout, with the option that cuts a tile out of it."""
    if min(refused.width, refused.height) < info.least_px:
        return refused
    return BadSize(
        refused.width,
        refused.height,
        info.least_px,
        info.most_px,
        info.multiple_px,
        hint="; --crop centre cuts such a tile out of the layout, --crop grid several",
    )


def _nothing_inside(nuclei: FileNuclei, boxes: Sequence[Box]) -> BadNuclei:
    if not len(nuclei):
        return BadNuclei(
            f"{nuclei.path} holds no nuclei, so that its grid has no tile to make.",
            "Leave it out, or choose another --crop.",
        )
    left, top, right, bottom = nuclei.reach().tolist()
    where = f"the tile of {boxes[0].width} x {boxes[0].height} px at {boxes[0].x},{boxes[0].y}"
    if len(boxes) > 1:
        where = f"the {len(boxes):,} tiles of the grid"
    return BadNuclei(
        f"{nuclei.path}: none of its {len(nuclei):,} nuclei lies in {where}; they reach from "
        f"x={left:g}, y={top:g} to x={right:g}, y={bottom:g}.",
        "Choose another --crop, and check the scale of the file's coordinates.",
    )


def drawn_plans(
    bundle: Bundle,
    count: int,
    size: Size,
    appearances: Sequence[Appearance],
    *,
    mpp: float,
    label: str | None,
    seed: int,
) -> Iterator[TilePlan]:
    """Tiles of layouts that the model of layouts draws.

    Args:
        bundle: whose classes the nuclei must be of.
        count: of the layouts.
        size: of all tiles, px.
        appearances: taken in turn.
        mpp: of the tiles, micrometres per pixel.
        label: of the tiles.
        seed: the same seed gives the same layouts, however many are drawn.

    Raises:
        BadSize, UnknownClasses, ScaleMismatch: the bundle cannot follow such layouts.
    """
    model = layouts_for(bundle)
    check_condition(Condition(None, size, label), bundle.info)
    for number in range(count):
        drawn = draw_nuclei_like(model, size, mpp=mpp, seed=seed, number=number)
        nuclei = Nuclei.of(
            drawn.xy,
            drawn.names(),
            size=size,
            mpp=mpp,
            classes=bundle.info.classes,
        )
        condition = Condition(nuclei, size, label)
        check_condition(condition, bundle.info)
        facts = {"layout": {"model": model.sha256, "seed": seed, "number": number}}
        name = f"layout-{number}"
        appearance = appearances[number % len(appearances)]
        yield TilePlan(name, name, condition, appearance, facts)


def layouts_for(bundle: Bundle) -> LayoutModel:
    """The model of layouts whose classes a bundle knows.

    Raises:
        UnknownClasses: there is none.
    """
    model = read_layouts()
    unknown = [name for name in model.classes if name not in bundle.info.classes]
    if unknown:
        raise UnknownClasses(unknown, bundle.info.classes)
    return model
