"""A bundle as training begins it: a random base, standardised on the training views."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoencoderDC

from ..model.bundle import Bundle
from ..model.conditioning import style_length
from ..model.families.compact import COMPACT_FAMILY, build_unet
from ..model.info import BundleInfo, PaletteEntry
from ..model.structure import StructureEncoder
from ..tissue.appearance import STYLE_NAMES, measure_appearance
from ..tissue.palette import choose_palette
from .data.sources import Example
from .data.views import LatentView
from .recipes import DiffusionRecipe

PALETTE = 8
"""Appearances that a bundle offers."""


def fresh_bundle(
    recipe: DiffusionRecipe,
    autoencoder: AutoencoderDC,
    views: Sequence[Sequence[LatentView]],
    examples: Sequence[Example],
) -> Bundle:
    """A bundle with a random base, standardised on the training views."""
    plan = recipe.base
    data = recipe.data
    cells = torch.cat(
        [view.latents.float().flatten(1) for each in views for view in each[:4]], dim=1
    )
    styles = torch.cat([view.styles for each in views for view in each])
    info = BundleInfo(
        name=recipe.name,
        mpp=data.mpp,
        classes=data.classes,
        any_class=recipe.conditions.drop_classes > 0,
        labels=plan.labels,
        latent_mean=tuple(cells.mean(1).tolist()),
        # one scale for all channels: the autoencoder made coarse ones louder on purpose
        latent_std=(float(cells.std(1).square().mean().sqrt()),) * len(cells),
        style_mean=tuple(styles.mean(0).tolist()),
        style_std=tuple(styles.std(0).clamp_min(1e-3).tolist()),
        palette=palette_of(examples),
        data=tuple(f"{source.images}: {source.licence}" for source in data.train),
    )
    unet = build_unet(
        latent_channels=len(info.latent_mean),
        fine=plan.fine,
        style=style_length(len(STYLE_NAMES), len(plan.labels)),
        widths=plan.widths,
        layers=plan.layers,
        head=plan.head,
    )
    shapes = COMPACT_FAMILY.residual_shapes(unet)
    structure = StructureEncoder(
        classes=len(data.classes),
        fine=plan.fine,
        widths=plan.structure_widths,
        outputs=shapes.channels,
        strides=shapes.strides,
    )
    if structure.to_fine is not None and not plan.sees_structure:
        for (
            parameter
        ) in structure.to_fine.parameters():  # random features of the nuclei would tell of them
            torch.nn.init.zeros_(parameter)
    return Bundle(info, autoencoder, unet, structure)


def palette_of(examples: Sequence[Example]) -> tuple[PaletteEntry, ...]:
    """Appearances of tiles whose nuclei are known: those are the tissue the bundle paints best."""
    marked = [example for example in examples if example.nuclei is not None] or list(examples)
    measured = [measure_appearance(example.tile.pixels) for example in marked]
    return tuple(
        PaletteEntry(
            f"stain-{place}",
            measured[index].frame.scale,
            tuple(measured[index].style.tolist()),
        )
        for place, index in enumerate(choose_palette(measured, PALETTE), start=1)
    )
