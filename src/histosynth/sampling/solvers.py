"""The one sampling loop: from noise to clean latents, through a denoiser it knows nothing of.

Steps are diffusers' schedulers; the networks behind the seam say where the clean latents are, and
this file only turns that into what a scheduler wants to hear. Every item has a generator of its
own, so an image is the same in any batch, order or process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from ..core.errors import BadOption
from ..core.progress import ProgressCallback
from ..model.prediction import flow_level

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(noisy (B, C, h, w), time (B,) in [0, 1]) => clean (B, C, h, w)."""


SOLVERS: dict[str, Callable[[float], Any]] = {
    "dpm": lambda shift: DPMSolverMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=shift,
        final_sigmas_type="zero",
    ),
    "unipc": lambda shift: UniPCMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=shift,
        final_sigmas_type="zero",
    ),
    "euler": lambda shift: FlowMatchEulerDiscreteScheduler(shift=shift),
    "heun": lambda shift: FlowMatchHeunDiscreteScheduler(shift=shift),
}


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
        on_progress: told (done, total) after each step.

    Raises:
        BadOption: unknown solver, or steps out of 1..200.
    """
    if solver not in SOLVERS:
        raise BadOption("solver", solver, f"one of {', '.join(SOLVERS)}")
    if not 1 <= steps <= 200:
        raise BadOption("--steps", steps, "from 1 to 200")
    scheduler = SOLVERS[solver](shift)
    scheduler.set_timesteps(steps)
    x = noise.float()
    last = scheduler.config.num_train_timesteps
    for index, timestep in enumerate(scheduler.timesteps):
        time = torch.full((len(x),), float(timestep) / last, device=x.device)
        clean = denoise(x, time)
        level = flow_level(time.reshape(-1, 1, 1, 1))
        velocity = (x - clean) / level.noise  # x = (1 - t) x0 + t e  =>  v = e - x0 = (x - x0) / t
        x = scheduler.step(velocity, timestep, x, return_dict=False)[0]
        if on_progress:
            on_progress(index + 1, len(scheduler.timesteps))
    return x


def guided(
    conditional: Denoise,
    both: Denoise,
    strength: float,
    span: tuple[float, float] = (0.0, 1.0),
) -> Denoise:
    """Classifier-free guidance (Ho & Salimans 2022) on the clean estimate; 1 is no guidance.

    Only times within `span` are guided: at high noise guidance narrows what is made, at low noise
    it does little (Kynkaanniemi et al. 2024).

    Args:
        conditional: estimate that follows the condition.
        both: given the batch twice over, the estimate that follows it and, below, the one that does
            not.
        strength: 1 is `conditional` itself.
        span: least and greatest time that is guided.
    """
    if strength == 1:
        return conditional

    def denoise(noisy: Tensor, time: Tensor) -> Tensor:
        if not span[0] <= float(time[0]) <= span[1]:  # all items are at the same time
            return conditional(noisy, time)
        told, without = both(torch.cat([noisy, noisy]), torch.cat([time, time])).chunk(2)
        return without + strength * (told - without)

    return denoise


def item_generator(seed: int, *place: int) -> torch.Generator:
    """The generator of one item: the same for the same seed and place, whatever else is made."""
    words = np.random.SeedSequence([seed, *place]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


def item_noise(shape: tuple[int, int, int], generators: Sequence[torch.Generator]) -> Tensor:
    """Unit normal noise (B, C, h, w), each item from its own generator, drawn on the CPU."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])
