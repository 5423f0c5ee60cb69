"""Conditions and noise in, canonical tissue out: what both `synthesize` and `complete` stand on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.progress import ProgressCallback
from ..model import autoencoder as ae
from ..model.bundle import Bundle
from ..model.structure import StructureFeatures, StructureMaps
from .exemplar_start import held
from .solvers import Denoise, guided, solve


@dataclass(frozen=True)
class Settings:
    """How to sample.

    Attributes:
        steps: solver steps.
        guidance: 1 follows the nuclei as trained; above 1 follows them more strictly and varies
            less.
        solver: one of `solver.SOLVERS`.
        shift: above 1 spends more steps at high noise.
        guidance_span: times, 1 all noise and 0 none, between which guidance works.
        exemplar: a hole starts from tissue copied from around it; see `sampling/exemplar_start.py`.
    """

    steps: int = 20
    guidance: float = 1.0
    solver: str = "dpm"
    shift: float = 1.0
    guidance_span: tuple[float, float] = (0.0, 1.0)
    exemplar: bool = True


@torch.inference_mode()
def paint_latents(
    bundle: Bundle,
    maps: StructureMaps,
    style: Tensor,
    noise: Tensor,
    settings: Settings,
    *,
    start: tuple[Tensor, Tensor] | None = None,
    on_progress: ProgressCallback | None = None,
) -> Tensor:
    """Sample clean standardised latents (B, C, h, w) with whatever adapter the base wears.

    Args:
        bundle: the networks.
        maps: the conditions' maps; the structure encoder runs on them once.
        style: (B, S) from `model.maps.style_vector`.
        noise: (B, C, h, w) unit normal.
        settings: steps, guidance, solver.
        start: latents (B, C, h, w) to start from, and the times (B, 1, h, w) at which each cell
            leaves them.
        on_progress: told (done, total).
    """
    denoiser = bundle.denoiser
    device = bundle.device
    style = style.to(device)

    def predict_x0(features: StructureFeatures, style: Tensor) -> Denoise:
        return lambda noisy, time: denoiser.predict_x0(noisy, time, features, style)

    features = bundle.features(maps)
    conditional = both = predict_x0(features, style)
    if settings.guidance != 1:
        undefined = bundle.features(maps.without_nuclei())
        both = predict_x0(features.joined(undefined), torch.cat([style, denoiser.undefined(style)]))
    denoise = guided(
        conditional,
        both,
        settings.guidance,
        settings.guidance_span,
    )
    if start is not None:
        denoise = held(denoise, *(each.to(device) for each in start))
    return solve(
        denoise,
        noise.to(device),
        steps=settings.steps,
        solver=settings.solver,
        shift=settings.shift,
        on_progress=on_progress,
    )


@torch.inference_mode()
def decode_canonical(bundle: Bundle, latents: Tensor) -> Tensor:
    """Standardised latents (B, C, h, w) => (B, 8 h, 8 w, 3) float32 in [0, 255], canonical
    stain.
    """
    raw = bundle.raw_latents(latents)
    if bundle.device.type == "cpu":  # one by one: faster there, and the same bits in any batch
        decoded = torch.cat([ae.decode(bundle.autoencoder, each) for each in torch.split(raw, 1)])
    else:
        decoded = ae.decode(bundle.autoencoder, raw)
    return ((decoded.movedim(1, -1) + 1) * 127.5).clamp(0, 255).cpu()
