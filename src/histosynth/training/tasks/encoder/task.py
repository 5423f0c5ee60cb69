"""The encoder task: checks its recipe, and builds what the loop trains."""

from __future__ import annotations

from pathlib import Path

from ....encoders.network import HistoNet
from ....model.device import convert_network
from ....tensors.device import DTYPES
from ...loop.preflight import preflight
from ...recipes.encoder import EncoderRecipe
from ..task import OpenedTiles, RunContext, Task, Training
from ..tile_checks import open_examples, refuse_no_share, refuse_small_tiles
from .train_task import EncoderTrainTask


def _check(recipe: EncoderRecipe, base_folder: Path) -> OpenedTiles:
    preflight(recipe.loop, smallest=None)
    train, held_out = open_examples(recipe.data, base_folder)
    refuse_no_share(recipe.task, train)
    refuse_small_tiles(
        recipe.task,
        [*train, *held_out],
        recipe.data.crop,
        "data.crop",
    )
    return OpenedTiles(train, held_out)


def _build(
    recipe: EncoderRecipe,
    opened: OpenedTiles,
    context: RunContext,
) -> Training:
    plan = recipe.model
    network = HistoNet(plan.widths, plan.blocks)
    convert_network(network, device=context.device, dtype=DTYPES[recipe.loop.precision])
    train_task = EncoderTrainTask(
        network,
        opened.train,
        opened.held_out,
        batch=recipe.loop.batch,
        data=recipe.data,
        plan=plan,
        name=recipe.name,
    )
    return Training(train_task)


ENCODER = Task(
    ("encoder",),
    EncoderRecipe,
    _check,
    _build,
)
