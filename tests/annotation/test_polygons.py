"""Area and centroid of polygons."""

import numpy as np
import pytest

from histosynth.annotation.polygons import centre_of_rings, polygon_centre

ELL = np.array([[0, 0], [4, 0], [4, 1], [1, 1], [1, 4], [0, 4]], float)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1e6, -3e5)])
@pytest.mark.parametrize("order", [1, -1])
def test_the_centre_is_that_of_the_area_wherever_it_lies_and_however_it_turns(shift, order):
    centre = polygon_centre(ELL[::order] + shift)
    # two rectangles: 4 x 1 around (2, 0.5), and 1 x 3 around (0.5, 2.5)
    assert centre.area == pytest.approx(7)
    assert centre.x - shift[0] == pytest.approx((4 * 2 + 3 * 0.5) / 7)
    assert centre.y - shift[1] == pytest.approx((4 * 0.5 + 3 * 2.5) / 7)


def test_a_polygon_without_area_has_the_mean_of_its_corners():
    centre = polygon_centre(np.array([[0.0, 0], [2, 2], [4, 4]]))
    assert (centre.x, centre.y, centre.area) == (2, 2, 0)


CROSSING = np.array([[0, 0], [10, 10], [20, 0], [20.5, 20], [10, 10], [0, 20]], float)
"""Two triangles that touch in (10, 10), one turned the other way; the right one is larger."""


def test_an_outline_that_crosses_itself_has_its_centre_between_its_lobes():
    centre = polygon_centre(CROSSING)
    left = 20 * 10 / 2  # around (10 / 3, 10)
    corners = CROSSING[[1, 2, 3]]
    right = polygon_centre(corners)
    assert centre.area == pytest.approx(left + right.area)
    assert centre.x == pytest.approx((left * 10 / 3 + right.area * right.x) / centre.area)
    assert centre.y == pytest.approx((left * 10 + right.area * right.y) / centre.area)


def test_a_bow_tie_has_the_area_of_both_its_halves():
    centre = polygon_centre(np.array([[0.0, 0], [10, 10], [10, 0], [0, 10]]))
    assert (centre.x, centre.y, centre.area) == pytest.approx((5, 5, 50))


@pytest.mark.parametrize("seed", range(20))
def test_the_centre_of_any_outline_lies_within_its_bounds(seed):
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(rng.integers(4, 40), 2)) * 10
    centre = polygon_centre(corners)
    assert (corners.min(axis=0) <= (centre.x, centre.y)).all()
    assert (corners.max(axis=0) >= (centre.x, centre.y)).all()


def test_holes_are_taken_out_of_the_area():
    outer = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])
    hole = np.array([[6.0, 0], [10, 0], [10, 10], [6, 10]])
    centre = centre_of_rings([outer, hole])
    assert (centre.x, centre.y, centre.area) == pytest.approx((3, 5, 60))
    assert centre_of_rings([outer, outer]) == polygon_centre(outer)


def test_a_horseshoe_keeps_the_value_of_the_shoelace_formula():
    shape = [[0, 0], [30, 0], [30, 5], [10, 5], [10, 25], [30, 25], [30, 30], [0, 30]]
    corners = np.array(shape, float)
    x, y = corners.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    expected = ((x + np.roll(x, -1)) * cross).sum() / (6 * (cross.sum() / 2))
    assert polygon_centre(corners).x == expected
