"""Folders and files that a recipe names: whether they exist, before anything is opened."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ...core.recipe_names import nearest_name
from ...core.recipe_values import suggested
from ...core.shipped import SHIPPED_BUNDLES
from .adapter_options import AdapterPlan
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
    problems = list(_missing_start("start", getattr(recipe, "start", ""), base_folder))
    if isinstance(getattr(recipe, "adapter", None), AdapterPlan):
        few_steps = recipe.adapter.few_steps
        problems += _missing_start("adapter.start", recipe.adapter.start, base_folder)
        problems += _missing_start("adapter.few_steps.start", few_steps.start, base_folder)
    data = recipe.data
    root = base_folder / data.root
    if not root.is_dir():
        problems.append(
            _absent(
                "data.root",
                root,
                "folder",
            )
        )
    elif isinstance(data, DataPlan):
        problems += _missing_sources(data, root)
    return problems


def _missing_start(
    key: str,
    start: str,
    base_folder: Path,
) -> Iterator[str]:
    if not start or start in SHIPPED_BUNDLES:
        return
    folder = base_folder / start
    if not folder.is_dir():
        yield _absent(
            key,
            folder,
            "folder",
            nearest_name(start, list(SHIPPED_BUNDLES)),
        )


def _missing_sources(data: DataPlan, root: Path) -> Iterator[str]:
    if data.train == TILE_SET_TRAIN and not any(root.glob("*.parquet")):
        yield (
            f"data.root: {root} holds no tile set, and no [[data.train]] names a folder of "
            "pictures; `histosynth recipe init first-adapter` shows one"
        )
        return
    sides = {
        "train": data.train,
        "validation": data.validation,
    }
    for side, sources in sides.items():
        for index, source in enumerate(sources):
            yield from _missing_of_source(
                source,
                root,
                f"data.{side}[{index}]",
            )


def _missing_of_source(
    source: TileSource,
    root: Path,
    key: str,
) -> Iterator[str]:
    images = root / source.images
    points = root / source.points
    members = root / source.members
    if not images.is_dir():
        yield _absent(f"{key}.images", images, "folder")
    if source.points and not points.is_dir():
        yield _absent(f"{key}.points", points, "folder")
    if source.members and not members.is_file():
        yield _absent(f"{key}.members", members, "file")


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
