"""The path that a solver takes from noise to clean latents, at times on the way."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..model.denoiser import Denoise
from .solvers import solve

_NEAR = 2e-3
"""diffusers' schedules come this near to even times."""


def follow_path(
    denoise: Denoise,
    noise: Tensor,
    *,
    times: Sequence[float],
    steps: int,
) -> list[Tensor]:
    """Latents (B, C, h, w) of UniPC's solver at some times of its own steps.

    Args:
        denoise: estimate of the clean latents.
        noise: (B, C, h, w) unit normal, at time 1.
        times: descending, the last 0; the others are even parts of `steps`.
        steps: of the solver, from 1 to 0.

    Raises:
        ValueError: the solver does not come by one of the times.
    """
    passed: dict[float, Tensor] = {}

    def watching(noisy: Tensor, time: Tensor) -> Tensor:
        now = float(time[0])
        for wanted in times[:-1]:
            if abs(now - wanted) < _NEAR:
                passed[wanted] = noisy.clone()
        return denoise(noisy, time)

    end = solve(
        watching,
        noise,
        steps=steps,
        solver="unipc",
    )
    missing = [time for time in times[:-1] if time not in passed]
    if missing:
        raise ValueError(f"{steps} steps do not come by the times {missing}")
    return [*(passed[time] for time in times[:-1]), end]
