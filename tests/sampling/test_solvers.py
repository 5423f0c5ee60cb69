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


@pytest.mark.parametrize("bad", [{"solver": "magic"}, {"steps": 0}, {"steps": 201}])
def test_impossible_settings_are_refused(bad):
    settings = {"steps": 4, "solver": "dpm"} | bad
    with pytest.raises(BadOption):
        solve(BASE.denoise, torch.zeros(1, 1, 2, 2), **settings)


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
