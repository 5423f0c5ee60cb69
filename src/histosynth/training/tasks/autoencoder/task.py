"""The autoencoder task: checks its recipe, and builds what the loop trains."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderDC

from ....core.errors import BadRecipe
from ....core.shipped import starting_point
from ....model.autoencoder import build_autoencoder, with_new_decoder
from ....model.device import convert_network
from ....model.grain_files import read_grain
from ....model.info import read_info
from ....model.parts import load_part
from ....tensors.device import DTYPES
from ....tissue.grain_table import Grain
from ....tissue.tile_noise import has_jpeg_blocks
from ...loop.preflight import preflight
from ...recipes.autoencoder import AutoencoderPlan, AutoencoderRecipe
from ..task import OpenedTiles, RunContext, Task, Training
from ..tile_checks import MIN_PROBE_PX, open_examples, refuse_no_share, refuse_small_tiles
from .adversary import Adversary, TileGrain, in_canonical_stain
from .discriminator import Discriminator
from .train_task import AutoencoderTrainTask


@dataclass(frozen=True)
class OpenedAutoencoder(OpenedTiles):
    """Tiles, the autoencoder to continue from (None: train from scratch), and the grain that lies
    over decoded crops.
    """

    start: AutoencoderDC | None
    grain: Grain | None


def _check(recipe: AutoencoderRecipe, base_folder: Path) -> OpenedAutoencoder:
    preflight(recipe.loop, smallest=None)
    train, held_out = open_examples(recipe.data, base_folder)
    refuse_no_share(recipe.task, train)
    refuse_small_tiles(
        recipe.task,
        held_out,
        MIN_PROBE_PX,
        "the least that is measured",
    )
    refuse_small_tiles(
        recipe.task,
        train,
        recipe.data.crop,
        "data.crop",
    )
    start = None
    if recipe.start:
        folder = starting_point(recipe.start, base_folder, part="autoencoder")
        start = load_part(folder, AutoencoderDC)
    grain = None
    if recipe.model.grain_of:
        grain = _open_grain(starting_point(recipe.model.grain_of, base_folder))
    return OpenedAutoencoder(train, held_out, start, grain)


def _open_grain(bundle: Path) -> Grain:
    """The grain of a bundle.

    Raises:
        BundleMismatch, BadWeights: it is no bundle, or its file of grain is missing or damaged.
        BadRecipe: it has no grain.
    """
    table = read_info(bundle).grain
    if table is None:
        raise BadRecipe("model.grain_of", [f"the bundle {bundle} has no grain"])
    return read_grain(bundle, table)


def _build(
    recipe: AutoencoderRecipe,
    opened: OpenedAutoencoder,
    context: RunContext,
) -> Training:
    plan = recipe.model
    model = opened.start or _new_autoencoder(plan)
    teacher = copy.deepcopy(model.decoder) if plan.teacher_weight else None
    if plan.decoder_widths:
        model = with_new_decoder(
            model,
            widths=plan.decoder_widths,
            layers=plan.decoder_layers,
        )
    model.requires_grad_(True)
    if plan.decoder_only:
        model.encoder.requires_grad_(False)
    stored = {key: value.clone() for key, value in model.state_dict().items()}
    for network in (model, teacher):
        if network is not None:
            convert_network(
                network,
                device=context.device,
                dtype=DTYPES[recipe.loop.precision],
            )
    train = opened.train
    if opened.grain is not None:
        train = [in_canonical_stain(example) for example in train]
    train_task = AutoencoderTrainTask(
        model,
        train,
        [example.pixels for example in opened.held_out],
        batch=recipe.loop.batch,
        data=recipe.data,
        plan=plan,
        stored=stored,
        teacher=teacher,
        adversary=_adversary(recipe, opened, context.device),
    )
    return Training(train_task)


def _adversary(
    recipe: AutoencoderRecipe,
    opened: OpenedAutoencoder,
    device: str,
) -> Adversary | None:
    weight = recipe.model.adversarial_weight
    if not weight:
        return None
    torch.manual_seed(recipe.seed)
    discriminator = Discriminator()
    convert_network(discriminator, device=device)
    tiles = [example.pixels for example in opened.train]
    has_blocks = [has_jpeg_blocks(tile) for tile in tiles]
    grain = None
    if opened.grain is not None:
        grain = TileGrain.of(opened.grain, tiles)
    return Adversary(discriminator, weight, ~np.array(has_blocks), grain)


def _new_autoencoder(plan: AutoencoderPlan) -> AutoencoderDC:
    return build_autoencoder(
        latent_channels=plan.latent_channels,
        widths=plan.widths,
        encoder_layers=plan.encoder_layers,
        decoder_layers=plan.decoder_layers,
    )


AUTOENCODER = Task(
    ("autoencoder",),
    AutoencoderRecipe,
    _check,
    _build,
)
