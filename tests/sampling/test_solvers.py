"""Solvers against a base whose answer is known in closed form."""

import numpy as np
import pytest
import torch

from histosynth.core.errors import BadOption
from histosynth.sampling.solvers import SOLVERS, guided, item_generator, item_noise, solve
from histosynth.testing import GaussianBase

BASE = GaussianBase(mean=0.7, std=0.4)


def error(solver, steps, shift=1.0):
    noise = item_noise((2, 8, 8), [item_generator(0, i) for i in range(4)])
    painted = solve(
        BASE.denoise,
        noise,
        steps=steps,
        solver=solver,
        shift=shift,
    )
    return float((painted - BASE.exact(noise)).abs().mean())


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_converge_to_the_exact_answer(solver):
    assert error(solver, 64) < 0.02
    assert error(solver, 64) < error(solver, 8)


def one_noise():
    return item_noise((2, 8, 8), [item_generator(0, 0)])


def test_two_steps_of_euler_are_those_of_the_closed_form():
    """Normal data: the spread becomes s^2 / (1 + s^2) over t = 1, 1/2, 0; the mean is exact."""
    noise = one_noise()
    found = solve(BASE.denoise, noise, steps=2, solver="euler")
    spread = BASE.std**2 / (1 + BASE.std**2)
    torch.testing.assert_close(found, BASE.mean + spread * noise)


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_step_of_any_solver_is_the_estimate_at_pure_noise(solver):
    found = solve(BASE.denoise, one_noise(), steps=1, solver=solver)
    torch.testing.assert_close(found, torch.full_like(found, BASE.mean), atol=5e-3, rtol=0)


def test_two_steps_of_heun_are_those_of_the_closed_form():
    """Spread after the corrected step to t = 1/2, then an Euler step to 0.

    At t a deviation grows at the rate (t - (1 - t) s^2) / ((1 - t)^2 s^2 + t^2).
    """
    variance = BASE.std**2
    rate_at_half = 2 * (1 - variance) / (1 + variance)
    half = 1 - (1 + 0.5 * rate_at_half) / 4
    spread = half * (1 - rate_at_half / 2)
    noise = one_noise()
    found = solve(BASE.denoise, noise, steps=2, solver="heun")
    torch.testing.assert_close(found, BASE.mean + spread * noise)


@pytest.mark.parametrize(("solver", "calls_in_4_steps"), [("euler", 4), ("heun", 7)])
def test_no_call_of_the_network_is_at_a_time_that_moves_nothing(solver, calls_in_4_steps):
    times = []

    def denoise(noisy, time):
        times.append(float(time[0]))
        return BASE.denoise(noisy, time)

    solve(denoise, one_noise(), steps=4, solver=solver)
    assert len(times) == calls_in_4_steps
    assert min(times) == 0.25


def test_second_order_beats_first_order():
    assert error("dpm", 20) < 0.5 * error("euler", 20)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_shifted_schedule_ends_at_the_same_place(solver):
    assert error(solver, 64, shift=2.0) < 0.03


def test_a_picture_does_not_depend_on_its_batch():
    noise = item_noise((2, 8, 8), [item_generator(5, i) for i in range(8)])
    together = solve(BASE.denoise, noise, steps=6)
    alone = torch.cat([solve(BASE.denoise, one[None], steps=6) for one in noise])
    assert torch.equal(together, alone)


def test_items_draw_different_noise_and_the_same_again():
    first, second = (torch.randn(64, generator=item_generator(0, 1, k)) for k in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, torch.randn(64, generator=item_generator(0, 1, 0)))
    assert not torch.equal(first, torch.randn(64, generator=item_generator(1, 1, 0)))


def test_guidance_of_one_is_no_guidance_and_two_goes_twice_as_far():
    told = GaussianBase(mean=1.0).denoise
    undefined = GaussianBase(mean=0.0).denoise
    noisy = torch.zeros(1, 1, 2, 2)
    time = torch.tensor([0.5])

    def both(noisy, time):
        halves = zip(
            (told, undefined),
            noisy.chunk(2),
            time.chunk(2),
            strict=True,
        )
        return torch.cat([one(x, t) for one, x, t in halves])

    assert guided(told, both, 1.0) is told
    assert torch.equal(guided(told, both, 2.0, (0.0, 0.49))(noisy, time), told(noisy, time))
    twice = guided(told, both, 2.0)(noisy, time)
    torch.testing.assert_close(twice, 2 * told(noisy, time) - undefined(noisy, time))


