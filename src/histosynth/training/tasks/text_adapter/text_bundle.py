"""A bundle on a text-conditioned base as training begins with it: the base unchanged, and a new
structure encoder whose output layers are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ....core.errors import BadRecipe
from ....core.paths import real_path
from ....model.adapters import base_sha256
from ....model.bundle import Bundle
from ....model.conditioning import style_length
from ....model.families.opening import BaseLocation, OpenedBase, embed, open_base
from ....model.families.text_family import TextBase
from ....model.info import BundleInfo, NamedBase
from ....model.structure import StructureEncoder
from ....model.trial_run import check_runs
from ....tissue.appearance import STYLE_NAMES
from ...data.sources import Example
from ...recipes.text_adapter import TextAdapterRecipe
from ..diffusion.new_bundle import palette_of

MAX_OWN_WIDTH = 256
"""Own channels of the structure encoder at a scale, where the recipe names none."""
MIN_OWN_WIDTH = 8
MIN_MAX_PX = 1024
"""Largest side that the bundle is for, where no crop is larger."""


def prompts_of(recipe: TextAdapterRecipe) -> tuple[str, ...]:
    """The empty prompt, the prompt without a label, and the prompt of each label.

    Raises:
        UnnamedLabel, BadRecipe: a label has no name, or a prompt is too long.
    """
    of_labels = [recipe.prompts.prompt_of(label) for label in ("", *recipe.labels)]
    return ("", *of_labels)


def text_bundle(
    recipe: TextAdapterRecipe,
    base_folder: Path,
    examples: Sequence[Example],
) -> Bundle:
    """Open a recipe's base as a bundle.

    Args:
        recipe: names base, prompts and classes.
        base_folder: folder that the recipe's paths start from.
        examples: training tiles, for the palette.

    Raises:
        BadWeights: the base is not there, or of no known family.
        BundleMismatch: its parts do not fit each other.
        BadRecipe: structure_widths do not fit it.
    """
    location = BaseLocation(
        recipe.base,
        base_folder,
        recipe.base_config,
        recipe.prediction or None,
    )
    prompts = prompts_of(recipe)
    opened = open_base(location)
    structure = _new_structure_encoder(recipe, opened)
    sha256 = base_sha256(opened.network)
    config = ""
    if recipe.base_config:
        config = str(real_path(base_folder / recipe.base_config))
    named_base = NamedBase(location.recorded_name(), sha256, config)
    info = _bundle_info(
        recipe,
        opened,
        named_base,
        prompts,
        examples,
    )
    base = TextBase(
        opened.family,
        opened.schedule,
        embed(location, opened.family, prompts),
        style_length(len(STYLE_NAMES), 0) - 1,
        opened.inpainting,
    )
    bundle = Bundle(
        info,
        opened.autoencoder,
        opened.network,
        structure,
        base_sha256=sha256,
        base=base,
    )
    check_runs(bundle, opened.path)
    return bundle


def _new_structure_encoder(recipe: TextAdapterRecipe, opened: OpenedBase) -> StructureEncoder:
    residuals = opened.family.residual_shapes(opened.network)
    outputs = residuals.channels
    widths = recipe.structure_widths or _default_widths(outputs)
    if len(widths) != len(outputs):
        named = f"structure_widths names {len(widths)} widths"
        taken = f"the base takes structure in {len(outputs)} places"
        raise BadRecipe(recipe.task, [f"{named}, but {taken}"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        structure: StructureEncoder = StructureEncoder(
            classes=len(recipe.data.classes),
            fine=0,
            widths=widths,
            outputs=outputs,
            strides=residuals.strides,
        )
    return structure


def _default_widths(outputs: Sequence[int]) -> tuple[int, ...]:
    """Half of the base's channels at each scale, in multiples of 8 within the limits."""
    widths = []
    for channels in outputs:
        half = channels // 2 // 8 * 8
        widths.append(min(max(half, MIN_OWN_WIDTH), MAX_OWN_WIDTH))
    return tuple(widths)


def _bundle_info(
    recipe: TextAdapterRecipe,
    opened: OpenedBase,
    named_base: NamedBase,
    prompts: tuple[str, ...],
    examples: Sequence[Example],
) -> BundleInfo:
    vae = opened.autoencoder.config
    channels = int(vae.latent_channels)
    return BundleInfo(
        name=recipe.name,
        mpp=recipe.data.mpp,
        classes=recipe.data.classes,
        any_class=recipe.conditions.drop_classes > 0,
        labels=recipe.labels,
        latent_mean=(float(vae.shift_factor or 0),) * channels,
        latent_std=(1 / float(vae.scaling_factor),) * channels,
        style_mean=(0.0,) * len(STYLE_NAMES),
        style_std=(1.0,) * len(STYLE_NAMES),
        prediction=opened.schedule.prediction_type,
        most_px=max(MIN_MAX_PX, *recipe.conditions.crops),
        steps=opened.family.default_steps,
        palette=palette_of(examples),
        licence="that of the base; see its card",
        data=tuple(f"{source.images}: {source.licence}" for source in recipe.data.train),
        family=opened.family.name,
        base=named_base,
        prompts=prompts,
    )
