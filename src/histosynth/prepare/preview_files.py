"""`look/`: an overview of each slide, its tiles for QuPath, and a contact sheet of the set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ..annotation.regions import Region, write_regions
from ..core.geometry import Box
from ..core.store import atomic_write, ensure_folder
from ..core.tile import Pixels, TileRef
from ..core.tileset import Row, TileSet
from .jobs import opened
from .patients import Source
from .previews import overview, reason_of, sheet_of, spread

SHOWN = 8
"""Tiles on the sheet that were kept, and of each reason for refusal."""
FACTS = ("slide", "patient", "x", "y", "width", "height", "mpp", "refused", "image.path")


def write_previews(out: Path, sources: Sequence[Source], mpp: float | None) -> list[Path]:
    """Draw the pictures of a finished set; returns their paths. Reads only the tiles that are
    shown.
    """
    folder = ensure_folder(out / "look")
    tiles = TileSet(out)
    rows, pictured = bare_rows(tiles)
    by_slide: dict[str, list[Row]] = {}
    by_reason: dict[str, list[Row]] = {}
    for row, has_picture in zip(rows, pictured, strict=True):
        by_slide.setdefault(row.ref.slide, []).append(row)
        if has_picture:
            by_reason.setdefault(reason_of(row), []).append(row)
    paths = []
    for source in sources:
        if source.name in by_slide:
            with opened(source.path, mpp) as slide:
                picture = overview(slide, by_slide[source.name])
            paths.append(_write(folder / f"{source.name}.png", picture))
            frames = [_frame(row) for row in by_slide[source.name]]
            write_regions(folder / f"{source.name}.geojson", frames)
    wanted = {row.tile_id for some in by_reason.values() for row in spread(some, SHOWN)}
    paths.append(
        _write(folder / "contact.png", sheet_of(list(tiles.rows_by_id(wanted)), rows, most=SHOWN))
    )
    return paths


def bare_rows(tiles: TileSet) -> tuple[list[Row], list[bool]]:
    """Every row without its picture and nuclei, and whether it has a picture."""
    table = tiles.table(FACTS).flatten()
    columns = {name: table[name].to_pylist() for name in table.column_names}
    rows = []
    for place, slide in enumerate(columns["slide"]):
        box = Box(*(columns[name][place] for name in ("x", "y", "width", "height")))
        ref = TileRef(
            slide,
            columns["patient"][place],
            box,
            columns["mpp"][place],
        )
        rows.append(Row(ref, refused=columns["refused"][place] or ""))
    return rows, [path is not None for path in columns["image.path"]]


def _frame(row: Row) -> Region:
    """A tile as an annotation for QuPath, its class `kept` or the reason for refusal."""
    box = row.ref.box
    corners = ((box.x, box.y), (box.right, box.y), (box.right, box.bottom), (box.x, box.bottom))
    ring = tuple((float(x), float(y)) for x, y in corners)
    reason = reason_of(row)
    return Region(f"refused, {reason}" if reason else "kept", ring)


def _write(path: Path, picture: Pixels) -> Path:
    with atomic_write(path) as temporary:
        Image.fromarray(picture).save(temporary)
    return path
