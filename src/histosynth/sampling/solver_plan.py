"""A solver as numbers: for fixed times its steps are linear in the noise and in the estimates.

So one run on unit vectors shows all of its coefficients, whatever the solver does inside: if the
noise is the first unit vector and the n-th estimate the n-th one after it, then what the solver
gives to the denoiser is the row of coefficients itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.onnx_info import SolverCall, SolverPlan
from .painter import SamplingSettings
from .solvers import solve


def solver_plan(settings: SamplingSettings) -> SolverPlan:
    """The calls of a solver, with the coefficients of each.

    Args:
        settings: solver, steps, shift, guidance and its span.

    Raises:
        BadOption: an unknown solver, or steps out of range.
    """
    count = len(_inputs(settings, length=1)[0])
    inputs, result = _inputs(settings, length=1 + count)
    calls = []
    for index, (time, row) in enumerate(inputs):
        noise, *estimates = row
        call = SolverCall(
            time,
            _guidance_at(time, settings),
            noise,
            tuple(estimates[:index]),
        )
        calls.append(call)
    noise, *estimates = result
    return SolverPlan(
        settings.solver,
        settings.steps,
        tuple(calls),
        noise,
        tuple(estimates),
    )


def _inputs(
    settings: SamplingSettings,
    *,
    length: int,
) -> tuple[list[tuple[float, list[float]]], list[float]]:
    """Time and noisy latents of each call, and the result, of unit vectors of a length.

    Estimates that have no place in the vectors are 0.
    """
    inputs: list[tuple[float, list[float]]] = []

    def unit(index: int) -> Tensor:
        vector = torch.zeros(1, 1, 1, length)
        if index < length:
            vector[..., index] = 1
        return vector

    def denoise(noisy: Tensor, time: Tensor) -> Tensor:
        inputs.append((float(time[0]), noisy.flatten().tolist()))
        return unit(len(inputs))

    result = solve(
        denoise,
        unit(0),
        steps=settings.steps,
        solver=settings.solver,
        shift=settings.shift,
    )
    return inputs, result.flatten().tolist()


def _guidance_at(time: float, settings: SamplingSettings) -> float:
    first, last = settings.guidance_span
    if first <= time <= last:
        return settings.guidance
    return 1.0
