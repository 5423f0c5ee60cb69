"""Nearest neighbours against brute force, and limits that are hit exactly."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from histosynth.metrics import neighbours
from histosynth.metrics.neighbours import (
    authentic,
    by_blocks,
    exact_distances,
    nearest_rows,
    prdc,
    radii,
    squared_distances,
)

SINGLE = np.float32
DOUBLE = np.float64


def points(count, width=6, seed=0, dtype=DOUBLE):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(dtype)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (SINGLE, SINGLE, SINGLE),
        (DOUBLE, SINGLE, DOUBLE),
        (SINGLE, DOUBLE, DOUBLE),
        (DOUBLE, DOUBLE, DOUBLE),
    ],
)
def test_squared_distances_keep_the_number_type_of_the_features(first, second, expected):
    x = points(9, seed=1, dtype=first)
    y = points(7, seed=2, dtype=second)
    found = squared_distances(x, y)
    assert found.dtype == expected
    np.testing.assert_allclose(found, cdist(x, y, "sqeuclidean"), rtol=1e-4)


def test_squared_distances_far_from_0_keep_their_digits_and_are_never_negative():
    away = np.linspace(-3000, 9000, 6, dtype=SINGLE)
    x = points(30, seed=1, dtype=SINGLE) + away
    y = points(40, seed=2, dtype=SINGLE) + away
    wide = cdist(x.astype(DOUBLE), y.astype(DOUBLE), "sqeuclidean")
    np.testing.assert_allclose(squared_distances(x, y), wide, rtol=1e-3)
    own = squared_distances(x, x)
    assert (own >= 0).all()
    assert np.diag(own).max() < 1e-4


def test_exact_distances_are_of_the_given_rows_without_cancellation():
    x = points(5, seed=1, dtype=SINGLE) + SINGLE(1000)
    y = points(8, seed=2, dtype=SINGLE) + SINGLE(1000)
    rows = np.array([[0, 7, 3], [1, 1, 2], [4, 5, 6], [7, 0, 0], [2, 3, 4]])
    found = exact_distances(x, y, rows)
    assert found.dtype == DOUBLE
    wide = cdist(x.astype(DOUBLE), y.astype(DOUBLE))
    np.testing.assert_allclose(found, np.take_along_axis(wide, rows, 1), rtol=1e-12)


def test_blocks_cover_all_rows_once(monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS", 7)
    x = points(15)
    y = points(4, seed=1)
    visited = []
    by_blocks(x, y, lambda squared, block: visited.append((block, squared.shape)))
    assert visited == [
        (slice(0, 7), (7, 4)),
        (slice(7, 14), (7, 4)),
        (slice(14, 15), (1, 4)),
    ]


@pytest.mark.parametrize("rows", [5, 1024])
def test_neighbours_radii_and_balls_are_those_of_all_distances(monkeypatch, rows):
    monkeypatch.setattr(neighbours, "ROWS", rows)
    x = points(23, seed=1)
    y = points(17, seed=2) * 1.2
    across = cdist(x, y)
    gaps, found = nearest_rows(x, y, count=4)
    assert found.dtype == np.intp
    np.testing.assert_array_equal(found, np.argsort(across, axis=1)[:, :4])
    np.testing.assert_allclose(gaps, np.sort(across, axis=1)[:, :4])
    own = np.sort(cdist(x, x), axis=1)
    other = np.sort(cdist(y, y), axis=1)
    np.testing.assert_allclose(radii(x, 3), own[:, 3])
    balls = prdc(x, y, 3)
    in_real = across <= own[:, 3][:, None]
    in_synthetic = across <= other[:, 3]
    assert balls.precision.tolist() == in_real.any(axis=0).astype(float).tolist()
    assert balls.recall.tolist() == in_synthetic.any(axis=1).astype(float).tolist()
    assert balls.coverage.tolist() == in_real.any(axis=1).astype(float).tolist()
    np.testing.assert_allclose(balls.density, in_real.sum(axis=0) / 3)
    assert 0 < balls.precision.mean() < 1
    assert 0 < balls.recall.mean() < 1


@pytest.mark.parametrize("count", [1, 2, 20, 59, 60])
def test_any_number_of_neighbours_is_sorted(count):
    x = points(9, 3, seed=1)
    y = points(60, 3, seed=2)
    across = cdist(x, y)
    gaps, rows = nearest_rows(x, y, count=count)
    np.testing.assert_array_equal(rows, np.argsort(across, axis=1)[:, :count])
    np.testing.assert_allclose(gaps, np.sort(across, axis=1)[:, :count])


def test_there_is_one_neighbour_unless_more_are_requested_and_never_more_than_rows():
    x = points(4, seed=1)
    y = points(3, seed=2)
    gaps, rows = nearest_rows(x, y)
    assert gaps.shape == rows.shape == (4, 1)
    gaps, rows = nearest_rows(x, y, count=9)
    assert gaps.shape == rows.shape == (4, 3)
    np.testing.assert_allclose(gaps, np.sort(cdist(x, y), axis=1))


@pytest.mark.parametrize("block", [2, 1024])
def test_rows_of_one_owner_are_infinitely_far(monkeypatch, block):
    monkeypatch.setattr(neighbours, "ROWS", block)
    x = np.array([[0.0], [1.0], [9.0]])
    y = np.array([[0.5], [4.0], [20.0]])
    gaps, rows = nearest_rows(x, y, owners=(["a", "b", "c"], ["a", "b", "b"]), count=3)
    assert gaps.tolist() == [[4.0, 20.0, np.inf], [0.5, np.inf, np.inf], [5.0, 8.5, 11.0]]
    assert rows[0].tolist() == [1, 2, 0]
    assert rows[2].tolist() == [1, 0, 2]


def test_balls_need_more_tiles_than_neighbours_on_both_sides():
    for real, synthetic in ((5, 9), (9, 5)):
        with pytest.raises(ValueError) as error:
            prdc(points(real), points(synthetic, seed=1), 5)
        assert str(error.value) == "balls to the 5th neighbour need more than 5 tiles a side"
    assert len(prdc(points(6), points(6, seed=1), 5).precision) == 6


def test_balls_reach_to_the_fifth_neighbour_unless_stated():
    x = points(30, seed=1)
    y = points(30, seed=2)
    usual = prdc(x, y)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(usual, name).tolist() == getattr(prdc(x, y, 5), name).tolist()
    assert usual.density.tolist() != prdc(x, y, 6).density.tolist()


def test_variants_of_one_layout_do_not_shrink_each_other_s_balls():
    x = 1.5 * points(40, seed=1)
    once = points(24, seed=2)
    twice = np.concatenate([once, once + 1e-9])
    layouts = [*range(24), *range(24)]
    assert prdc(x, twice).recall.mean() < 0.8 * prdc(x, once).recall.mean()
    owned = prdc(x, twice, synthetic_owners=layouts)
    assert owned.recall.tolist() == prdc(x, once).recall.tolist()
    np.testing.assert_allclose(neighbours.radii(twice, 5, layouts)[:24], neighbours.radii(once, 5))
    with pytest.raises(ValueError, match="more than 5 tiles a side"):
        prdc(x, twice, 5, synthetic_owners=[0, 1, 2, 3, 4, 4] * 8)


def test_a_tile_on_the_edge_of_a_ball_lies_in_it():
    # balls to the nearest neighbour: real ones reach 2, synthetic ones 8
    real = np.array([[0.0], [2.0]])
    synthetic = np.array([[4.0], [-4.0]])
    found = prdc(real, synthetic, 1)
    assert found.precision.tolist() == [1.0, 0.0]  # 4 lies 2 from 2
    assert found.density.tolist() == [1.0, 0.0]
    assert found.coverage.tolist() == [0.0, 1.0]
    assert found.recall.tolist() == [1.0, 1.0]
    far = prdc(real, np.array([[12.0], [10.0]]), 1)
    assert far.recall.tolist() == [0.0, 0.0]
    edge = prdc(np.array([[0.0], [8.0]]), np.array([[10.0], [12.0]]), 1)
    assert edge.recall.tolist() == [0.0, 1.0]  # 10 has its neighbour 2 away, and so is 8


def test_a_tile_exactly_as_far_as_training_tiles_are_from_each_other_is_not_authentic():
    train = np.array([[0.0], [2.0]])
    synthetic = np.array([[-2.0], [-2.25], [4.5], [1.0]])
    found = authentic(train, synthetic)
    assert found.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert found.dtype == np.float64
