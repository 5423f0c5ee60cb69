"""The detector task: checks its recipe, and builds what the loop trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ....core.errors import BadRecipe
from ....detectors.centroids import build_network
from ....model.device import convert_network
from ....tensors.device import DTYPES
from ...data.sources import Example
from ...loop.preflight import preflight
from ...recipes.detector import DetectorRecipe
from ..task import OpenedTiles, RunContext, Task, Training
from ..tile_checks import open_examples, refuse_small_tiles
from .teaching import open_teacher
from .train_task import DetectorTrainTask, patients_for_threshold


def _check(recipe: DetectorRecipe, base_folder: Path) -> OpenedTiles:
    preflight(recipe.loop, smallest=None)
    train, held_out = open_examples(recipe.data, base_folder)
    both = [*train, *held_out]
    if open_teacher(recipe) is None:
        _refuse_tiles_without_nuclei(recipe, both)
    refuse_small_tiles(
        recipe.task,
        both,
        recipe.data.crop,
        "data.crop",
    )
    _refuse_no_patients(recipe, train)
    return OpenedTiles(train, held_out)


def _refuse_tiles_without_nuclei(recipe: DetectorRecipe, examples: Sequence[Example]) -> None:
    count = sum(example.nuclei is None for example in examples)
    if count:
        remedy = "name their points, or prepare the set with nuclei"
        raise BadRecipe(recipe.task, [f"{count} of its tiles have no nuclei; {remedy}"])


def _refuse_no_patients(recipe: DetectorRecipe, train: Sequence[Example]) -> None:
    """Refuse a share of patients for the threshold that leaves no patient to learn from."""
    patients = {example.patient for example in train}
    if patients <= patients_for_threshold(sorted(patients), recipe.model.aside):
        setting = f"model.aside {recipe.model.aside:g}"
        problem = f"{setting} leaves none of {len(patients)} patients to learn from"
        raise BadRecipe(recipe.task, [problem])


def _build(
    recipe: DetectorRecipe,
    opened: OpenedTiles,
    context: RunContext,
) -> Training:
    plan = recipe.model
    network = build_network(
        plan.network,
        len(recipe.data.classes),
        plan.widths,
        plan.blocks,
    )
    convert_network(network, device=context.device, dtype=DTYPES[recipe.loop.precision])
    train_task = DetectorTrainTask(
        network,
        opened.train,
        opened.held_out,
        batch=recipe.loop.batch,
        data=recipe.data,
        plan=plan,
        name=recipe.name,
        teacher=open_teacher(recipe),
    )
    return Training(train_task)


DETECTOR = Task(
    ("detector",),
    DetectorRecipe,
    _check,
    _build,
)
