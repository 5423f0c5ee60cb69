"""The artefact task: checks its recipe, and builds what the loop trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ....detectors.artefact_info import ArtefactInfo
from ....detectors.artefact_network import build_artefact_network, load_published_weights
from ....model.device import convert_network
from ....tensors.device import DTYPES
from ...recipes.artefact import ArtefactRecipe
from ..task import OpenedTiles, RunContext, Task, Training
from .labelled_tiles import open_labelled_tiles
from .train_task import ArtefactTrainTask


@dataclass(frozen=True)
class OpenedArtefact(OpenedTiles):
    """Labelled tiles, split by patient, and the network as training begins with it."""

    network: nn.Module
    classes: tuple[str, ...]
    """Names of the tiles' folders, `good` first."""


def _check(recipe: ArtefactRecipe, base_folder: Path) -> OpenedArtefact:
    """Build the network and open the tiles.

    Raises:
        BadRecipe: as `open_labelled_tiles`.
        NeedsExtra: transformers is not installed.
        BadWeights: the start has another layout.
    """
    torch.manual_seed(recipe.seed)
    network = build_artefact_network(recipe.model.widths, recipe.model.depths)
    if recipe.start:
        load_published_weights(network, base_folder / recipe.start)
    tiles = open_labelled_tiles(recipe.data, base_folder)
    return OpenedArtefact(
        tiles.train,
        tiles.held_out,
        network,
        tiles.classes,
    )


def _build(
    recipe: ArtefactRecipe,
    opened: OpenedArtefact,
    context: RunContext,
) -> Training:
    plan = recipe.model
    convert_network(
        opened.network,
        device=context.device,
        dtype=DTYPES[recipe.loop.precision],
    )
    info = ArtefactInfo(
        recipe.name,
        recipe.data.mpp,
        recipe.data.crop,
        plan.widths,
        plan.depths,
        opened.classes,
    )
    train_task = ArtefactTrainTask(
        opened.network,
        opened.train,
        opened.held_out,
        batch=recipe.loop.batch,
        data=recipe.data,
        info=info,
    )
    return Training(train_task)


ARTEFACT = Task(
    ("artefact",),
    ArtefactRecipe,
    _check,
    _build,
)
