"""A bundle as training begins with it: a random base, standardised on the training views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from diffusers import AutoencoderDC, UNet2DConditionModel

from ....model.bundle import Bundle
from ....model.conditioning import style_length
from ....model.families.compact import COMPACT_FAMILY, build_unet
from ....model.info import BundleInfo, PaletteEntry
from ....model.lost_grain import fit_lost_grain
from ....model.structure import StructureEncoder
from ....tissue.appearance import STYLE_NAMES, measure_appearance
from ....tissue.grain_table import Grain
from ....tissue.palette import choose_palette
from ...data.sources import Example
from ...data.views import LatentView
from ...recipes.diffusion import DiffusionRecipe

PALETTE_SIZE = 8
"""Appearances that a bundle offers."""
_STANDARDISING_VIEWS = 4
"""Views of each tile that latents are standardised on."""
_MIN_STYLE_STD = 1e-3
_MAX_GRAIN_TILES = 64
"""Tiles that grain is measured on, at most twice as many."""


def new_bundle(
    recipe: DiffusionRecipe,
    autoencoder: AutoencoderDC,
    views: Sequence[Sequence[LatentView]],
    examples: Sequence[Example],
) -> Bundle:
    """A bundle with a random base, standardised on the training views."""
    plan = recipe.base
    info = _bundle_info(recipe, views, examples)
    grain = _grain_of(autoencoder, examples)
    if grain is not None:
        info = replace(info, grain=grain.table)
    unet = build_unet(
        latent_channels=len(info.latent_mean),
        fine=plan.fine,
        style=style_length(len(STYLE_NAMES), len(plan.labels)),
        widths=plan.widths,
        layers=plan.layers,
        head=plan.head,
    )
    structure = _new_structure_encoder(recipe, unet)
    return Bundle(
        info,
        autoencoder,
        unet,
        structure,
        grain=grain,
    )


def _bundle_info(
    recipe: DiffusionRecipe,
    views: Sequence[Sequence[LatentView]],
    examples: Sequence[Example],
) -> BundleInfo:
    latents = []
    styles = []
    for views_of_tile in views:
        for view in views_of_tile[:_STANDARDISING_VIEWS]:
            latents.append(view.latents.float().flatten(1))
        for view in views_of_tile:
            styles.append(view.styles)
    cells = torch.cat(latents, dim=1)
    all_styles = torch.cat(styles)
    # one scale for all channels: coarse ones of the autoencoder are louder on purpose
    latent_std = float(cells.std(1).square().mean().sqrt())
    return BundleInfo(
        name=recipe.name,
        mpp=recipe.data.mpp,
        classes=recipe.data.classes,
        any_class=recipe.conditions.drop_classes > 0,
        labels=recipe.base.labels,
        latent_mean=tuple(cells.mean(1).tolist()),
        latent_std=(latent_std,) * len(cells),
        style_mean=tuple(all_styles.mean(0).tolist()),
        style_std=tuple(all_styles.std(0).clamp_min(_MIN_STYLE_STD).tolist()),
        palette=palette_of(examples),
        data=tuple(f"{source.images}: {source.licence}" for source in recipe.data.train),
    )


def _grain_of(autoencoder: AutoencoderDC, examples: Sequence[Example]) -> Grain | None:
    """What the autoencoder loses of the training tiles; None where they hold too little tissue."""
    step = max(len(examples) // _MAX_GRAIN_TILES, 1)
    try:
        return fit_lost_grain(autoencoder, (each.pixels for each in examples[::step]))
    except ValueError:
        return None


def _new_structure_encoder(
    recipe: DiffusionRecipe,
    unet: UNet2DConditionModel,
) -> StructureEncoder:
    plan = recipe.base
    residuals = COMPACT_FAMILY.residual_shapes(unet)
    structure: StructureEncoder = StructureEncoder(
        classes=len(recipe.data.classes),
        fine=plan.fine,
        widths=plan.structure_widths,
        outputs=residuals.channels,
        strides=residuals.strides,
    )
    if structure.to_fine is not None and not plan.sees_structure:
        # random features of the nuclei would be a condition too
        for parameter in structure.to_fine.parameters():
            torch.nn.init.zeros_(parameter)
    return structure


def palette_of(examples: Sequence[Example]) -> tuple[PaletteEntry, ...]:
    """Appearances of tiles with nuclei: a bundle generates tissue like theirs best."""
    with_nuclei = [example for example in examples if example.nuclei is not None]
    measured = [measure_appearance(example.pixels) for example in with_nuclei or list(examples)]
    palette = []
    for number, index in enumerate(choose_palette(measured, PALETTE_SIZE), start=1):
        appearance = measured[index]
        style = tuple(appearance.style.tolist())
        palette.append(PaletteEntry(f"stain-{number}", appearance.frame.scale, style))
    return tuple(palette)
