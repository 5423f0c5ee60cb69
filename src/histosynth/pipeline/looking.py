"""`look/`: an overview of each slide, its tiles for QuPath, and a contact sheet of the set."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..core.store import digest, ensure_folder, replacing
from ..core.tile import Pixels
from ..core.tileset import Row, TileSet
from ..prepare.look import overview, reason_of, sheet_of
from ..prepare.regions import Region, write_regions
from ..prepare.who import Source
from .chunks import opened

SHEET_TILES = 48
"""Rows with pictures held in memory for the sheet, for each reason and for the kept ones."""


def draw_looks(out: Path, sources: list[Source], mpp: float | None) -> list[Path]:
    """Draw the pictures of a finished set; returns their paths."""
    folder = ensure_folder(out / "look")
    paths = []
    shown: dict[str, list[Row]] = {}
    by_slide: dict[str, list[Row]] = {}
    for row in TileSet(out).rows(refused=True):
        by_slide.setdefault(row.ref.slide, []).append(Row(row.ref, refused=row.refused))
        some = shown.setdefault(reason_of(row), [])
        if len(some) < SHEET_TILES:
            some.append(row)
        elif int(digest(row.tile_id)[:8], 16) % 7 == 0:  # later ones take earlier ones' places, by name
            some[int(digest(row.tile_id)[8:16], 16) % SHEET_TILES] = row
    for source in sources:
        if source.name in by_slide:
            with opened(source.path, mpp) as slide:
                picture = overview(slide, by_slide[source.name])
            paths.append(_write(folder / f"{source.name}.png", picture))
            frames = [_frame(row) for row in by_slide[source.name]]
            write_regions(folder / f"{source.name}.geojson", frames)
    rows = [row for some in shown.values() for row in some]
    paths.append(_write(folder / "contact.png", sheet_of(rows)))
    return paths


def _frame(row: Row) -> Region:
    """A tile as an annotation for QuPath, its class `kept` or the reason for refusal."""
    box = row.ref.box
    corners = ((box.x, box.y), (box.right, box.y), (box.right, box.bottom), (box.x, box.bottom))
    ring = tuple((float(x), float(y)) for x, y in corners)
    reason = reason_of(row)
    return Region(f"refused, {reason}" if reason else "kept", ring)


def _write(path: Path, picture: Pixels) -> Path:
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary)
    return path
