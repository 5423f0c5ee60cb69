"""Folders and files that a recipe names: whether they exist, before anything is opened."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ...core.recipe_names import nearest_name
from ...core.recipe_values import suggested
from ...core.shipped import SHIPPED_BUNDLES
from .data import TILE_SET_TRAIN, DataPlan
from .tiles import TileSource

_MAX_COMPARED = 1000
"""Entries of a folder that a wrong name is compared with."""


def missing_places(recipe: Any, base_folder: Path) -> list[str]:
    """Problems of a recipe that names folders and files that do not exist.

    Args:
        recipe: of any task.
        base_folder: folder that its paths start from.
    """
    problems = []
    start = getattr(recipe, "start", "")
    if start and start not in SHIPPED_BUNDLES and not (base_folder / start).is_dir():
        meant = nearest_name(start, list(SHIPPED_BUNDLES))
        problems.append(_absent("start", base_folder / start, "folder", meant))
    root = base_folder / recipe.data.root
    if not root.is_dir():
        problems.append(_absent("data.root", root, "folder"))
    elif isinstance(recipe.data, DataPlan):
        problems += _missing_sources(recipe.data, root)
    return problems


def _missing_sources(data: DataPlan, root: Path) -> Iterator[str]:
    if data.train == TILE_SET_TRAIN and not any(root.glob("*.parquet")):
        yield (
            f"data.root: {root} holds no tile set, and no [[data.train]] names a folder of "
            "pictures; `histosynth recipe init first-adapter` shows one"
        )
        return
    for side, sources in (("train", data.train), ("validation", data.validation)):
        for index, source in enumerate(sources):
            yield from _missing_of_source(source, root, f"data.{side}[{index}]")


def _missing_of_source(
    source: TileSource,
    root: Path,
    key: str,
) -> Iterator[str]:
    images = root / source.images
    if not images.is_dir():
        yield _absent(f"{key}.images", images, "folder")
    if source.points and not (root / source.points).is_dir():
        yield _absent(f"{key}.points", root / source.points, "folder")
    if source.members and not (root / source.members).is_file():
        yield _absent(f"{key}.members", root / source.members, "file")


def _absent(
    key: str,
    path: Path,
    what: str,
    meant: str = "",
) -> str:
    """A problem that names the path, and the entry of its folder that resembles it."""
    if not meant and path.parent.is_dir():
        first = islice(path.parent.iterdir(), _MAX_COMPARED)
        meant = nearest_name(path.name, sorted(entry.name for entry in first))
    return f"{key}: there is no {what} {path}{suggested(meant)}"
