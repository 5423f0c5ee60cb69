"""Maps of fibres that are drawn as those of training tiles."""

from dataclasses import replace

import numpy as np
import pytest

from histosynth.core.nuclei import Nuclei
from histosynth.core.orientation import FibreOrientation
from histosynth.tissue.alignment import ClassAlignment
from histosynth.tissue.layout import draw_layout
from histosynth.tissue.orientation_drawing import draw_orientation
from histosynth.tissue.orientation_statistics import (
    OrientationStatistics,
    measure_orientation_statistics,
)

SIZE = (512, 512)
NUCLEI = [draw_layout(SIZE, mpp=0.5, seed=seed) for seed in range(24)]
STATISTICS = OrientationStatistics(
    (0.4, 0.2, 0.1, 0.1),
    (-2.5, -0.3, 0.0, 0.2),
    0.0,
    (ClassAlignment(),) * 3,
)


def drawn(statistics=STATISTICS, **options):
    return [
        draw_orientation(each, statistics, seed=seed, **options) for seed, each in enumerate(NUCLEI)
    ]


def test_what_is_drawn_has_the_statistics_that_it_is_drawn_from():
    found = measure_orientation_statistics(drawn(), NUCLEI)
    assert found.shares[0] + found.shares[1] == pytest.approx(0.6, abs=0.12)
    assert 1 - sum(found.shares) == pytest.approx(0.2, abs=0.15)
    np.testing.assert_allclose(found.strengths, STATISTICS.strengths, atol=0.35)
    assert found.spread < 0.35


def test_a_spread_between_tiles_is_found_again():
    found = measure_orientation_statistics(drawn(replace(STATISTICS, spread=0.8)), NUCLEI)
    assert 0.3 < found.spread < 1.2


def test_nuclei_of_a_class_make_it_stronger_or_weaker():
    def mean_square(class_id):
        xy = np.random.default_rng(0).uniform(0, 500, (200, 2)).astype(np.float32)
        nuclei = Nuclei(
            xy,
            np.full(200, class_id, np.uint8),
            NUCLEI[0].classes,
            SIZE,
            0.5,
        )
        maps = [draw_orientation(nuclei, STATISTICS, seed=seed).axes for seed in range(8)]
        return np.mean(np.square(maps))

    density = 200 / (512 * 0.5) ** 2 * 1000
    assert mean_square(2) / mean_square(0) == pytest.approx(np.exp(0.5 * density), rel=0.1)


def test_the_seed_decides_it_and_the_strength_is_limited():
    one, same, other = (draw_orientation(NUCLEI[0], STATISTICS, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.axes, same.axes)
    assert np.abs(one.axes - other.axes).mean() > 0.1
    strong = draw_orientation(NUCLEI[0], replace(STATISTICS, strengths=(0.0,) * 4), seed=1)
    assert np.hypot(*np.moveaxis(strong.axes, 2, 0)).max() == pytest.approx(0.95, abs=1e-3)


def test_it_passes_through_what_is_known_and_is_free_far_from_it():
    axes = np.full((64, 64, 2), np.nan, np.float32)
    axes[10, 10:30] = (0.0, 0.4)
    known = FibreOrientation(axes, SIZE)
    free, led = (
        np.stack(
            [
                draw_orientation(NUCLEI[0], STATISTICS, seed=seed, known=each).axes
                for seed in range(12)
            ]
        )
        for each in (None, known)
    )
    np.testing.assert_array_equal(led[:, 10, 20], np.tile(np.float32([0, 0.4]), (12, 1)))
    assert np.abs(led[:, 11, 20] - (0, 0.4)).max() < 0.15  # the next cell hardly differs
    change = np.abs(led - free).mean(axis=(0, 3))
    assert change[50:, 50:].mean() < 0.5 * change[8:12, 12:28].mean()
    nothing = FibreOrientation(np.full((64, 64, 2), np.nan, np.float32), SIZE)
    again = draw_orientation(NUCLEI[0], STATISTICS, seed=0, known=nothing)
    np.testing.assert_array_equal(again.axes, free[0])


@pytest.mark.parametrize(
    ("altered", "problem"),
    [
        ({"shares": (0.5, 0.2)}, "shares must be 4"),
        ({"shares": (0.5, 0.6, 0.0, 0.0)}, "shares must be 4"),
        ({"shares": (-0.1, 0.2, 0.1, 0.1)}, "shares must be 4"),
        ({"strengths": ()}, "strengths must be"),
        ({"strengths": (0.0, 0.0)}, "alignment and strengths must be of the same classes"),
        ({"strengths": (float("nan"), 0.0)}, "strengths must be"),
        ({"spread": -1.0}, "spread must be"),
        ({"spread": float("nan")}, "spread must be"),
    ],
)
def test_statistics_that_are_none_are_refused(altered, problem):
    with pytest.raises(ValueError, match=problem):
        replace(STATISTICS, **altered)


def test_glass_has_statistics_too():
    glass = [FibreOrientation(np.zeros((64, 64, 2)), SIZE) for _ in NUCLEI]
    found = measure_orientation_statistics(glass, NUCLEI)
    maps = draw_orientation(NUCLEI[0], found, seed=0)
    assert np.abs(maps.axes).max() < 0.1
    small = Nuclei.none((64, 64), 0.5, NUCLEI[0].classes)
    one = FibreOrientation(np.full((8, 8, 2), 0.3), (64, 64))
    assert measure_orientation_statistics([one], [small]).alignment == (ClassAlignment(),) * 3


def test_no_line_of_many_is_left_out():
    """Several lines of one column each, on rows that all have the same number of known cells."""
    size = (1024, 1024)
    nuclei = draw_layout(size, mpp=0.5, seed=0)
    for columns in ([2, 37, 75, 112], [2, 20, 37, 55, 75, 90, 112, 120]):
        axes = np.full((128, 128, 2), np.nan, np.float32)
        axes[:, columns] = (-0.45, 0)
        known = FibreOrientation(axes, size)
        led = [
            draw_orientation(nuclei, STATISTICS, seed=seed, known=known).axes for seed in range(4)
        ]
        beside = np.mean(led, axis=(0, 1))[[column + 1 for column in columns], 0]
        assert beside.max() < -0.35
