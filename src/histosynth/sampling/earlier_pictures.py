"""Pictures that earlier runs wrote to a folder: those that need not be sampled again, and the list
of all recipes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..core.errors import NotWritable
from ..core.folder_lock import FolderRun, index_lock
from ..core.links import refuse_links
from ..core.marking import RECIPE_KEY
from ..core.number_format import counted
from ..core.outcome import Outcome
from ..core.own_files import OwnFiles
from ..core.plain_files import open_plain, read_plain_text
from ..core.synthetic import (
    UNREADABLE,
    Synthetic,
    is_as_written,
    open_own_pictures,
    read_recipe,
    write_synthetic,
)
from .complete import COPIED
from .provenance import Recipe

LIST_FILE = "recipe.json"
_WRITTEN = "pictures are written to"
_NAME = re.compile(r".+_\d+\.png")


def is_finished_picture(
    path: Path,
    describe_picture: Callable[[], Recipe],
    own: OwnFiles,
) -> bool:
    """Whether a file is the picture that would be sampled now, whole and unchanged.

    Args:
        path: of the picture.
        describe_picture: its recipe now, but for the share of copied tissue.
        own: files of its folder.
    """
    if not os.path.isfile(path):
        return False
    try:
        found = read_recipe(path)
    except UNREADABLE:
        return False
    if found is None or comparable(found) != comparable(describe_picture()):
        return False
    name = own.name_of(path)
    return own.holds_own(name) if own.knows(name) else is_as_written(path, found)


@dataclass
class PictureRun:
    """The pictures of one run: those that are there already, and those that it saves.

    Attributes:
        run: of the folder.
        outcome: gets their paths.
        targets: paths of all pictures of the run, in the folder.

    Raises:
        NotWritable: a file of the user, or a picture that was changed, would be replaced.
    """

    run: FolderRun
    outcome: Outcome
    targets: Collection[Path]

    def __post_init__(self) -> None:
        self.total = len(self.targets)
        self.own = open_own_pictures(self.run.folder)
        self.own.refuse_foreign([self.own.name_of(target) for target in self.targets])
        self.run.count(0, self.total, _WRITTEN)

    def is_finished(self, target: Path, describe_picture: Callable[[], Recipe]) -> bool:
        """Whether the picture of a path need not be sampled; see `is_finished_picture`."""
        if not is_finished_picture(target, describe_picture, self.own):
            return False
        self.outcome.finished.append(target)
        self.outcome.written.append(target)
        self._count()
        return True

    def save(
        self,
        target: Path,
        picture: Synthetic,
        png: bytes | None = None,
    ) -> None:
        """Save a picture that was sampled; `png` if it is encoded already."""
        write_synthetic(
            target,
            picture.pixels,
            picture.recipe,
            self.own,
            png=png,
        )
        self.outcome.written.append(target)
        self._count()

    def note_finished(self) -> None:
        """Note in the outcome how many pictures were there already."""
        count = len(self.outcome.finished)
        if count:
            self.outcome.notes.append(already_there(count, self.total, "picture"))

    def _count(self) -> None:
        self.run.count(len(self.outcome.written), self.total, _WRITTEN)


def already_there(count: int, of: int, noun: str) -> str:
    """The note on pictures or tiles that an earlier run made."""
    was, stays = ("was", "stays") if count == 1 else ("were", "stay")
    return (
        f"{count:,} of {counted(of, noun)} {was} there already, with the same recipe, and {stays} "
        "unchanged."
    )


def comparable(recipe: Recipe) -> Any:
    """A recipe as JSON reads it, without what is known only afterwards."""
    values = json.loads(json.dumps(recipe))
    if isinstance(values.get("context"), dict):
        values["context"].pop(COPIED, None)
    return values


class RecipeList:
    """`recipe.json`: the recipes of all pictures that `synthesize` wrote to a folder, by file name.

    Several runs may write to the folder at a time, and runs may be killed: what others listed
    stays, and pictures that no list names are found by the recipes inside them.

    Args:
        folder: of the pictures.

    Raises:
        NotWritable: another program's file has that name.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LIST_FILE
        self.added: dict[str, Recipe] = {}
        with index_lock(folder):
            self._open().refuse_foreign([LIST_FILE])

    def add(self, name: str, recipe: Recipe) -> None:
        """Note the recipe of a picture, for `write`."""
        self.added[name] = recipe

    def write(self) -> None:
        """Write the list: what is there, what was added and what is found in pictures."""
        folder = self.path.parent
        with index_lock(folder):
            own = self._open()  # other runs wrote to it in the meantime
            recipes = {**read_earlier_recipes(self.path), **self.added}
            recipes.update(_unlisted(folder, recipes))
            if recipes:
                own.write_json(LIST_FILE, recipes)

    def _open(self) -> OwnFiles:
        return OwnFiles(self.path.parent, earlier=_is_list)


def read_earlier_recipes(path: Path) -> dict[str, Recipe]:
    """Recipes of pictures that are in the folder of a list, by file name.

    Raises:
        NotWritable: the file is no such list of recipes, or a link in a folder of results.
    """
    refuse_links(path)
    if not os.path.lexists(path):
        return {}
    try:
        recipes = json.loads(read_plain_text(path))
    except (OSError, ValueError, RecursionError):
        recipes = None
    if not _are_recipes(recipes):
        raise NotWritable(path, "something that histosynth did not make is there already")
    present = {}
    for name, recipe in recipes.items():
        if os.path.isfile(path.parent / name):
            present[name] = recipe
    return present


def _is_list(path: Path) -> bool:
    """Whether an earlier release may have written a list, as it kept no record."""
    try:
        read_earlier_recipes(path)
    except NotWritable:
        return False
    return True


def _are_recipes(values: Any) -> bool:
    """Whether values read from JSON are recipes by file name, at least one."""
    if not isinstance(values, dict) or not values:
        return False
    return all(isinstance(recipe, dict) and "histosynth" in recipe for recipe in values.values())


def _unlisted(folder: Path, recipes: dict[str, Recipe]) -> dict[str, Recipe]:
    """Recipes of pictures that killed runs of `synthesize` left, by file name."""
    found = {}
    for name in sorted(os.listdir(folder)):
        if name in recipes or not _NAME.fullmatch(name):
            continue
        recipe = _recipe_in_header(folder / name)
        if recipe.get("verb") == "synthesize" and "histosynth" in recipe:
            found[name] = recipe
    return found


def _recipe_in_header(path: Path) -> Recipe:
    """The recipe in a PNG's header; empty where there is none. Pixels are not read."""
    try:
        with open_plain(path) as file, Image.open(file, formats=["PNG"]) as image:
            recipe = json.loads(image.info.get(RECIPE_KEY, "{}"))
    except (*UNREADABLE, RecursionError):
        return {}
    return recipe if isinstance(recipe, dict) else {}
