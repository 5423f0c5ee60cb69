"""Between network and solver: from what a network predicts to an estimate of clean latents.

A noisy latent is  x = a x0 + s e,  with (a, s) = (1 - t, t) for flow matching (Lipman et al. 2023)
and (sqrt(abar), sqrt(1 - abar)) for variance-preserving diffusion (Ho et al. 2020). The
signal-to-noise ratio is (a / s)^2 in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

PredictionType = Literal["flow", "epsilon", "v_prediction"]


@dataclass(frozen=True)
class NoiseLevel:
    """Signal and noise scales of a batch, each (B,) float32."""

    signal: Tensor
    noise: Tensor

    @property
    def snr(self) -> Tensor:
        """(B,) signal-to-noise ratio."""
        return (self.signal / self.noise.clamp_min(1e-8)) ** 2

    def mix(
        self,
        clean: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """Clean latents (B, C, h, w) and unit noise => noisy latents."""
        return _wide(self.signal, clean) * clean + _wide(self.noise, clean) * noise


def flow_level(time: Tensor) -> NoiseLevel:
    """Level at flow time t in [0, 1]: 0 is clean, 1 is noise."""
    return NoiseLevel(1 - time, time)


def x0_from(
    prediction_type: PredictionType,
    output: Tensor,
    noisy: Tensor,
    level: NoiseLevel,
) -> Tensor:
    """The clean latents that follow from a network's output."""
    return _CLEAN[prediction_type](
        output,
        noisy,
        _wide(level.signal, noisy),
        _wide(level.noise, noisy),
    )


def target_for(
    prediction_type: PredictionType,
    clean: Tensor,
    noise: Tensor,
    level: NoiseLevel,
) -> Tensor:
    """The output that a network of this prediction type should have."""
    a = _wide(level.signal, clean)
    s = _wide(level.noise, clean)
    match prediction_type:
        case "flow":
            return noise - clean
        case "epsilon":
            return noise
        case "v_prediction":  # Salimans & Ho 2022
            return a * noise - s * clean


def min_snr_weight(
    prediction_type: PredictionType,
    level: NoiseLevel,
    gamma: float,
) -> Tensor:
    """Min-SNR loss weight (Hang et al. 2023, eq. 8) in the network's own units, (B,).

    The paper weights the error of the clean estimate by min(SNR, gamma). An error of the output is
    that error times a factor f(level), so the weight of each type is min(SNR, gamma) / f^2:
    epsilon 1/SNR, v 1/(SNR + 1), flow s^2.
    """
    capped = level.snr.clamp(max=gamma)
    match prediction_type:
        case "flow":
            return capped * level.noise**2
        case "epsilon":
            return capped / level.snr.clamp_min(1e-8)
        case "v_prediction":
            return capped / (level.snr + 1)


_Estimate = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
_CLEAN: dict[PredictionType, _Estimate] = {
    "flow": lambda output, noisy, a, s: noisy - s * output,
    "epsilon": lambda output, noisy, a, s: (noisy - s * output) / a.clamp_min(1e-4),
    "v_prediction": lambda output, noisy, a, s: a * noisy - s * output,
}


def _wide(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.device, torch.float32).reshape(-1, *[1] * (like.ndim - 1))
