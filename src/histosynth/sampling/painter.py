"""Conditions and noise in, tissue in canonical stain out: used by `synthesize` and `complete`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.progress import ProgressCallback
from ..model import autoencoder as ae
from ..model.bundle import Bundle
from ..model.denoiser import Denoise, Denoiser
from ..model.inner_decoding import NO_RIM, Rim, decode_inside
from ..model.structure import StructureFeatures, StructureMaps
from .exemplar_start import NUCLEI_TIME, hold_start
from .solvers import guided, solve

EstimateCallback = Callable[[int, int, float, Tensor], None]
"""Called after each solver step with its number from 1, the number of steps, and the time and the
value (B, C, h, w) of the last estimate of the clean latents."""


@dataclass(frozen=True)
class SamplingSettings:
    """How to sample.

    Attributes:
        steps: solver steps.
        guidance: 1 follows the nuclei as trained; above 1 follows them more strictly and varies
            less.
        solver: one of `solvers.SOLVERS`.
        shift: above 1 spends more steps at high noise.
        guidance_span: times, 1 all noise and 0 none, between which guidance is applied.
        exemplar: a masked region starts from tissue copied from around it; see
            `sampling/exemplar_start.py`.
        grain: draw the grain that the autoencoder loses, if the bundle knows its statistics.
        few_steps: where the bundle has an adapter that does in few steps what another does, take
            that one, with its own steps and solver in place of these.
        nuclei_time: in (0, 1], when cells with nuclei leave the copied tissue of an exemplar.
    """

    steps: int = 20
    guidance: float = 1.0
    solver: str = "dpm"
    shift: float = 1.0
    guidance_span: tuple[float, float] = (0.0, 1.0)
    exemplar: bool = True
    grain: bool = True
    few_steps: bool = False
    nuclei_time: float = NUCLEI_TIME


@torch.inference_mode()
def paint_latents(
    bundle: Bundle,
    maps: StructureMaps,
    style: Tensor,
    noise: Tensor,
    settings: SamplingSettings,
    *,
    start: tuple[Tensor, Tensor] | None = None,
    on_estimate: EstimateCallback | None = None,
) -> Tensor:
    """Sample clean standardised latents (B, C, h, w) with the base's active adapter.

    Args:
        bundle: the networks.
        maps: the conditions' maps; the structure encoder runs on them once.
        style: (B, S) from `model.conditioning.style_vector`.
        noise: (B, C, h, w) unit normal.
        settings: steps, guidance, solver.
        start: latents (B, C, h, w) to start from, and the times (B, 1, h, w) at which each cell
            leaves them.
        on_estimate: called after each solver step; it must not change the estimate.
    """
    device = bundle.device
    denoise = guided_denoise(
        bundle,
        network_features(
            bundle,
            maps,
            settings,
        ),
        style.to(device),
        settings,
    )
    if start is not None:
        latents, times = start
        denoise = hold_start(denoise, latents.to(device), times.to(device))
    on_progress = None
    if on_estimate is not None:
        denoise, on_progress = _watched(denoise, on_estimate)
    return solve(
        denoise,
        noise.to(device),
        steps=settings.steps,
        solver=settings.solver,
        shift=settings.shift,
        on_progress=on_progress,
    )


def _watched(
    denoise: Denoise,
    on_estimate: EstimateCallback,
) -> tuple[Denoise, ProgressCallback]:
    """The same estimate, and a callback for the solver; each step's last estimate is handed on."""
    last: list[tuple[Tensor, Tensor]] = []

    def remembering(noisy: Tensor, time: Tensor) -> Tensor:
        clean = denoise(noisy, time)
        last[:] = [(time, clean)]
        return clean

    def report(done: int, total: int) -> None:
        time, clean = last[0]
        on_estimate(done, total, float(time[0]), clean)

    return remembering, report


def network_features(
    bundle: Bundle,
    maps: StructureMaps,
    settings: SamplingSettings,
) -> list[StructureFeatures]:
    """What the base takes of some conditions: with guidance, of them without nuclei too."""
    features = [bundle.features(maps)]
    if settings.guidance != 1:
        features.append(bundle.features(maps.without_nuclei()))
    return features


def guided_denoise(
    bundle: Bundle,
    features: Sequence[StructureFeatures],
    style: Tensor,
    settings: SamplingSettings,
) -> Denoise:
    """The bundle's clean estimate under these conditions, with guidance if it is not 1.

    Args:
        bundle: the networks.
        features: from `network_features`.
        style: (B, S) on the bundle's device.
        settings: guidance and its span.
    """
    denoiser = bundle.denoiser
    conditional = _conditional(
        denoiser,
        features[0],
        style,
    )
    if settings.guidance == 1:
        return conditional
    unconditional_style = denoiser.unconditional(style)
    both = _conditional(
        denoiser,
        features[0].joined(features[1]),
        torch.cat([style, unconditional_style]),
    )
    return guided(
        conditional,
        both,
        settings.guidance,
        settings.guidance_span,
    )


def _conditional(denoiser: Denoiser, features: StructureFeatures, style: Tensor) -> Denoise:
    return lambda noisy, time: denoiser.predict_x0(noisy, time, features, style)


@torch.inference_mode()
def decode_canonical(
    bundle: Bundle,
    latents: Tensor,
    margins: Rim = NO_RIM,
) -> Tensor:
    """Standardised latents (B, C, h, w) => (B, 8 h, 8 w, 3) float32 in [0, 255], canonical
    stain.

    Args:
        bundle: the networks.
        latents: standardised ones.
        margins: cells on each side whose pixels are not wanted: they only decide those inside.
    """
    raw = bundle.raw_latents(latents)
    if bundle.device.type == "cpu":
        # one by one: faster there, and the same bits in any batch
        each_alone = [
            decode_inside(
                bundle.autoencoder,
                each,
                margins,
            )
            for each in torch.split(raw, 1)
        ]
        decoded = torch.cat(each_alone)
    else:
        decoded = decode_inside(
            bundle.autoencoder,
            raw,
            margins,
        )
    return ae.to_float_pixels(decoded).cpu()
