"""`look/`: an overview of each slide, its tiles for QuPath, and a contact sheet of the set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..annotation.regions import Region, regions_geojson
from ..core.errors import BadTileSet
from ..core.geometry import Box
from ..core.own_files import OwnFiles
from ..core.tile import Pixels, TileRef
from ..core.tileset import Row, TileSet
from ..slides import Slide
from .jobs import opened
from .patients import SlideSource
from .previews import overview, reason_of, spread, tile_set_sheet
from .results import SHEET, preview_names

MAX_TILES_SHOWN = 8
"""Tiles on the sheet that were kept, and of each reason for refusal."""
_COLUMNS = ("slide", "patient", "x", "y", "width", "height", "mpp", "refused", "image.path")


@dataclass(frozen=True)
class BareRow:
    """A row without its picture and nuclei.

    Attributes:
        row: where the tile lies, and why it was refused.
        has_picture: whether the set holds its picture.
    """

    row: Row
    has_picture: bool


def write_previews(
    own: OwnFiles,
    sources: Sequence[SlideSource],
    mpp: float | None,
) -> list[Path]:
    """Draw the pictures of a finished set; returns their paths. Reads only the tiles that are
    shown.
    """
    tiles = TileSet(own.folder)
    bare_rows = read_bare_rows(tiles)
    by_slide: defaultdict[str, list[Row]] = defaultdict(list)
    for bare in bare_rows:
        by_slide[bare.row.ref.slide].append(bare.row)
    paths = []
    for source in sources:
        if source.name in by_slide:
            paths.append(
                _write_overview(
                    own,
                    source,
                    by_slide[source.name],
                    mpp,
                )
            )
    shown = list(tiles.rows_by_id(_tiles_to_show(bare_rows)))
    sheet = tile_set_sheet(
        shown,
        [bare.row for bare in bare_rows],
        max_of_each=MAX_TILES_SHOWN,
    )
    paths.append(_write(own, SHEET, sheet))
    return paths


def read_bare_rows(tiles: TileSet) -> list[BareRow]:
    """Every row without its picture and nuclei."""
    table = tiles.table(_COLUMNS).flatten()
    bare_rows = []
    for values in table.to_pylist():
        box = Box(
            values["x"],
            values["y"],
            values["width"],
            values["height"],
        )
        ref = TileRef(
            values["slide"],
            values["patient"],
            box,
            values["mpp"],
        )
        row = Row(ref, refused=values["refused"] or "")
        has_picture = values["image.path"] is not None
        bare_rows.append(BareRow(row, has_picture))
    return bare_rows


def _write_overview(
    own: OwnFiles,
    source: SlideSource,
    rows: Sequence[Row],
    mpp: float | None,
) -> Path:
    """The overview of a slide, and its tiles as GeoJSON; returns the picture's path.

    Raises:
        BadTileSet: a tile lies outside of its slide.
    """
    with opened(source.path, mpp) as slide:
        _refuse_outside(own.folder, slide, rows)
        picture = overview(slide, rows)
    picture_name, frames_name = preview_names(source.name)
    path = _write(own, picture_name, picture)
    frames = [_frame(row) for row in rows]
    own.write_texts({frames_name: regions_geojson(frames)})
    return path


def _refuse_outside(
    folder: Path,
    slide: Slide,
    rows: Sequence[Row],
) -> None:
    """Refuse a set with a tile that begins outside of its slide."""
    full = slide.levels[0]
    for row in rows:
        box = row.ref.box
        if not (0 <= box.x < full.width and 0 <= box.y < full.height):
            problem = (
                f"its tile at ({box.x:,}, {box.y:,}) lies outside of {slide.path.name}, which is "
                f"{full.width:,} x {full.height:,} px"
            )
            raise BadTileSet(folder, problem)


def _tiles_to_show(bare_rows: Sequence[BareRow]) -> set[str]:
    """`tile_id`s of the examples of each reason."""
    by_reason: defaultdict[str, list[Row]] = defaultdict(list)
    for bare in bare_rows:
        if bare.has_picture:
            by_reason[reason_of(bare.row)].append(bare.row)
    wanted: set[str] = set()
    for rows in by_reason.values():
        wanted.update(row.tile_id for row in spread(rows, MAX_TILES_SHOWN))
    return wanted


def _frame(row: Row) -> Region:
    """A tile as an annotation for QuPath, its class `kept` or the reason for refusal."""
    left = float(row.ref.box.x)
    top = float(row.ref.box.y)
    right = float(row.ref.box.right)
    bottom = float(row.ref.box.bottom)
    ring = ((left, top), (right, top), (right, bottom), (left, bottom))
    reason = reason_of(row)
    return Region(f"refused, {reason}" if reason else "kept", ring)


def _write(
    own: OwnFiles,
    name: str,
    picture: Pixels,
) -> Path:
    with own.writing(name) as temporary:
        Image.fromarray(picture).save(temporary)
    return own.folder / name
