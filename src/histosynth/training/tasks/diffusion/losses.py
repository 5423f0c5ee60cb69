"""The diffusion loss: where errors have more weight, and at which noise levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ....model.prediction import NoiseLevel, PredictionType, min_snr_weight, target_for
from ....model.structure import NUCLEI_CELL, StructureMaps

NUCLEUS_WEIGHTS = {"mitotic figure": 2.3}
"""Weight of a nucleus' latents against plain tissue; SarcoDiff weighs mitotic figures 2.3 x stroma.
Other classes weigh 1.5, a choice that was not measured against others."""
OTHER_NUCLEI_WEIGHT = 1.5
KNOWN_WEIGHT = 0.05
"""Weight of tissue outside the mask: it is pasted back, so it matters only as the context of the
mask."""


def class_weights(classes: Sequence[str], chosen: Mapping[str, float]) -> Tensor:
    """(K,) weight of each nucleus class: the recipe's, else the default."""
    weights = []
    for name in classes:
        default = NUCLEUS_WEIGHTS.get(name, OTHER_NUCLEI_WEIGHT)
        weights.append(chosen.get(name, default))
    return torch.tensor(weights, dtype=torch.float32)


def place_weights(maps: StructureMaps, weights: Tensor, cell: int) -> Tensor:
    """(B, 1, h, w): the weight of each latent cell's error.

    A cell under a nucleus of class k has `weights[k]` at the nucleus' centre, which fades to 1 with
    its splat. Cells wholly outside the mask have `KNOWN_WEIGHT`.

    Args:
        maps: nuclei and masks, (B).
        weights: (K,) of the classes.
        cell: side of a latent cell, px.
    """
    peaks = F.max_pool2d(maps.nuclei, cell // NUCLEI_CELL)
    peaks = F.max_pool2d(
        peaks,
        3,
        stride=1,
        padding=1,
    )  # a nucleus is wider than its splat
    # a nucleus without a class is in all channels with 1 / K: the sum weighs it as their mean
    extra = (
        peaks
        * (weights.to(peaks) - 1).reshape(
            1,
            -1,
            1,
            1,
        )
    ).sum(dim=1, keepdim=True)
    extra = extra.clamp(max=float((weights - 1).max()))
    inside = F.max_pool2d(maps.mask, cell)
    return (1 + extra) * (KNOWN_WEIGHT + (1 - KNOWN_WEIGHT) * inside)


def diffusion_loss(
    output: Tensor,
    clean: Tensor,
    noise: Tensor,
    level: NoiseLevel,
    *,
    prediction_type: PredictionType,
    places: Tensor,
    min_snr: float,
    target: Tensor | None = None,
) -> Tensor:
    """Weighted mean squared error of a network's output, (B,) float32.

    Args:
        output: of the network, in its own units.
        clean: the latents, (B, C, h, w).
        noise: the noise they were mixed with, (B, C, h, w).
        level: at which scales, (B,).
        prediction_type: the network's units.
        places: (B, 1, h, w) from `place_weights`; normalised to mean 1 per item.
        min_snr: gamma of min-SNR; 0 weighs all levels alike in the network's units.
        target: the desired output, in the network's units; None: that of `clean` and `noise`.
    """
    if target is None:
        target = target_for(
            prediction_type,
            clean,
            noise,
            level,
        )
    error = (output - target) ** 2
    places = places / places.mean(dim=(1, 2, 3), keepdim=True)
    losses = (error * places).mean(dim=(1, 2, 3))
    if not min_snr:
        return losses
    return losses * min_snr_weight(prediction_type, level, min_snr).to(losses)


def draw_steps(count: int, generator: torch.Generator, *, steps: int) -> Tensor:
    """Times (count,) in [0, 1] on the steps of a discrete base, each alike, stratified."""
    ranks = _stratified_ranks(count, generator)
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
    ranks = _stratified_ranks(count, generator)
    normal = torch.special.ndtri(ranks.clamp(1e-4, 1 - 1e-4))
    return torch.sigmoid(mean + spread * normal)


def _stratified_ranks(count: int, generator: torch.Generator) -> Tensor:
    """(count,) one uniform number from each of `count` equal parts of [0, 1)."""
    return (torch.arange(count) + torch.rand(count, generator=generator)) / count
