"""Area and centroid of polygons."""

import numpy as np
import pytest

from histosynth.annotation.polygons import polygon_centre

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
