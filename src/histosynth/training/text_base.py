"""A bundle on a base of another make, as training begins it: the base as it is, and a structure
encoder that says nothing yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ..core.errors import BadRecipe
from ..model.adapters import base_sha256
from ..model.bundle import Bundle
from ..model.conditioning import style_length
from ..model.families.opening import BaseLocation, embed, open_base
from ..model.families.text_family import TextBase
from ..model.info import BundleInfo, NamedBase
from ..model.structure import StructureEncoder
from ..model.trial_run import check_runs
from ..tissue.appearance import STYLE_NAMES
from .data.sources import Example
from .new_bundle import palette_of
from .tasks.stable_recipe import StableRecipe

MOST_WIDTH = 256
"""Own channels of the structure encoder at a scale, where the recipe names none."""


def source_of(recipe: StableRecipe, here: Path) -> BaseLocation:
    """The base that a recipe names."""
    return BaseLocation(
        recipe.base,
        here,
        recipe.base_config,
        recipe.prediction or None,
    )


def prompts_of(recipe: StableRecipe) -> tuple[str, ...]:
    """Nothing, what is said without a label, and what is said of each label.

    Raises:
        UnnamedLabel, BadRecipe: a label has no name, or a prompt is too long.
    """
    return (
        "",
        recipe.prompts.prompt_of(""),
        *(recipe.prompts.prompt_of(label) for label in recipe.labels),
    )


def stable_bundle(recipe: StableRecipe, here: Path, examples: Sequence[Example]) -> Bundle:
    """Open a recipe's base and make a bundle of it.

    Args:
        recipe: says base, prompts and classes.
        here: folder that the recipe's paths start from.
        examples: training tiles, for the palette.

    Raises:
        BadWeights: the base is not there, or of a make that no seam knows.
        BundleMismatch: its parts do not fit each other.
        BadRecipe: structure_widths do not fit it.
    """
    source = source_of(recipe, here)
    prompts = prompts_of(recipe)
    opened = open_base(source)
    outputs, strides = opened.family.residual_shapes(opened.network)
    widths = recipe.structure_widths or tuple(
        min(max(out // 2 // 8 * 8, 8), MOST_WIDTH) for out in outputs
    )
    if len(widths) != len(outputs):
        problem = (
            f"structure_widths names {len(widths)} widths, but the base takes structure "
            f"in {len(outputs)}"
        )
        raise BadRecipe(recipe.task, [f"{problem} places"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        structure = StructureEncoder(
            classes=len(recipe.data.classes),
            fine=0,
            widths=widths,
            outputs=outputs,
            strides=strides,
        )
    told = opened.autoencoder.config
    sha256 = base_sha256(opened.network)
    config = str((here / recipe.base_config).resolve()) if recipe.base_config else ""
    channels = int(told.latent_channels)
    styles = len(STYLE_NAMES)
    info = BundleInfo(
        name=recipe.name,
        mpp=recipe.data.mpp,
        classes=recipe.data.classes,
        any_class=recipe.conditions.drop_classes > 0,
        labels=recipe.labels,
        latent_mean=(float(told.shift_factor or 0),) * channels,
        latent_std=(1 / float(told.scaling_factor),) * channels,
        style_mean=(0.0,) * styles,
        style_std=(1.0,) * styles,
        prediction=opened.schedule.prediction_type,
        most_px=max(1024, *recipe.conditions.crops),
        steps=opened.family.default_steps,
        palette=palette_of(examples),
        licence="that of the base; see its card",
        data=tuple(f"{each.images}: {each.licence}" for each in recipe.data.train),
        family=opened.family.name,
        base=NamedBase(source.recorded_name(), sha256, config),
        prompts=prompts,
    )
    text = embed(source, opened.family, prompts)
    base = TextBase(
        opened.family,
        opened.schedule,
        text,
        style_length(styles, 0) - 1,
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
