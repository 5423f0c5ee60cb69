"""A tile set's folder: the recipe it was begun with, and files of other runs."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core import recipe as recipes
from ..core.errors import BadRecipe, BadTileSet, HistosynthError, ResumeMismatch
from ..core.own_files import OwnFiles
from ..core.plain_files import read_plain_text
from ..core.store import remove_file, remove_folder
from ..core.tileset import parquet_files
from ..core.tileset_columns import opened_file
from .recipe import PrepareRecipe
from .results import RECIPE, SURVEYS

_HALF_WRITTEN = re.compile(r"-[a-z0-9_]{6,8}\.parquet$")
"""End of the names of temporary files of earlier releases."""


def remember_recipe(recipe: PrepareRecipe, own: OwnFiles) -> None:
    """Keep the recipe next to its results; slides may be added, nothing else may change.

    Raises:
        ResumeMismatch: the folder holds tiles of another recipe.
        BadRecipe: the recipe that is kept there is damaged.
    """
    out = own.folder
    path = out / RECIPE
    values = json.loads(json.dumps(recipes.as_dict(recipe)))
    if path.exists() and parquet_files(out):  # before there are tiles nothing can be mixed up
        changed = _changed_keys(path, values)
        if changed:
            raise ResumeMismatch(out, changed)
    own.write_json(RECIPE, values)


def _changed_keys(path: Path, values: Mapping[str, Any]) -> list[str]:
    """Keys of a recipe, slides left out, whose values differ from those of a file."""
    try:
        before = _with_present_keys(json.loads(read_plain_text(path)))
        return sorted(key for key in values if key != "slides" and before.get(key) != values[key])
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise BadRecipe(str(path), [f"it is damaged: {error}"]) from error


def _with_present_keys(values: Any) -> Any:
    """A recipe of an earlier version under the present keys; as it is where it is none."""
    try:
        recipe = recipes.build(values, PrepareRecipe)
    except BadRecipe:
        return values
    return json.loads(json.dumps(recipes.as_dict(recipe)))


def remove_records(own: OwnFiles) -> None:
    """Remove what a run notes before it writes tiles: its recipe, and surveys of slides."""
    own.withdraw(RECIPE)
    remove_folder(own.folder / SURVEYS)


def find_leftovers(
    out: Path,
    wanted: Sequence[Path],
    surveyed: Collection[str],
    refused: Mapping[str, HistosynthError],
) -> list[Path]:
    """What earlier runs left of the same slides; files of other slides are refused.

    Args:
        out: the folder.
        wanted: files that the set will have.
        surveyed: slides that give tiles.
        refused: slides that cannot be read any more, with the reason.

    Raises:
        ResumeMismatch: it holds files of slides that are no longer named.
        HistosynthError: it holds files of a slide that is refused now, which the set would lose.
    """
    names = {path.name for path in wanted}
    unwanted = [path for path in parquet_files(out) if path.name not in names]
    for path in unwanted:
        slide, _, _ = path.stem.rpartition("-")
        if slide in surveyed:
            continue
        if slide in refused:
            raise refused[slide].of(slide)
        count = len(unwanted)
        raise ResumeMismatch(
            out,
            [f"{count} of its files are of other slides: {path.name}"],
        )
    return unwanted


def remove_half_written(out: Path, wanted: Sequence[Path]) -> None:
    """Remove what stopped runs of earlier releases had half-written: no whole file."""
    for path in wanted:
        for leftover in out.glob(f".{glob.escape(path.stem)}-*.parquet"):
            if _HALF_WRITTEN.search(leftover.name) and not _is_whole(leftover):
                remove_file(leftover)


def _is_whole(path: Path) -> bool:
    """Whether a file is Parquet to its end."""
    try:
        opened_file(path)
    except BadTileSet:
        return False
    return True
