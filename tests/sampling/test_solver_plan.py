"""A solver's coefficients do what the solver does."""

import pytest
import torch

from histosynth.sampling.painter import SamplingSettings
from histosynth.sampling.solver_plan import solver_plan
from histosynth.sampling.solvers import SOLVERS, solve
from histosynth.testing import GaussianBase

BASE = GaussianBase(0.3, 0.7)


def follow(plan, noise, denoise):
    estimates = []

    def mixed(share, shares):
        total = share * noise
        for each, estimate in zip(shares, estimates, strict=True):
            total = total + each * estimate
        return total

    for call in plan.calls:
        estimates.append(
            denoise(mixed(call.noise, call.estimates), torch.full((len(noise),), call.time))
        )
    return mixed(plan.noise, plan.estimates)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 8, 20])
@pytest.mark.parametrize("shift", [1.0, 1.7])
def test_a_plan_gives_what_the_solver_gives(solver, steps, shift):
    noise = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    plan = solver_plan(SamplingSettings(steps=steps, solver=solver, shift=shift))
    expected = solve(BASE.denoise, noise, steps=steps, solver=solver, shift=shift)
    assert torch.allclose(follow(plan, noise, BASE.denoise), expected, atol=1e-5)


def test_euler_in_one_step_is_its_only_estimate():
    plan = solver_plan(SamplingSettings(steps=1, solver="euler"))
    (call,) = plan.calls
    assert (call.time, call.noise, call.estimates) == (1.0, 1.0, ())
    assert (plan.noise, plan.estimates) == (0.0, (1.0,))


def test_euler_in_two_steps_by_hand():
    """From t = 1 half of the way towards the first estimate, then all of it to the second."""
    plan = solver_plan(SamplingSettings(steps=2, solver="euler"))
    assert [call.time for call in plan.calls] == [1.0, 0.5]
    assert (plan.calls[1].noise, plan.calls[1].estimates) == (0.5, (0.5,))
    assert (plan.noise, plan.estimates) == (0.0, (0.0, 1.0))


def test_heun_calls_twice_a_step_but_for_the_last():
    assert len(solver_plan(SamplingSettings(steps=4, solver="heun")).calls) == 7


def test_guidance_holds_within_its_span():
    settings = SamplingSettings(
        steps=4,
        solver="euler",
        guidance=2.0,
        guidance_span=(0.3, 0.8),
    )
    calls = solver_plan(settings).calls
    assert [call.guidance for call in calls] == [1.0, 2.0, 2.0, 1.0]
