"""Synthetic pictures of `synthesize` in a folder, with their recipes and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..annotation.labels.files import LabelFiles
from ..core.folder_lock import FolderRun
from ..core.nuclei import Nuclei
from ..core.outcome import Outcome
from ..core.synthetic import Synthetic
from .earlier_pictures import PictureRun, RecipeList
from .provenance import Recipe
from .tile_plans import TilePlan


class PictureResults:
    """The pictures of one run: `<stem>_<variant>.png` each.

    Args:
        run: of the folder.
        outcome: gets their paths.
        plans: of the tiles.
        variants: pictures of each.
        labels: formats of labels.

    Raises:
        BadOption, NotWritable: a file that is there cannot be replaced, or labels cannot be read
            there.
    """

    def __init__(
        self,
        run: FolderRun,
        outcome: Outcome,
        plans: Sequence[TilePlan],
        variants: int,
        labels: Sequence[str],
    ) -> None:
        self._targets = {}
        pictures: dict[str, Nuclei | None] = {}
        for index, plan in enumerate(plans):
            for variant in range(variants):
                name = picture_name(plan, variant)
                self._targets[index, variant] = run.folder / name
                pictures[name] = plan.condition.nuclei
        self._pictures = PictureRun(run, outcome, self._targets.values())
        self._recipes = RecipeList(run.folder)
        self._labels = LabelFiles(run.folder, labels, pictures)

    def is_finished(
        self,
        index: int,
        variant: int,
        describe_picture: Callable[[], Recipe],
    ) -> bool:
        """Whether the folder holds a picture already that would be sampled now."""
        target = self._targets[index, variant]
        is_there = self._pictures.is_finished(target, describe_picture)
        if is_there:
            self._labels.write(target.name)
        return is_there

    def save(
        self,
        index: int,
        variant: int,
        picture: Synthetic,
        png: bytes,
    ) -> None:
        """Write a picture that was sampled, as `png_bytes` encoded it; its labels first, so that it
        is never without.
        """
        target = self._targets[index, variant]
        self._labels.write(target.name)
        self._pictures.save(target, picture, png)
        self._recipes.add(target.name, picture.recipe)

    def finish(self) -> None:
        """Write the lists of the folder; a run that was stopped lists what it finished."""
        self._recipes.write()
        self._labels.write_lists()

    def note_finished(self) -> None:
        """Note in the outcome how many pictures were there already."""
        self._pictures.note_finished()


def picture_name(plan: TilePlan, variant: int) -> str:
    """File name of a variant of a tile."""
    return f"{plan.stem}_{variant}.png"
