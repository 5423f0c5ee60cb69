"""Realism's baselines, neighbourhoods, and how many tiles a number takes."""

import numpy as np
import pytest
from realism_sides import by_trials, normal_sides, percentiles_about, two_numbers

from histosynth.metrics.intervals import mean_over, share_over
from histosynth.metrics.neighbours import prdc
from histosynth.metrics.realism.baseline import compare_with_baseline, recentred
from histosynth.metrics.realism.coverage import neighbourhood
from histosynth.metrics.realism.distance import all_distances, frechet_finding, kernel_finding


def test_baseline_and_ratio_are_means_of_sixteen_groups():
    sides = normal_sides()
    both = compare_with_baseline(sides, two_numbers, replicates=50, seed=3)
    assert len(both) == 2
    synthetic, baseline = by_trials(sides, 16, 3, False).mean(axis=0)
    resampled = by_trials(sides, 50, 4, True)
    for column, one in enumerate(both):
        assert one.baseline.value == pytest.approx(baseline[column])
        ends = percentiles_about(baseline[column], resampled[:, 1, column])
        assert (one.baseline.low, one.baseline.high) == pytest.approx(tuple(ends))
        assert (one.baseline.n, one.baseline.groups) == (18, 8)
        assert one.baseline.interval == "bootstrap over 8 patients (few, so too narrow)"
        assert one.note == "ratio and baseline of 6 patients with 3 tiles each"
    ratio = both[0].ratio
    value = synthetic[0] / baseline[0]
    assert ratio.value == pytest.approx(value)
    ends = percentiles_about(value, resampled[:, 0, 0] / resampled[:, 1, 0])
    assert (ratio.low, ratio.high) == pytest.approx(tuple(ends))
    assert (ratio.n, ratio.groups) == (18, 6)
    default = compare_with_baseline(sides, two_numbers, replicates=5)
    assert default == compare_with_baseline(sides, two_numbers, replicates=5, seed=0) != both


def test_replicates_with_a_baseline_of_0_have_no_ratio():
    sides = normal_sides(seed=1, shift=0.0)

    def gap(first, second):
        return np.array([max(first.mean() - second.mean() + 0.3, 0.0)])

    (one,) = compare_with_baseline(sides, gap, replicates=60)
    trials = [
        (gap(each.synthetic, each.real)[0], gap(each.baseline, each.real)[0])
        for each in sides.trials(60, with_replacement=True, seed=1)
    ]
    quotients = np.array([above / below for above, below in trials if below > 0])
    assert 0 < len(quotients) < 60
    assert (0, 0) in trials
    ends = percentiles_about(one.ratio.value, quotients)
    assert (one.ratio.low, one.ratio.high) == pytest.approx(tuple(ends))


@pytest.mark.parametrize("number", [0.0, -1.0])
def test_a_baseline_that_is_not_above_0_has_no_ratio(number):
    (one,) = compare_with_baseline(
        normal_sides(), lambda first, second: np.array([number]), replicates=3
    )
    assert one.baseline.value == number
    assert one.ratio.reason == (
        "the baseline is not above 0, so there is no ratio to it; compare the two numbers"
    )
    assert one.ratio.n == 18


@pytest.mark.parametrize(
    ("other", "n", "defined"),
    [([4, 4], 8, True), ([9], 4, False), ([3, 3, 3], 9, True), ([3, 3], 6, False)],
)
def test_a_baseline_takes_eight_tiles_of_two_patients(other, n, defined):
    sides = normal_sides(synthetic=(4,) * 4, other=other)
    both = compare_with_baseline(sides, two_numbers, replicates=3)
    assert len(both) == 2
    for one in both:
        assert one.baseline.is_defined == defined
        assert one.baseline.n == one.ratio.n == n
        if not defined:
            assert (
                one.baseline.reason
                == one.ratio.reason
                == ("the baseline needs at least 8 real tiles of 2 other patients")
            )
            assert one.note == ""


def test_nothing_is_centred_where_no_replicate_is_defined():
    assert recentred(1.0, np.array([np.nan, np.inf])).tolist() == []
    assert recentred(0.0, np.array([1.0, 3.0])).tolist() == [-1, 1]
    assert recentred(2.0, np.array([0.0, 2.0])).tolist() == [1, 3]
    assert recentred(0.5, np.array([1.0, 4.0])) == pytest.approx([0.25, 1.0])


