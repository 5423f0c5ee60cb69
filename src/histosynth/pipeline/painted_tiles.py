"""Tiles of a painted slide with their nuclei: a tile set to train detectors on, without marking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import BadOption, NotWritable
from ..core.folder_lock import share_folder
from ..core.geometry import Box, Size
from ..core.marking import recipe_text, synthetic_patient
from ..core.own_files import OwnFiles
from ..core.progress import ProgressCallback, ignore_progress
from ..core.slide_layout import SlideLayout
from ..core.store import digest
from ..core.synthetic import png_bytes
from ..core.tile import Pixels, TileRef
from ..core.tileset import Row, parquet_files, read_metadata, write_rows_into
from ..slides import Slide, open_slide
from ..slides.writing import WRITTEN_SUFFIXES, first_file

SPLITS = ("train", "validation", "test")
_MIN_TILE_PX = 32
_MAX_TILE_PX = 2048
_BLOCK_PX = 2048
"""About the side of a block of tiles: a file, a window of the layout, and what is read at once."""
_MOST_BLOCK_TILES = 8
_GATE = "tissue"
_REMEDY = "Choose another folder for --tiles."


@dataclass(frozen=True)
class TileCutting:
    """How a painted slide becomes tiles.

    Attributes:
        folder: of the tile set; tiles of other painted slides may lie there.
        size: side of a tile, 32 to 2,048 px of the slide.
        min_tissue: least share of a tile that the layout holds tissue in, 0 to 1; others are left
            out, and so are tiles that would reach beyond the slide.
        split: of all tiles, `train`, `validation` or `test`; "": none.

    Raises:
        BadOption: a value out of its range.
    """

    folder: Path
    size: int = 256
    min_tissue: float = 0.5
    split: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if not _MIN_TILE_PX <= self.size <= _MAX_TILE_PX:
            allowed = f"from {_MIN_TILE_PX} to {_MAX_TILE_PX:,} px"
            raise BadOption("--tile-size", self.size, allowed)
        if not 0 <= self.min_tissue <= 1:
            raise BadOption("--tile-tissue", self.min_tissue, "from 0 to 1")
        if self.split and self.split not in SPLITS:
            raise BadOption("--tile-split", self.split, f"one of {', '.join(SPLITS)}")


@dataclass(frozen=True)
class PaintedTiles:
    """A tile set of a painted slide.

    Attributes:
        folder: of the set.
        tiles: of this slide.
        left_out: tiles with too little tissue.
        nuclei: how many of each class.
    """

    folder: Path
    tiles: int
    left_out: int
    nuclei: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "out": str(self.folder),
            "tiles": self.tiles,
            "left_out": self.left_out,
            "nuclei": dict(self.nuclei),
        }


@dataclass(frozen=True, eq=False)
class TilesOfSlide:
    """The tiles of one slide, before or after it is painted.

    Attributes:
        cutting: how it becomes tiles.
        slide: the file or folder of the slide.
        layout: of the whole slide.
        recipe: of the slide; its `region` is what is painted of the layout.
        label: of the tiles; "": none.
    """

    cutting: TileCutting
    slide: Path
    layout: SlideLayout
    recipe: Mapping[str, Any]
    label: str = ""

    @property
    def name(self) -> str:
        """Of the slide."""
        for suffix in WRITTEN_SUFFIXES:
            if self.slide.name.lower().endswith(suffix):
                return self.slide.name[: -len(suffix)]
        return self.slide.stem

    @property
    def region(self) -> Box:
        """What is painted, px of the layout."""
        return Box(*self.recipe["region"])

    @property
    def grid(self) -> Size:
        """Whole tiles (across, down)."""
        size = self.cutting.size
        return Size(self.region.width // size, self.region.height // size)

    @property
    def key(self) -> str:
        """Hex digest of all that decides the tiles."""
        facts = {
            "recipe": dict(self.recipe),
            "size": self.cutting.size,
            "min_tissue": self.cutting.min_tissue,
            "split": self.cutting.split,
            "label": self.label,
        }
        return digest(facts)

    def check(self) -> None:
        """Refuse, before the slide is painted, what would end in no tiles.

        Raises:
            BadOption: no whole tile fits the slide.
            NotWritable: the folder holds another tile set, or tiles of another slide of this name.
        """
        if min(self.grid) < 1:
            width, height = self.region.size
            allowed = f"no larger than the slide of {width:,} x {height:,} px"
            raise BadOption("--tile-size", self.cutting.size, allowed)
        own = OwnFiles(self.cutting.folder)
        for path in parquet_files(self.cutting.folder):
            self._check_file(own, path)
        own.refuse_foreign(block.file for block in self.blocks())

    def blocks(self) -> Iterator[_Block]:
        """Blocks of tiles, row by row."""
        across, down = self.grid
        side = min(max(_BLOCK_PX // self.cutting.size, 1), _MOST_BLOCK_TILES)
        for row in range(0, down, side):
            for column in range(0, across, side):
                tiles = Box(
                    column,
                    row,
                    min(side, across - column),
                    min(side, down - row),
                )
                yield _Block(tiles, f"{self.name}-{column}-{row}.parquet")

    def _check_file(self, own: OwnFiles, path: Path) -> None:
        """Refuse a file of the folder that tiles of this slide must not lie beside."""
        facts = read_metadata(path) if own.knows(path.name) else {}
        if facts.get("verb") != "paint":
            raise NotWritable(
                path,
                "it belongs to another tile set, and tiles of a painted slide would be mixed with "
                "its",
                _REMEDY,
            )
        patient = synthetic_patient(dict(self.recipe))
        if facts.get("patient") == patient and facts.get("split") != self.cutting.split:
            raise NotWritable(
                path,
                f"it holds tiles of the same layout ({patient}) in split "
                f"{facts.get('split') or 'none'!r}",
                "Give the same --tile-split, or a layout of another --seed.",
            )
        if facts.get("slide") == self.name and facts.get("key") != self.key:
            raise NotWritable(
                path,
                "it holds tiles of another slide of this name, or cut in another way",
                _REMEDY,
            )


@dataclass(frozen=True)
class _Block:
    """Some tiles that lie beside each other.

    Attributes:
        tiles: column and row of the first, and how many there are.
        file: name of the file of the set.
    """

    tiles: Box
    file: str

    def box(self, size: int) -> Box:
        """Px of the painted slide."""
        tiles = self.tiles
        return Box(
            tiles.x * size,
            tiles.y * size,
            tiles.width * size,
            tiles.height * size,
        )


def write_painted_tiles(
    tiles: TilesOfSlide,
    *,
    on_progress: ProgressCallback = ignore_progress,
) -> PaintedTiles:
    """Write the tiles of a painted slide as a tile set, going on where an earlier run stopped.

    Pixels are those of the slide's level 0 as it was written. Nuclei are those of the layout, in
    the frame of the tile. All tiles of one layout are of one patient.

    Args:
        tiles: of a slide that is painted.
        on_progress: called with (done, all) blocks of up to 64 tiles.

    Raises:
        BadOption, NotWritable: see `TilesOfSlide.check`.
        UnreadableImage: the slide cannot be read.
    """
    folder = tiles.cutting.folder
    blocks = list(tiles.blocks())
    counted = Counter[str]()
    with share_folder(folder, [block.file for block in blocks]) as run:
        tiles.check()
        own = OwnFiles(folder)
        count = run.counting(on_progress, "blocks of tiles are written to")
        slide = open_slide(first_file(tiles.slide))
        try:
            for done, block in enumerate(blocks, 1):
                counted.update(_write_block(tiles, own, slide, block))
                count(done, len(blocks))
        finally:
            slide.close()
    kept = counted.pop("")
    across, down = tiles.grid
    return PaintedTiles(
        folder,
        kept,
        across * down - kept,
        dict(sorted(counted.items())),
    )


def _write_block(
    tiles: TilesOfSlide,
    own: OwnFiles,
    slide: Slide,
    block: _Block,
) -> dict[str, int]:
    """Write a file of the set, unless it is there: its number of nuclei of each class, and of
    tiles under "".
    """
    if own.holds_own(block.file):
        return _counts_in(read_metadata(own.folder / block.file))
    rows = _rows(tiles, slide, block)
    counts = Counter[str]()
    for row in rows:
        if row.nuclei is not None:
            counts.update(row.nuclei.names())
    facts = {
        "verb": "paint",
        "synthetic": True,
        "slide": tiles.name,
        "key": tiles.key,
        "patient": synthetic_patient(dict(tiles.recipe)),
        "split": tiles.cutting.split,
        "nuclei": dict(counts),
        "tiles": len(rows),
    }
    if rows:
        with own.writing(block.file) as temporary:
            write_rows_into(temporary, rows, facts, gates=(_GATE,))
    return _counts_in(facts)


def _counts_in(facts: Mapping[str, Any]) -> dict[str, int]:
    return {**facts["nuclei"], "": facts["tiles"]}


def _rows(
    tiles: TilesOfSlide,
    slide: Slide,
    block: _Block,
) -> list[Row]:
    """The tiles of a block that hold enough tissue."""
    size = tiles.cutting.size
    box = block.box(size)
    on_layout = box.shift(tiles.region.x, tiles.region.y)
    shares = _tissue_shares(tiles, on_layout)
    if shares.max() < tiles.cutting.min_tissue:
        return []
    pixels = slide.read(0, box)
    nuclei = tiles.layout.window(on_layout)
    rows = []
    for row, column in np.argwhere(shares >= tiles.cutting.min_tissue).tolist():
        in_block = Box(
            column * size,
            row * size,
            size,
            size,
        )
        kept = _row(tiles, in_block.shift(box.x, box.y), pixels[in_block.slices])
        kept = replace(
            kept,
            nuclei=nuclei.crop(in_block),
            quality={_GATE: float(shares[row, column])},
        )
        rows.append(kept)
    return rows


def _tissue_shares(tiles: TilesOfSlide, box: Box) -> Any:
    """Share of each tile of a box (rows, columns) that is not known to hold no tissue."""
    size = tiles.cutting.size
    down = box.height // size
    across = box.width // size
    empty = tiles.layout.empty(box)
    if empty is None:
        return np.ones((down, across))
    by_tile = empty.reshape(
        down,
        size,
        across,
        size,
    )
    return 1 - by_tile.mean((1, 3))


def _row(
    tiles: TilesOfSlide,
    box: Box,
    pixels: Pixels,
) -> Row:
    """A tile without its nuclei."""
    recipe = {
        **tiles.recipe,
        "extent": "tile",
        "tile": [box.x, box.y, box.width, box.height],
    }
    ref = TileRef(
        tiles.name,
        synthetic_patient(dict(tiles.recipe)),
        box,
        tiles.layout.mpp,
    )
    return Row(
        ref,
        label=tiles.label,
        split=tiles.cutting.split,
        image=png_bytes(np.ascontiguousarray(pixels), recipe),
        recipe=recipe_text(recipe),
    )
