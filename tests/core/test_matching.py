"""Pairs of points: one-to-one, within reach, as many as possible, and of those the nearest."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial.distance import cdist

from histosynth.core.matching import f1, match_points

coordinates = st.integers(0, 24).map(lambda value: value / 4)
points = st.lists(st.tuples(coordinates, coordinates), max_size=14)
reaches = st.sampled_from([0.3, 0.5, 1.0, 1.5, 2.5])


def distances_of(first, second):
    return cdist(
        np.array(first, float).reshape(-1, 2),
        np.array(second, float).reshape(-1, 2),
    )


@given(first=points, second=points, reach=reaches)
def test_there_are_as_many_pairs_as_in_a_maximum_bipartite_matching(first, second, reach):
    pairs, _ = match_points(first, second, reach)
    if not first or not second:
        assert len(pairs) == 0
        return
    within_reach = csr_array(distances_of(first, second) <= reach)
    partners = maximum_bipartite_matching(within_reach, perm_type="column")
    assert len(pairs) == (partners >= 0).sum()


def test_a_near_pair_is_given_up_where_two_farther_pairs_are_possible():
    """Greedy matching would pair the two nearest points and leave both others alone."""
    first = [[0.0, 0.0], [1.0, 0.0]]
    second = [[1.9, 0.0], [0.9, 0.0]]
    pairs, distances = match_points(first, second, 1.0)
    assert {tuple(pair) for pair in pairs.tolist()} == {(0, 1), (1, 0)}
    assert sorted(distances) == pytest.approx([0.9, 0.9])


def test_many_pairs_at_the_limit_are_preferred_to_fewer_near_ones():
    """A chain: all but the two end points coincide, and only shifted by one are all of them paired.

    A pair out of reach must cost more than all that the near pairs save together.
    """
    count = 12
    reach = 1.0
    first = np.column_stack([np.arange(count), np.zeros(count)])
    second = np.column_stack([np.arange(count) - reach, np.zeros(count)])
    second[:, 0] += 1e-9
    pairs, _ = match_points(first, second, reach)
    assert len(pairs) == count
    assert (pairs[:, 0] == pairs[:, 1]).all()


@given(first=points, second=points, reach=reaches)
def test_pairs_are_one_to_one_within_reach_and_have_their_distances(first, second, reach):
    pairs, distances = match_points(first, second, reach)
    assert pairs.shape == (len(distances), 2)
    assert len(set(pairs[:, 0].tolist())) == len(pairs)
    assert len(set(pairs[:, 1].tolist())) == len(pairs)
    assert (distances <= reach).all()
    if len(pairs):
        expected = distances_of(first, second)[pairs[:, 0], pairs[:, 1]]
        np.testing.assert_allclose(distances, expected)


@given(first=points, second=points, reach=reaches)
def test_of_the_largest_sets_of_pairs_it_is_the_nearest(first, second, reach):
    if not first or not second:
        return
    distances = distances_of(first, second)
    far = 1e6
    costs = np.where(distances <= reach, distances, far)
    rows, columns = linear_sum_assignment(costs)
    chosen = costs[rows, columns]
    _, found = match_points(first, second, reach)
    assert found.sum() == pytest.approx(chosen[chosen < far].sum())


def test_clusters_apart_from_each_other_are_all_matched():
    corners = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])
    first = np.concatenate([corners, corners + 2.0])
    second = np.concatenate([corners + 2.5, corners + 0.5])
    pairs, distances = match_points(first, second, 1.0)
    matched = dict(pairs.tolist())
    assert matched == {0: 4, 1: 5, 2: 6, 3: 7, 4: 0, 5: 1, 6: 2, 7: 3}
    assert distances == pytest.approx(np.full(8, np.hypot(0.5, 0.5)))


@pytest.mark.parametrize(
    ("matched", "found", "wanted", "score"),
    [
        (0, 0, 0, 1.0),
        (0, 3, 0, 0.0),
        (0, 0, 3, 0.0),
        (2, 2, 2, 1.0),
        (3, 4, 6, 0.6),
    ],
)
def test_f1_is_the_harmonic_mean_and_1_where_there_was_nothing(matched, found, wanted, score):
    assert f1(matched, found, wanted) == pytest.approx(score)


def pairs_of(first, second, reach):
    """{(index into the first set, index into the second): distance}."""
    pairs, distances = match_points(first, second, reach)
    return dict(zip(map(tuple, pairs.tolist()), distances.tolist(), strict=True))


def test_a_pair_exactly_at_the_limit_is_taken_alone_and_among_others():
    assert pairs_of([[0, 0]], [[3, 4]], 5.0) == {(0, 0): 5.0}
    assert pairs_of([[0, 0]], [[3, 4]], np.nextafter(5.0, 0)) == {}
    chain = pairs_of([[0, 0], [6, 8]], [[-3, -4], [3, 4]], 5.0)
    assert chain == {(0, 0): 5.0, (1, 1): 5.0}


def test_points_at_one_place_are_pairs_where_the_limit_is_zero():
    assert pairs_of([[1, 1], [2, 2]], [[2, 2], [3, 3]], 0.0) == {(1, 0): 0.0}


@pytest.mark.parametrize("scale", [0.001, 1.0, 1000.0])
def test_the_unit_of_the_coordinates_does_not_matter(scale):
    """Four points that all reach the first of the other set, and one of them the second."""
    first = np.array([[0.0, 0.0], [0.0, 0.4], [0.4, 0.0], [-0.4, 0.0]])
    second = np.array([[0.0, 0.0], [1.0, 0.0]])
    found = pairs_of(scale * first, scale * second, scale)
    assert found == {(2, 1): pytest.approx(0.6 * scale), (0, 0): 0.0}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([], []),
        ([], [[1, 2]]),
        ([[1, 2]], []),
        ([[0, 0], [1, 0]], [[50, 50], [60, 60]]),
    ],
)
def test_where_nothing_is_in_reach_there_are_arrays_without_pairs(first, second):
    pairs, distances = match_points(first, second, 2.0)
    assert pairs.shape == (0, 2)
    assert pairs.dtype == np.intp
    assert distances.shape == (0,)
    assert distances.dtype == np.float64


def test_indices_and_distances_have_one_type_whatever_the_type_of_the_points():
    for dtype in (np.int64, np.float32, np.float64):
        points = np.array([[0, 0], [10, 0], [10, 1]], dtype)
        pairs, distances = match_points(points, points + 1, 1.5)
        assert pairs.dtype == np.intp
        assert distances.dtype == np.float64
        assert len(pairs) == 3


def test_points_out_of_reach_come_before_between_and_after_the_clusters():
    """Indices of pairs count all points, also those that are in no pair."""
    first = [[-90, 0], [0, 0], [-70, 0], [20, 0], [22, 0], [-50, 0]]
    second = [[20, 1], [0, 1], [90, 0], [22, 1], [0.5, 1]]
    assert pairs_of(first, second, 2.5) == {(1, 1): 1.0, (3, 0): 1.0, (4, 3): 1.0}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("other_order", [(0, 1), (1, 0)])
def test_two_pairs_at_the_limit_are_preferred_to_one_at_one_place(order, other_order):
    """The distances of both choices differ by twice the limit: the most that two pairs can save."""
    first = np.array([[0.0, 0.0], [1.0, 0.0]])[list(order)]
    second = np.array([[0.0, 0.0], [-1.0, 0.0]])[list(other_order)]
    assert list(pairs_of(first, second, 1.0).values()) == [1.0, 1.0]


def test_memory_grows_with_the_number_of_points_and_not_with_its_square():
    """A table of the distances of all pairs of these points would take 32 MB."""
    points = np.column_stack([np.arange(2000.0), np.zeros(2000)])
    tracemalloc.start()
    try:
        pairs, _ = match_points(points, points + 0.1, 0.25)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (pairs[:, 0] == pairs[:, 1]).sum() == 2000
    assert peak < 8e6