def test_progress_is_told_to_the_end():
    told = []
    solve(
        BASE.denoise,
        torch.zeros(1, 1, 2, 2),
        steps=5,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(i, 5) for i in range(1, 6)]


def test_the_ends_of_the_guided_span_are_guided():
    calls = []

    def both(noisy, time):
        calls.append(float(time[0]))
        return noisy

    denoise = guided(BASE.denoise, both, 2.0, (0.25, 0.75))
    for time in (0.125, 0.25, 0.5, 0.75, 0.875):
        denoise(torch.zeros(1, 1, 2, 2), torch.tensor([time]))
    assert calls == [0.25, 0.5, 0.75]


@pytest.mark.parametrize("place", [(0,), (1, 2), (2**63, 0)])
def test_the_seed_of_an_item_never_changes(place):
    first, second = np.random.SeedSequence([7, *place]).generate_state(2, np.uint32).tolist()
    assert item_generator(7, *place).initial_seed() == first * 2**31 + second // 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"solver": "magic"}, "--solver is magic, but must be one of dpm, unipc, euler, heun."),
        ({"steps": 0}, "--steps is 0, but must be from 1 to 200."),
        ({"steps": 201}, "--steps is 201, but must be from 1 to 200."),
    ],
)
def test_refusals_name_the_limits(settings, sentence):
    with pytest.raises(BadOption) as error:
        solve(BASE.denoise, torch.zeros(1, 1, 2, 2), **{"steps": 4} | settings)
    assert str(error.value) == f"{sentence} Give another value."


def test_the_most_steps_are_taken_and_the_first_begins_at_pure_noise():
    times = []

    def denoise(noisy, time):
        times.append(time)
        return torch.zeros_like(noisy)

    for steps in (1, 200):
        times.clear()
        solve(denoise, torch.zeros(3, 1, 2, 2), steps=steps, solver="euler")
        assert len(times) == steps
        assert all(time.shape == (3,) for time in times)
        assert times[0].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_eulers_times_are_evenly_spaced_and_shifted(shift):
    """Esser et al. 2024: t becomes s t / (1 + (s - 1) t), once."""
    times = []

    def denoise(noisy, time):
        times.append(float(time[0]))
        return torch.zeros_like(noisy)

    def shifted(time):
        return shift * time / (1 + (shift - 1) * time)

    solve(denoise, torch.zeros(1, 1, 2, 2), steps=5, solver="euler", shift=shift)
    even = np.linspace(1, 0, 6)[:-1]
    np.testing.assert_allclose(times, shifted(even), rtol=1e-5)


def test_by_default_no_time_is_shifted_and_the_solver_is_the_multistep_one():
    noise = item_noise((2, 4, 4), [item_generator(0, 0)])
    found = solve(BASE.denoise, noise, steps=4)
    assert torch.equal(found, solve(BASE.denoise, noise, steps=4, solver="dpm", shift=1.0))
    assert not torch.equal(found, solve(BASE.denoise, noise, steps=4, shift=1.5))
    assert not torch.equal(found, solve(BASE.denoise, noise, steps=4, solver="unipc"))


@pytest.mark.parametrize("solver", SOLVERS)
def test_where_the_answer_is_known_every_solver_ends_at_it(solver):
    noise = item_noise((2, 4, 4), [item_generator(0, 0)])
    ended = solve(
        lambda noisy, time: torch.full_like(noisy, 3.0),
        noise.to(torch.bfloat16),
        steps=3,
        solver=solver,
    )
    assert ended.dtype == torch.float32
    torch.testing.assert_close(ended, torch.full_like(noise, 3.0), atol=0.01, rtol=0)


def test_every_time_is_guided_unless_a_span_is_given():
    calls = []

    def both(noisy, time):
        calls.append((noisy.tolist(), time.tolist()))
        return noisy

    denoise = guided(BASE.denoise, both, 2.0)
    for time in (0.0, 1.0):
        denoise(torch.full((1, 1), 5.0), torch.tensor([time]))
    assert calls == [([[5.0], [5.0]], [time, time]) for time in (0.0, 1.0)]


def test_noise_is_drawn_from_each_items_own_generator():
    noise = item_noise((2, 3, 4), [item_generator(0, k) for k in (5, 6)])
    assert noise.shape == (2, 2, 3, 4)
    assert noise.dtype == torch.float32
    for item, place in zip(noise, (5, 6), strict=True):
        assert torch.equal(item, torch.randn(2, 3, 4, generator=item_generator(0, place)))
