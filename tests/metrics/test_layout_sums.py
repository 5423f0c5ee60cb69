"""Layout's sums on patterns of few points that are counted by hand."""

import math

import numpy as np
import pytest
from layout_samples import RADII, nuclei, tissue

from histosynth.core.nuclei import ANY
from histosynth.metrics.layout.measure import (
    class_pairs,
    excess,
    measure_layout,
    neighbour_pairs,
    pcf_of,
    ripley_of,
)
from histosynth.metrics.layout.patterns import RADII_UM, nearest_neighbours, pair_sums
from histosynth.metrics.sample import Sample, TileMeasurements


def test_one_pair_of_points_in_an_oblong_window():
    # 3 um and 4 um apart: 5 um
    xy = np.array([[10.0, 20.0], [13.0, 24.0]])
    for class_ids, classes, row in [([0, 0], 2, 0), ([1, 0], 2, 1), ([1, 1], 2, 2), ([0, 0], 1, 0)]:
        ripley, pcf = pair_sums(xy, np.array(class_ids), classes, (128.0, 140.0))
        overlap = (128 - 3) * (140 - 4)
        orders = 2 if class_ids[0] == class_ids[1] else 1
        expected = np.where(RADII >= 5, 1 / overlap, 0)
        kernel = np.where(abs(RADII - 5) < 2, 0.75 / 2 * (1 - ((RADII - 5) / 2) ** 2), 0)
        assert ripley.shape == pcf.shape == (classes * (classes + 1) // 2 + 1, 30)
        np.testing.assert_allclose(ripley[row], orders * expected, rtol=1e-12)
        np.testing.assert_allclose(ripley[-1], 2 * expected, rtol=1e-12)
        density = kernel / (2 * np.pi * 5) / overlap
        np.testing.assert_allclose(pcf[row], orders * density, rtol=1e-12, atol=1e-20)
        np.testing.assert_allclose(pcf[-1], 2 * density, rtol=1e-12, atol=1e-20)
        others = [each for each in range(len(ripley) - 1) if each != row]
        assert (ripley[others] == 0).all()
        assert (pcf[others] == 0).all()


def test_a_pair_exactly_at_a_radius_counts_there():
    xy = np.array([[10.0, 20.0], [10.0, 26.0]])
    ripley, pcf = pair_sums(xy, np.array([0, 0]), 1, (128.0, 128.0))
    assert (ripley[0] > 0).tolist() == (RADII >= 6).tolist()
    assert np.flatnonzero(pcf[0]).tolist() == [2]
    assert pcf[0, 2] == pytest.approx(2 / (128 * 122) * 0.375 / (2 * np.pi * 6))


def test_points_at_almost_one_place_do_not_divide_by_0():
    xy = np.array([[10.0, 20.0], [10.0, 20.1], [60.0, 60.0], [60.0, 60.0]])
    ripley, pcf = pair_sums(xy, np.array([0, 0, 1, 1]), 2, (128.0, 128.0))
    assert ripley[2] == pytest.approx([2 / 128**2] * 30)
    assert pcf[2] == pytest.approx([0] * 30)
    # 0.1 um count as 0.25 um in the division only
    kernel = 0.375 * (1 - (1.9 / 2) ** 2)
    assert pcf[0, 0] == pytest.approx(2 / (128 * 127.9) * kernel / (2 * np.pi * 0.25))


@pytest.mark.parametrize("gap", [58.0, 59.5, 60.0, 61.5, 61.9, 62.0, 70.0])
def test_the_last_radii(gap):
    xy = np.array([[10.0, 20.0], [10.0, 20.0 + gap]])
    ripley, pcf = pair_sums(xy, np.array([0, 0]), 1, (128.0, 128.0))
    weight = 2 / (128 * (128 - gap))
    assert ripley[0] == pytest.approx(np.where(gap <= RADII, weight, 0))
    kernel = 0.375 * np.maximum(1 - ((RADII - gap) / 2) ** 2, 0)
    assert pcf[0] == pytest.approx(weight * kernel / (2 * np.pi * gap), abs=1e-15)


@pytest.mark.parametrize(("side", "defined"), [(120.0, 30), (119.9, 29), (64.0, 16), (63.9, 15)])
def test_radii_up_to_half_the_shorter_side_are_defined(side, defined):
    for window in ((side, 300.0), (300.0, side)):
        for points in (0, 2):
            sums = pair_sums(np.full((points, 2), 9.0), np.zeros(points, int), 1, window)
            for each in sums:
                assert np.isfinite(each).sum(axis=1).tolist() == [defined, defined]
                assert np.isfinite(each[:, :defined]).all()


def test_points_without_a_class_count_among_all():
    xy = np.array([[10.0, 20.0], [14.0, 20.0], [10.0, 50.0]])
    ripley, _ = pair_sums(xy, np.array([255, 0, 255]), 1, (128.0, 128.0))
    assert (ripley[0] == 0).all()
    assert ripley[1, 1] == pytest.approx(2 / (124 * 128))
    ripley, _ = pair_sums(xy, np.array([1, 0, 0]), 1, (128.0, 128.0))
    assert ripley[0, 29] == pytest.approx(2 / (124 * 98))
    ripley, _ = pair_sums(xy, np.array([0, 0, 1]), 1, (128.0, 128.0))
    assert ripley[0, 29] == pytest.approx(2 / (124 * 128))


def test_rows_of_three_classes():
    names = ("a", "b", "c")
    assert class_pairs(names) == [
        ("a", "a"),
        ("a", "b"),
        ("a", "c"),
        ("b", "b"),
        ("b", "c"),
        ("c", "c"),
        ("all", "all"),
    ]
    assert neighbour_pairs(names[:2]) == [
        ("a", "a"),
        ("a", "b"),
        ("b", "a"),
        ("b", "b"),
        ("all", "all"),
    ]
    xy = np.array([[50.0, 50.0], [52.0, 50.0]])
    for row, (one, other) in enumerate(class_pairs(names)[:-1]):
        for order in (1, -1):
            ids = np.array([names.index(one), names.index(other)])[::order]
            ripley, _ = pair_sums(xy, ids, 3, (128.0, 128.0))
            assert np.flatnonzero(ripley[:, 0]).tolist() == [row, 6]


def test_neighbours_and_their_weights():
    window = (40.0, 60.0)
    first = np.array([[10.0, 30.0], [20.0, 30.0], [1.0, 2.0]])
    gap, weight = nearest_neighbours(first, None, window)
    assert gap == pytest.approx([10, 10, math.hypot(9, 28)])
    # exactly as far from the border as from its neighbour; farther; nearer
    shrunk = 40 * 60 / (20 * 40)
    assert weight == pytest.approx([shrunk, shrunk, 0])
    second = np.array([[10.0, 34.0], [33.0, 30.0]])
    gap, weight = nearest_neighbours(first, second, window)
    assert gap == pytest.approx([4, math.hypot(10, 4), math.hypot(9, 32)])
    far = math.hypot(10, 4)
    expected = [40 * 60 / (32 * 52), 40 * 60 / ((40 - 2 * far) * (60 - 2 * far)), 0]
    assert weight == pytest.approx(expected)
    assert gap.dtype == weight.dtype == np.float64
    # a single point: its own nearest among others, alone among itself
    assert nearest_neighbours(first[:1], second[:1], window)[0] == pytest.approx([4])
    for one, other in [(first[:1], None), (first[:0], None), (first[:0], second), (first, xy0())]:
        for each in nearest_neighbours(one, other, window):
            assert each.shape == (0,)
            assert each.dtype == np.float64


def xy0():
    return np.zeros((0, 2))


def test_no_neighbour_weighs_more_than_sixteen():
    # 15 um from a border of a window of 40 um: 1600 / 100
    for gap, expected in [(15.0, 16.0), (14.0, 1600 / 144), (16.0, 16.0), (20.0, 16.0)]:
        at = np.array([[20.0, 20.0]])
        other = np.array([[20.0, 20.0 + gap]])
        _, weight = nearest_neighbours(at, other, (40.0, 40.0))
        assert weight == pytest.approx([expected])
    # wider than a short window: no room is left on one side only
    _, weight = nearest_neighbours(
        np.array([[20.0, 50.0]]), np.array([[20.0, 70.0]]), (40.0, 100.0)
    )
    assert weight == pytest.approx([16.0])
    # 5 um from each of the four borders
    for at in ([5.0, 30.0], [35.0, 30.0], [20.0, 5.0], [20.0, 55.0]):
        for step, counts in [(3.0, True), (4.0, False)]:
            away = np.array([at]) + np.array([step, 4.0])
            gap, weight = nearest_neighbours(np.array([at]), away, (40.0, 60.0))
            assert gap == pytest.approx([math.hypot(step, 4)])
            assert (weight[0] > 0) == counts


def test_measurements_of_an_oblong_tile():
    xy = [(10.0, 20.0), (13.0, 24.0), (60.0, 80.0), (90.0, 100.0)]
    values = measure_layout(nuclei(xy, ["a", "b", "b", ANY], (120, 160)))
    area = 120 * 160
    assert sorted(values) == sorted(
        [
            "layout/counts",
            "layout/area",
            "layout/density",
            "layout/ripley",
            "layout/pcf",
            "layout/products",
            *(f"layout/nn/{pair}" for pair in ("a>a", "a>b", "b>a", "b>b", "all>all")),
            *(f"layout/nn_weight/{pair}" for pair in ("a>a", "a>b", "b>a", "b>b", "all>all")),
        ]
    )
    assert values["layout/counts"].tolist() == [1, 2, 1]
    assert values["layout/area"] == pytest.approx([0.0192])
    assert values["layout/density"] == pytest.approx([4 / 0.0192])
    overlap = 117 * 156
    assert values["layout/ripley"][1, 2] == pytest.approx(area / overlap)
    assert values["layout/ripley"][3, 2] == pytest.approx(2 * area / overlap)
    assert values["layout/products"][:, 0] == pytest.approx(np.array([0, 2, 2, 12]) / area)
    kernel = 0.375 * 0.75
    assert values["layout/pcf"][1, 2] == pytest.approx(area / overlap * kernel / (2 * np.pi * 5))
    assert values["layout/nn/a>b"] == pytest.approx([5.0])
    assert values["layout/nn_weight/a>b"] == pytest.approx([area / (110 * 150)])
    assert values["layout/nn/b>a"] == pytest.approx([5.0, math.hypot(50, 60)])
    assert values["layout/nn_weight/b>a"] == pytest.approx([area / (110 * 150), 0])
    near = math.hypot(30, 20)
    assert values["layout/nn/all>all"] == pytest.approx([5, 5, near, near])
    assert values["layout/nn/a>a"].shape == (0,)
    small = measure_layout(nuclei(xy[:2], ["a", "b"], (60, 160)))
    for key in ("layout/ripley", "layout/pcf", "layout/products"):
        assert np.isfinite(small[key]).sum(axis=1).tolist() == [15] * 4


def test_borders_lie_half_a_pixel_beyond_the_outer_pixels():
    # each pair is exactly as far apart as its first point is from one border of the tile
    pairs = [[(4, 40), (8, 40)], [(124, 80), (120, 80)], [(60, 4), (60, 8)], [(90, 124), (90, 120)]]
    for first, second in pairs:
        values = measure_layout(nuclei([first, second], ["a", "b"]))
        assert values["layout/nn_weight/a>b"] == pytest.approx([128**2 / 120**2])


def test_curves_of_a_sample_are_ratios_of_sums():
    small = measure_layout(tissue(1, 40, size_um=(64, 80)))
    large = measure_layout(tissue(2, 90))
    both = Sample(
        tuple(
            TileMeasurements(str(each), "p", "", values)
            for each, values in enumerate((small, large))
        )
    )
    inside = RADII <= 32
    for curve, key in ((ripley_of, "layout/ripley"), (pcf_of, "layout/pcf")):
        numerator = np.where(inside, small[key], 0) + large[key]
        denominator = np.where(inside, small["layout/products"], 0) + large["layout/products"]
        np.testing.assert_allclose(curve(both), numerator / denominator, rtol=1e-12)
        # one density for all tiles, of the nuclei of a class or of all
        counts = small["layout/counts"] + large["layout/counts"]
        a, b, _ = counts
        areas = np.array([64 * 80, 128**2])
        products = np.array([a * a, a * b, b * b, counts.sum() ** 2]) / areas.sum() ** 2
        room = np.where(inside, areas.sum(), areas[1])
        pooled = numerator / (products[:, None] * room)
        np.testing.assert_allclose(curve(both, pooled=True), pooled, rtol=1e-12)
        alone = Sample(both.tiles[:1])
        for each in (curve(alone), curve(alone, pooled=True)):
            assert np.isnan(each[:, ~inside]).all()
            assert np.isfinite(each[:, inside]).all()


def test_excess_is_how_much_farther_as_many_random_points_reach():
    assert RADII_UM.tolist() == RADII.tolist()
    assert excess(np.pi * RADII_UM**2) == pytest.approx([0] * 30, abs=1e-12)
    assert excess(4 * np.pi * RADII_UM**2) == pytest.approx(RADII_UM)