def test_neighbourhoods_have_the_baseline_of_sixteen_groups():
    sides = normal_sides(seed=5, shift=1.0)
    found = neighbourhood(sides, "x", seed=2)
    assert [each.name for each in found] == ["precision_x", "recall_x", "density_x", "coverage_x"]
    ours = prdc(sides.real, sides.synthetic, 5)
    groups = [
        prdc(trial.real, trial.baseline, 5)
        for trial in sides.trials(16, with_replacement=False, seed=2)
    ]
    expected = {
        "precision": share_over(ours.precision, sides.synthetic_patients, seed=2),
        "recall": share_over(ours.recall, sides.real_patients, seed=2),
        "density": mean_over(ours.density, sides.synthetic_patients, seed=2),
        "coverage": share_over(ours.coverage, sides.real_patients, seed=2),
    }
    assert all(0 < value.value < 1 for value in expected.values())
    for one, (name, value) in zip(found, expected.items(), strict=True):
        assert one.value == value
        assert (one.better, one.ratio) == ("high", None)
        assert one.note == (
            "balls to neighbour 5, taken as given; moved by n: compare where n is alike"
        )
        means = [getattr(group, name).mean() for group in groups]
        assert one.real.value == pytest.approx(np.mean(means))
        assert (one.real.low, one.real.high) == pytest.approx(
            tuple(np.percentile(means, [2.5, 97.5]))
        )
        assert (one.real.n, one.real.groups, one.real.unit, one.real.reason) == (18, 6, "", "")
        assert one.real.interval == "range of 16 groups of 6 patients with 3 tiles each"


def test_no_tile_near_real_ones_has_exact_intervals_of_shares_only():
    far = {each.name: each.value for each in neighbourhood(normal_sides(shift=50), "x", seed=0)}
    assert all(each.value == 0 for each in far.values())
    assert far["precision_x"].interval == "exact, over 6 patients"
    assert far["density_x"].interval == (
        "bootstrap over 6 patients (no replicate differs; few, so too narrow)"
    )
    assert (far["density_x"].low, far["density_x"].high) == (0, 0)


@pytest.mark.parametrize(("patients", "defined"), [(2, False), (3, True)])
def test_a_neighbourhood_takes_more_than_five_tiles_of_other_patients(patients, defined):
    sides = normal_sides(synthetic=(2,) * 8, other=(2,) * patients)
    for one in neighbourhood(sides, "x", seed=0):
        assert one.value.is_defined
        assert one.real.is_defined == defined
        assert one.real.n == 2 * patients
        if not defined:
            assert one.real.reason == "the baseline needs more real tiles of other patients"
            assert one.real.interval == "none"


@pytest.mark.parametrize(("tiles", "defined"), [(15, False), (16, True)])
def test_sixteen_tiles_a_side_support_a_number(tiles, defined):
    sides = normal_sides(real=(3,) * 6, synthetic=(tiles - 8, 8), other=(3, 3))
    found = [
        *all_distances(sides, "x", seed=0),
        *neighbourhood(sides, "x", seed=0),
        frechet_finding(sides, "FD", label="a"),
        kernel_finding(sides, "KID", label="a"),
    ]
    names = ["FD_x", "KID_x", *["FD_infinity_x"] * defined]
    names += ["precision_x", "recall_x", "density_x", "coverage_x", "FD", "KID"]
    assert [each.name for each in found] == names
    assert [each.label for each in found] == [""] * (len(names) - 2) + ["a", "a"]
    if defined:
        infinity = found.pop(2)
        assert infinity.value.reason == "16 tiles cannot support it; give at least 64 of each side"
        assert (infinity.value.n, infinity.better, infinity.label) == (16, "low", "")
        assert all(each.value.is_defined for each in found)
        return
    for one in found:
        assert not one.value.is_defined
        assert one.value.n == 15
        assert one.value.reason == (
            "15 tiles of one side; give at least 16"
            if one.better == "high"
            else "15 tiles of one side cannot support a distance; give at least 16 of each"
        )
        assert one.better == ("low" if one.name[0] in "FK" else "high")
