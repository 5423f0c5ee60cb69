"""Maps of how fibres run."""

import numpy as np
import pytest

from histosynth.core.condition import Condition
from histosynth.core.errors import SizeMismatch
from histosynth.core.geometry import Box, Size
from histosynth.core.orientation import FibreOrientation, mean_orientation


def axis(angle, strength=1.0):
    twice = 2 * np.deg2rad(angle)
    return strength * np.array([np.cos(twice), np.sin(twice)])


def everywhere(size, angle):
    rows, columns = -(-size[1] // 8), -(-size[0] // 8)
    return FibreOrientation(np.tile(axis(angle), (rows, columns, 1)), size)


def test_a_map_has_a_cell_for_each_begun_8_px():
    orientation = everywhere((130, 64), 30)
    assert orientation.axes.shape == (8, 17, 2) and orientation.axes.dtype == np.float32
    assert orientation.size == Size(130, 64) and orientation.known.all()
    with pytest.raises(ValueError, match="axes"):
        FibreOrientation(np.zeros((8, 16, 2)), (130, 64))
    with pytest.raises(ValueError, match="read-only"):
        orientation.axes[0, 0] = 0


def test_a_part_is_cut_out_on_the_grid_alone():
    axes = np.arange(16 * 16 * 2, dtype=np.float32).reshape(16, 16, 2) / 1000
    part = FibreOrientation(axes, (128, 128)).crop(Box(16, 40, 64, 32))
    np.testing.assert_array_equal(part.axes, axes[5:9, 2:10])
    with pytest.raises(ValueError, match="not on the grid"):
        FibreOrientation(axes, (128, 128)).crop(Box(4, 40, 64, 32))


def test_axes_of_a_cell_are_averaged_and_other_cells_are_unknown():
    places = np.array([[0.0, 0.0], [7.4, 7.4], [7.6, 0.0], [127.4, 63.4], [127.6, 0.0], [-0.6, 0]])
    axes = np.array([axis(10), axis(100), axis(45), axis(80, 0.5), axis(0), axis(0)])
    found = mean_orientation(places, axes, (128, 64))
    assert np.argwhere(found.known).tolist() == [[0, 0], [0, 1], [7, 15]]
    np.testing.assert_allclose(found.axes[0, 0], 0, atol=1e-6)  # at right angles
    np.testing.assert_allclose(found.axes[0, 1], axis(45), atol=1e-6)
    np.testing.assert_allclose(found.axes[7, 15], axis(80, 0.5), atol=1e-6)
    assert found.known_share == pytest.approx(3 / 128)
    nothing = mean_orientation(np.zeros((0, 2)), np.zeros((0, 2)), (128, 64))
    assert nothing.known_share == 0


def test_what_is_unknown_has_one_value_in_digests():
    axes = np.tile(axis(0), (8, 8, 1)).astype(np.float32)
    one, other = axes.copy(), axes.copy()
    one[0, 0] = np.nan
    other[0, 0] = (np.nan, 0.3)
    assert (
        FibreOrientation(one, (64, 64)).known_bytes()
        == FibreOrientation(other, (64, 64)).known_bytes()
    )


def test_a_condition_refuses_a_map_of_another_size():
    with pytest.raises(SizeMismatch, match="128 x 64"):
        Condition(None, (128, 128), orientation=everywhere((128, 64), 0))
    condition = Condition(None, (128, 64), orientation=everywhere((128, 64), 0))
    assert "orientation known on 100.0%" in repr(condition)


@pytest.mark.parametrize("value", [1.5, np.inf, -np.inf])
def test_axes_that_are_none_are_refused(value):
    axes = np.zeros((8, 8, 2))
    axes[3, 3, 0] = value
    with pytest.raises(ValueError, match="1 is the most"):
        FibreOrientation(axes, (64, 64))
