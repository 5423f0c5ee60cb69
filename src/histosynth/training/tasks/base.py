"""The base task: a compact diffusion base, trained from scratch on latents of an autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diffusers import AutoencoderDC
from torch import Tensor

from ...core.shipped import starting_point
from ...model.autoencoder import FACTOR
from ...model.families.compact import COMPACT_FAMILY
from ...model.parts import load_part, part_weights
from ...tensors.device import DTYPES
from ..loop.preflight import preflight
from ..recipes.diffusion import BaseRecipe
from ..resume import remember_inputs
from .diffusion.batches import smallest_batch
from .diffusion.building import encode_tiles, freeze, merge_averaged, tile_digests
from .diffusion.checks import check_conditions, refuse_off_grid, refuse_unknown_labels
from .diffusion.new_bundle import new_bundle
from .diffusion.train_task import DiffusionTrainTask
from .task import OpenedTiles, RunContext, Task, Training
from .tile_checks import open_examples, refuse_no_share


@dataclass(frozen=True)
class OpenedBaseTiles(OpenedTiles):
    """Tiles, and the autoencoder whose latents the base learns."""

    autoencoder: AutoencoderDC


def _check(recipe: BaseRecipe, base_folder: Path) -> OpenedBaseTiles:
    conditions = recipe.conditions
    smallest = smallest_batch(conditions, recipe.loop, family=COMPACT_FAMILY)
    preflight(recipe.loop, smallest=smallest)
    train, held_out = open_examples(recipe.data, base_folder)
    refuse_no_share(recipe.task, train)
    check_conditions(
        recipe.task,
        conditions,
        recipe.data,
        train,
    )
    grid_px = FACTOR << (len(recipe.base.widths) - 1)
    refuse_off_grid(
        recipe.task,
        conditions,
        held_out,
        grid_px,
    )
    refuse_unknown_labels([*train, *held_out], recipe.base.labels)
    folder = starting_point(recipe.start, base_folder, part="autoencoder")
    return OpenedBaseTiles(train, held_out, load_part(folder, AutoencoderDC))


def _build(
    recipe: BaseRecipe,
    opened: OpenedBaseTiles,
    context: RunContext,
) -> Training:
    remember_inputs(context.run, tile_digests(opened))
    # what is written stays as it was before anything is rounded to bfloat16
    stored = {"autoencoder": part_weights(opened.autoencoder)}
    views = encode_tiles(
        opened,
        opened.autoencoder,
        data=recipe.data,
        loop=recipe.loop,
        context=context,
    )
    bundle = new_bundle(
        recipe,
        opened.autoencoder,
        views.train,
        opened.train,
    )
    stored["unet"] = part_weights(bundle.unet)
    stored["structure"] = part_weights(bundle.structure)
    bundle.to(dtype=DTYPES[recipe.loop.precision], device=context.device)
    freeze(bundle)
    bundle.unet.requires_grad_(True)
    bundle.structure.requires_grad_(recipe.base.sees_structure)

    def save(folder: Path, averaged: Mapping[str, Tensor]) -> None:
        weights = {module: merge_averaged(own, averaged, module) for module, own in stored.items()}
        bundle.save(folder, weights=weights)

    train_task = DiffusionTrainTask(
        bundle,
        {"unet": bundle.unet, "structure": bundle.structure},
        views.train,
        views.held_out,
        plan=recipe.conditions,
        loop=recipe.loop,
        paint=context.paint,
        save=save,
    )
    return Training(train_task)


BASE = Task(
    ("base",),
    BaseRecipe,
    _check,
    _build,
)
