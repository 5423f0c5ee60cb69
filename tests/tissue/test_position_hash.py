"""Whole numbers that depend on a seed and a position alone."""

from statistics import NormalDist

import numpy as np
import pytest

from histosynth.tissue.position_hash import hashed_at, normal_at


def window(seed=5, x=0, y=0, width=256, height=200, count=3):
    return hashed_at(seed, x, y, width=width, height=height, count=count)


def test_windows_agree_where_they_overlap():
    whole = window(x=-40, y=-30)
    part = window(x=7, y=11, width=20, height=30)
    assert (part == whole[:, 41:71, 47:67]).all()


def mixed(word):
    """The finaliser of splitmix64 on Python's own integers."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) % 2**64
    return word ^ (word >> 31)


@pytest.mark.parametrize("seed", [0, 1, -7, 2**63])
def test_numbers_are_those_of_whole_numbers_alone(seed):
    gamma = 0x9E3779B97F4A7C15
    key = mixed((seed + gamma) % 2**64)
    found = window(seed=seed, x=-1, y=10**9, width=2, height=2)
    for index, row, column in np.ndindex(3, 2, 2):
        of_column = mixed((-1 + column + key) % 2**64)
        of_row = mixed((10**9 + row) ^ mixed(key))
        expected = mixed((of_column + gamma * of_row + gamma * index) % 2**64)
        assert int(found[index, row, column]) == expected


def centred(**place):
    return window(**place) / 2**64 - 0.5


def test_numbers_are_uniform_and_independent_of_their_neighbours():
    numbers = centred()
    assert numbers.shape == (3, 200, 256)
    assert abs(numbers.mean()) < 0.004
    assert numbers.var() == pytest.approx(1 / 12, rel=0.01)
    beside = [
        (numbers[:, :, 1:] * numbers[:, :, :-1]).mean(),
        (numbers[:, 1:] * numbers[:, :-1]).mean(),
    ]
    assert np.abs(beside).max() < 0.015 / 12
    assert np.abs(np.corrcoef(numbers.reshape(3, -1)) - np.eye(3)).max() < 0.02


@pytest.mark.parametrize("other", [{"seed": 6}, {"seed": -5}, {"seed": 5 + 2**70}, {"x": 256}])
def test_other_seeds_and_places_have_other_numbers(other):
    correlation = np.corrcoef(centred().ravel(), centred(**other).ravel())[0, 1]
    if other == {"seed": 5 + 2**70}:
        assert correlation == pytest.approx(1)  # the lowest 64 bits count
    else:
        assert abs(correlation) < 0.01


def normal(seed=5, x=0, y=0, width=256, height=200, count=3):
    return normal_at(seed, x, y, width=width, height=height, count=count)


def test_normal_numbers_of_windows_agree_where_they_overlap():
    whole = normal(x=-40, y=-30)
    part = normal(x=7, y=11, width=20, height=30)
    assert (part == whole[:, 41:71, 47:67]).all()


def test_normal_numbers_are_normal_and_independent():
    numbers = normal()
    assert np.isfinite(numbers).all()
    assert abs(numbers.mean()) < 0.012
    assert numbers.var() == pytest.approx(1, rel=0.015)
    for level, share in ((-2, 0.02275), (-1, 0.15866), (1, 0.84134), (2, 0.97725)):
        assert (numbers < level).mean() == pytest.approx(share, abs=0.005)
    assert np.abs(np.corrcoef(numbers.reshape(3, -1)) - np.eye(3)).max() < 0.02
    beside = (numbers[:, :, 1:] * numbers[:, :, :-1]).mean()
    assert abs(beside) < 0.015


def test_a_normal_number_is_the_quantile_of_its_word():
    place = {"x": -3, "y": 2, "width": 4, "height": 3, "count": 2}
    numbers = normal(**place)
    for index in np.ndindex(2, 3, 4):
        share = (int(window(**place)[index]) >> 11) / 2**53
        assert NormalDist().inv_cdf(share) == pytest.approx(numbers[index], abs=1e-9)
