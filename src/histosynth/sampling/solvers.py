"""The sampling loop: from noise to clean latents, with any denoiser.

A solver is one entry of `SOLVERS`: a diffusers scheduler or a function with the arguments of
`Solver`. Every item has a random generator of its own, so an image is the same in any batch, order
or process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from ..core.errors import BadOption
from ..core.progress import ProgressCallback
from ..model.denoiser import Denoise
from ..model.prediction import flow_level

MAX_STEPS = 200


class Solver(Protocol):
    """Follows the flow from noise (t = 1) to clean latents (t = 0)."""

    def __call__(
        self,
        denoise: Denoise,
        noise: Tensor,
        *,
        steps: int,
        shift: float,
        on_progress: ProgressCallback | None,
    ) -> Tensor:
        """Clean latents (B, C, h, w); the arguments are those of `solve`."""


@dataclass(frozen=True)
class SchedulerSolver:
    """A solver whose steps are those of a diffusers scheduler.

    Attributes:
        scheduler: the scheduler's class.
        options: its settings besides `flow_shift`.
    """

    scheduler: Callable[..., Any]
    options: Mapping[str, Any]

    def __call__(
        self,
        denoise: Denoise,
        noise: Tensor,
        *,
        steps: int,
        shift: float,
        on_progress: ProgressCallback | None,
    ) -> Tensor:
        """Clean latents (B, C, h, w); the arguments are those of `solve`."""
        scheduler = self.scheduler(**self.options, flow_shift=shift)
        scheduler.set_timesteps(steps)
        last_timestep = scheduler.config.num_train_timesteps
        total = len(scheduler.timesteps)
        noisy = noise.float()
        for index, timestep in enumerate(scheduler.timesteps):
            velocity = _velocity(denoise, noisy, float(timestep) / last_timestep)
            noisy = scheduler.step(velocity, timestep, noisy).prev_sample
            if on_progress:
                on_progress(index + 1, total)
        return noisy


def _velocity(
    denoise: Denoise,
    noisy: Tensor,
    at: float,
) -> Tensor:
    """Velocity at a time above 0: x = (1 - t) x0 + t e, so that v = e - x0 = (x - x0) / t."""
    time = torch.full((len(noisy),), at, device=noisy.device)
    clean = denoise(noisy, time)
    level = flow_level(time.reshape(-1, 1, 1, 1))
    return (noisy - clean) / level.noise


def flow_times(steps: int, shift: float) -> list[float]:
    """Times of a solver, `steps` + 1 of them from 1 to 0, each shifted once.

    Esser et al. 2024, equation 23: t becomes s t / (1 + (s - 1) t).
    """
    times = []
    for index in range(steps + 1):
        even = 1 - index / steps
        times.append(shift * even / (1 + (shift - 1) * even))
    return times


@dataclass(frozen=True)
class FlowSolver:
    """Steps along the flow, of which the last ends at t = 0.

    diffusers' own schedule ends its calls at t = 0.001, so that the last of them moves nothing.

    Attributes:
        corrects: each step is taken with the mean of the velocities at both of its ends (Heun's
            method, Karras et al. 2022; two calls of the network), but for the last, as at t = 0 the
            flow has no velocity of its own. Else with the velocity at its beginning (Euler's; one).
    """

    corrects: bool

    def __call__(
        self,
        denoise: Denoise,
        noise: Tensor,
        *,
        steps: int,
        shift: float,
        on_progress: ProgressCallback | None,
    ) -> Tensor:
        """Clean latents (B, C, h, w); the arguments are those of `solve`."""
        times = flow_times(steps, shift)
        noisy = noise.float()
        for index, (start, end) in enumerate(pairwise(times)):
            velocity = _velocity(denoise, noisy, start)
            if self.corrects and end > 0:
                ahead = noisy + (end - start) * velocity
                velocity = (velocity + _velocity(denoise, ahead, end)) / 2
            noisy = noisy + (end - start) * velocity
            if on_progress:
                on_progress(index + 1, steps)
        return noisy


_MULTISTEP_FLOW = {
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "final_sigmas_type": "zero",
}

SOLVERS: dict[str, Solver] = {
    "dpm": SchedulerSolver(DPMSolverMultistepScheduler, _MULTISTEP_FLOW),
    "unipc": SchedulerSolver(UniPCMultistepScheduler, _MULTISTEP_FLOW),
    "euler": FlowSolver(corrects=False),
    "heun": FlowSolver(corrects=True),
}
"""By the name that `--solver` takes."""


def check_solver(name: str) -> None:
    """Refuse a solver that is not there.

    Raises:
        BadOption: naming those that are.
    """
    if name not in SOLVERS:
        raise BadOption("--solver", name, f"one of {', '.join(SOLVERS)}")


def check_steps(steps: int) -> None:
    """Refuse a number of solver steps that cannot be used.

    Raises:
        BadOption: outside 1 to `MAX_STEPS`.
    """
    if not 1 <= steps <= MAX_STEPS:
        raise BadOption("--steps", steps, f"from 1 to {MAX_STEPS}")


def solve(
    denoise: Denoise,
    noise: Tensor,
    *,
    steps: int,
    solver: str = "dpm",
    shift: float = 1.0,
    on_progress: ProgressCallback | None = None,
) -> Tensor:
    """Follow the flow from noise (t = 1) to clean latents (t = 0).

    Args:
        denoise: estimate of the clean latents at a time.
        noise: (B, C, h, w) unit normal.
        steps: solver steps; "heun" calls the network about twice a step.
        solver: one of `SOLVERS`.
        shift: above 1 spends more steps at high noise.
        on_progress: called with (done, total) after each step.

    Raises:
        BadOption: unknown solver, or steps outside 1 to 200.
    """
    check_solver(solver)
    check_steps(steps)
    return SOLVERS[solver](
        denoise,
        noise,
        steps=steps,
        shift=shift,
        on_progress=on_progress,
    )


def guided(
    conditional: Denoise,
    both: Denoise,
    strength: float,
    span: tuple[float, float] = (0.0, 1.0),
) -> Denoise:
    """Classifier-free guidance (Ho & Salimans 2022) on the clean estimate; 1 is no guidance.

    Only times within `span` are guided: at high noise guidance reduces variety, at low noise it
    does little (Kynkaanniemi et al. 2024).

    Args:
        conditional: estimate that follows the condition.
        both: for the batch repeated twice, the conditional estimates followed by the unconditional
            ones.
        strength: 1 is `conditional` itself.
        span: smallest and largest time that is guided.
    """
    if strength == 1:
        return conditional
    first, last = span

    def denoise(noisy: Tensor, time: Tensor) -> Tensor:
        now = float(time[0])  # all items are at the same time
        if not first <= now <= last:
            return conditional(noisy, time)
        estimates = both(torch.cat([noisy, noisy]), torch.cat([time, time]))
        with_condition, without = estimates.chunk(2)
        return without + strength * (with_condition - without)

    return denoise


def item_generator(seed: int, *place: int) -> torch.Generator:
    """The generator of one item: it depends on seed and place, and on no other item."""
    words = np.random.SeedSequence([seed, *place]).generate_state(2)
    high = int(words[0]) << 31
    low = int(words[1]) >> 1
    return torch.Generator().manual_seed(high | low)


def item_noise(shape: tuple[int, int, int], generators: Sequence[torch.Generator]) -> Tensor:
    """Unit normal noise (B, C, h, w), each item from its own generator, drawn on the CPU."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])
