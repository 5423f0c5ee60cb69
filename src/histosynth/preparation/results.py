"""Which files of a tile set's folder are its own, also where an earlier release wrote them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import NotWritable
from ..core.links import held, refuse_links_in
from ..core.own_files import OwnFiles, keys_of_json
from ..core.plain_files import open_plain
from ..core.tileset import is_foreign_parquet, parquet_files
from .patients import SlideSource

RECIPE = "recipe.json"
SUMMARY = "prepare.json"
SURVEYS = ".survey"
PREVIEWS = "look"
SHEET = f"{PREVIEWS}/contact.png"
DRAWN_MARK = f"{PREVIEWS}/.drawn"
"""Holds the sha256 of the set that the previews show."""
_KEYS = {
    RECIPE: {"slides", "tiles", "stain", "split"},
    SUMMARY: {"slides", "tiles", "kept", "sha256"},
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


def open_results(out: Path) -> OwnFiles:
    """The folder of a tile set, in which only its own files are replaced."""

    def is_earlier(path: Path) -> bool:
        if path.name in _KEYS:
            return keys_of_json(path) >= _KEYS[path.name]
        # releases without a record marked their previews as finished
        return not own.knows(DRAWN_MARK) and _holds_sha256(out / DRAWN_MARK)

    own = OwnFiles(out, earlier=is_earlier)
    return own


def refuse_foreign_results(own: OwnFiles, sources: Sequence[SlideSource]) -> None:
    """Refuse, before anything is written, to replace or remove files of others.

    Raises:
        NotWritable: naming the first.
    """
    names = [RECIPE, SUMMARY, SHEET, DRAWN_MARK]
    for source in sources:
        names += preview_names(source.name)
    own.refuse_foreign(names)
    with held([own.folder]):
        refuse_links_in(own.folder / SURVEYS)
    for path in parquet_files(own.folder):
        if is_foreign_parquet(path):
            raise NotWritable(
                path,
                "histosynth did not write it, and a tile set is all Parquet files of a folder",
            )


def preview_names(slide: str) -> tuple[str, str]:
    """Names of a slide's overview, and of its tiles for QuPath."""
    return f"{PREVIEWS}/{slide}.png", f"{PREVIEWS}/{slide}.geojson"


def _holds_sha256(path: Path) -> bool:
    try:
        with open_plain(path) as file:
            text = file.read(65)
    except OSError:
        return False
    return bool(_SHA256.fullmatch(text.decode("latin-1")))
