"""Fibres of a slide: any window can be drawn by itself, and their statistics are those of tiles."""

from dataclasses import replace

import numpy as np
import pytest

from histosynth.core.geometry import Box
from histosynth.core.orientation import ORIENTATION_CELL
from histosynth.tissue.alignment import ClassAlignment
from histosynth.tissue.layout import draw_layout
from histosynth.tissue.orientation_statistics import (
    OrientationStatistics,
    measure_orientation_statistics,
)
from histosynth.tissue.slide_orientation import MARGIN_PX, orientation_at, smooth_noise_at

LENGTHS = [2.0, 4.25, 9.0, 17.0, 60.0, 250.0]
"""Cells; from noise on the grid of places itself to noise on a coarse one."""
STATISTICS = OrientationStatistics(
    (0.4, 0.2, 0.1, 0.1),
    (-2.5, -0.3, 0.0, 0.2),
    0.4,
    (ClassAlignment(),) * 3,
)
SLIDE = draw_layout((2048, 1536), mpp=0.5, seed=3)


def noise(box, length, *, seed=1, count=2):
    return smooth_noise_at(box, length, seed=seed, count=count)


@pytest.mark.parametrize("length", LENGTHS)
def test_windows_of_noise_agree_where_they_overlap(length):
    whole = Box(-90, -41, 260, 210)
    expected = noise(whole, length)
    assert expected.shape == (2, 210, 260)
    for box in (
        Box(-90, -41, 1, 1),
        Box(-33, 7, 50, 40),
        Box(0, 0, 16, 31),
        Box(101, -5, 69, 174),
        Box(169, 168, 1, 1),
    ):
        rows, columns = box.shift(90, 41).slices
        found = noise(box, length)
        np.testing.assert_allclose(found, expected[:, rows, columns], atol=1e-9, rtol=0)


@pytest.mark.parametrize("length", [2.0, 4.25, 9.0, 17.0])
def test_noise_has_mean_0_variance_1_and_the_covariance_of_its_length(length):
    side = round(120 * length)
    fields = noise(Box(-50, 20, side, side), length, count=3)
    # a mean over n independent places is off by 1 / sqrt(n)
    independent = 3 * (side / length) ** 2 / (2 * np.pi)
    assert abs(fields.mean()) < 4 / np.sqrt(independent)
    assert fields.var() == pytest.approx(1, abs=0.06)
    for factor in (0.5, 1.0, 1.5, 2.5):
        lag = max(round(factor * length), 1)
        expected = np.exp(-(lag**2) / (2 * length**2))
        across = (fields[..., lag:] * fields[..., :-lag]).mean()
        down = (fields[:, lag:] * fields[:, :-lag]).mean()
        assert across == pytest.approx(expected, abs=0.06)
        assert down == pytest.approx(expected, abs=0.06)


def test_noise_of_a_long_length_has_the_same_statistics():
    """Of many fields, because a large window holds few lengths."""
    length = 250.0
    fields = noise(Box(5, 5, 1, 700), length, count=3000)[..., 0]
    assert fields.mean() == pytest.approx(0, abs=0.06)
    for place in (0, 17, 130, 699):
        assert fields[:, place].var() == pytest.approx(1, abs=0.11)
    for lag in (125, 250, 500):
        expected = np.exp(-(lag**2) / (2 * length**2))
        assert (fields[:, lag] * fields[:, 0]).mean() == pytest.approx(expected, abs=0.08)


def test_fields_and_seeds_are_independent():
    box = Box(0, 0, 400, 400)
    first, second = noise(box, 4.0, count=2)
    (other,) = noise(box, 4.0, seed=2, count=1)
    assert abs((first * second).mean()) < 0.05
    assert abs((first * other).mean()) < 0.05
    np.testing.assert_array_equal(noise(box, 4.0, count=1)[0], first)


def around(box):
    """The nuclei of a window with the margin, in the margin's frame."""
    return SLIDE.crop(
        Box(
            box.x - MARGIN_PX,
            box.y - MARGIN_PX,
            box.width + 2 * MARGIN_PX,
            box.height + 2 * MARGIN_PX,
        )
    )


def fibres(box, *, seed=7, statistics=STATISTICS):
    return orientation_at(box, around(box), statistics, seed=seed)


def test_windows_of_a_slide_agree_where_they_overlap():
    whole = fibres(Box(0, 0, 2048, 1536))
    assert whole.axes.shape == (192, 256, 2)
    for box in (
        Box(0, 0, 256, 128),
        Box(960, 512, 1024, 1024),
        Box(1048, 936, 300, 204),
        Box(8, 1528, 8, 8),
    ):
        part = fibres(box)
        assert part.size == box.size
        np.testing.assert_allclose(part.axes, whole.crop(box).axes, atol=2e-3)


def test_strengths_stay_below_1_and_seeds_give_other_fibres():
    strong = replace(STATISTICS, strengths=(2.0, 0.0, 0.0, 0.0))
    box = Box(256, 256, 512, 512)
    lengths = np.hypot(*np.moveaxis(fibres(box, statistics=strong).axes, -1, 0))
    assert 0.9 < lengths.max() < 0.951
    other = fibres(box, seed=8, statistics=strong)
    assert abs(other.axes - fibres(box, statistics=strong).axes).mean() > 0.2


def test_the_statistics_of_tiles_are_found_again():
    statistics = replace(STATISTICS, spread=0.0)
    tiles = [Box(512 * column, 512 * row, 512, 512) for row in range(3) for column in range(4)]
    drawn, nuclei = [], []
    for seed in (0, 1000):
        drawn += [fibres(box, seed=seed, statistics=statistics) for box in tiles]
        nuclei += [SLIDE.crop(box) for box in tiles]
    found = measure_orientation_statistics(drawn, nuclei)
    assert sum(found.shares) == pytest.approx(sum(STATISTICS.shares), abs=0.2)
    assert found.shares[0] + found.shares[1] == pytest.approx(0.6, abs=0.2)
    np.testing.assert_allclose(found.strengths, STATISTICS.strengths, atol=0.5)


@pytest.mark.parametrize("corner", [(4, 0), (0, 1), (7, 9)])
def test_a_corner_off_the_grid_of_maps_is_refused(corner):
    assert ORIENTATION_CELL == 8
    box = Box(*corner, 64, 64)
    with pytest.raises(ValueError, match=rf"{corner[0]},{corner[1]} is not on the grid of 8"):
        fibres(box)
