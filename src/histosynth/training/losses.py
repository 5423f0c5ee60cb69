"""The diffusion loss: where errors count more, and at which noise levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.prediction import Level, PredictionType, min_snr_weight, target_for
from ..model.structure import NUCLEI_CELL, StructureMaps

NUCLEUS_WEIGHTS = {"mitotic figure": 2.3}
"""Weight of a nucleus' latents against plain tissue; SarcoDiff weighs mitotic figures 2.3 x stroma.
Kinds not named weigh 1.5, a choice that was not measured against others."""
OTHER_NUCLEI = 1.5
KNOWN_WEIGHT = 0.05
"""Weight of tissue outside the hole: it is pasted back, so it matters only as the hole's
neighbour."""


def class_weights(classes: Sequence[str], chosen: Mapping[str, float]) -> Tensor:
    """(K,) weight of each nucleus class: the recipe's, else the default."""
    defaults = {name: NUCLEUS_WEIGHTS.get(name, OTHER_NUCLEI) for name in classes}
    return torch.tensor([{**defaults, **chosen}[name] for name in classes], dtype=torch.float32)


def place_weights(maps: StructureMaps, weights: Tensor, cell: int) -> Tensor:
    """(B, 1, h, w): how much each latent cell's error counts.

    A cell under a nucleus of class k counts `weights[k]` at the nucleus' centre and fades to 1 with
    its splat. Cells wholly outside the hole count `KNOWN_WEIGHT`.
    """
    peaks = F.max_pool2d(maps.nuclei, cell // NUCLEI_CELL)
    peaks = F.max_pool2d(peaks, 3, stride=1, padding=1)  # a nucleus is wider than its splat
    # a nucleus of no told kind stands in all channels with 1 / K: the sum weighs it as their mean
    extra = (peaks * (weights.to(peaks) - 1).reshape(1, -1, 1, 1)).sum(dim=1, keepdim=True)
    extra = extra.clamp(max=float((weights - 1).max()))
    touched = F.max_pool2d(maps.mask, cell)
    return (1 + extra) * (KNOWN_WEIGHT + (1 - KNOWN_WEIGHT) * touched)


def diffusion_loss(
    output: Tensor,
    clean: Tensor,
    noise: Tensor,
    level: Level,
    *,
    prediction_type: PredictionType,
    places: Tensor,
    min_snr: float,
    target: Tensor | None = None,
) -> Tensor:
    """Weighted mean squared error of a network's output, (B,) float32.

    Args:
        output: what the network said, in its own units.
        clean: the latents, (B, C, h, w).
        noise: the noise they were mixed with, (B, C, h, w).
        level: at which scales, (B,).
        prediction_type: the network's units.
        places: (B, 1, h, w) from `place_weights`; normalised here to mean 1 per item.
        min_snr: gamma of min-SNR; 0 weighs all levels alike in the network's units.
        target: what it should have said, in its own units; made of `clean` and `noise` where
            absent.
    """
    wanted = target_for(prediction_type, clean, noise, level) if target is None else target
    error = (output - wanted) ** 2
    places = places / places.mean(dim=(1, 2, 3), keepdim=True)
    each = (error * places).mean(dim=(1, 2, 3))
    return each * min_snr_weight(prediction_type, level, min_snr).to(each) if min_snr else each


def draw_steps(count: int, generator: torch.Generator, *, steps: int) -> Tensor:
    """Times (count,) in [0, 1] that are whole steps of a discrete base, each alike, stratified."""
    ranks = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    return (ranks * steps).floor().clamp(max=steps - 1) / (steps - 1)


def draw_times(
    count: int,
    generator: torch.Generator,
    *,
    mean: float,
    spread: float,
) -> Tensor:
    """Flow times (count,) in (0, 1): logit-normal (Esser et al. 2024), stratified over the
    batch.
    """
    ranks = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    normal = torch.special.ndtri(ranks.clamp(1e-4, 1 - 1e-4))
    return torch.sigmoid(mean + spread * normal)
