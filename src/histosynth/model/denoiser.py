"""The interface between a diffusion network and everything that trains it or samples from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor

from .prediction import NoiseLevel, PredictionType
from .structure import StructureFeatures

Denoise: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(noisy (B, C, h, w), time (B,) in [0, 1]) => clean (B, C, h, w)."""


class Denoiser(Protocol):
    """A network behind one interface, whatever its family.

    A network has times of its own, (B,) in [0, 1], 0 clean and 1 noise; `level` gives their scales.
    Solvers follow the straight path of flow matching, and `predict_x0` leads any network along it.
    """

    prediction_type: PredictionType
    """What the network predicts."""
    steps: int | None
    """Number of its discrete noise steps; None: its times are continuous."""

    def level(self, time: Tensor) -> NoiseLevel:
        """Signal and noise scales at the network's times, (B,) each."""

    def predict(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """The network's output for latents mixed at `level(time)`, in its own units, float32."""

    def predict_x0(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """Clean latents, of latents noised as x = (1 - t) x0 + t e with t = `time`."""

    def unconditional(self, style: Tensor) -> Tensor:
        """The style of the unconditional branch of guidance, (B, S)."""
