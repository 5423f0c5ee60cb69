"""Statistics of sums over patients: hand counts, other libraries, and every limit."""

import math

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from histosynth.core.estimate import Estimate
from histosynth.metrics.comparison import (
    Comparison,
    PatientSums,
    baseline_pair,
    compare,
    halves,
    mean_comparison,
    mean_difference,
    total_variation,
    wasserstein,
)
from histosynth.metrics.intervals import REPLICATES
from histosynth.metrics.proportions import compare_scores, quotient, share_finding
from histosynth.metrics.sample import Sample, TileMeasurements

NAN = math.nan


def tiles(patients, label=""):
    """One tile of each of these patients."""
    return Sample(
        tuple(
            TileMeasurements(f"t{number}", patient, label, {})
            for number, patient in enumerate(patients)
        )
    )


def numbers(estimate):
    return (estimate.value, estimate.low, estimate.high)


def one_hot(names):
    """A side on which every patient has a column of its own: its sums are the draws themselves."""
    return PatientSums.of(np.eye(len(names)), names)


def draws(*sides):
    """(1 + R, G) how often each patient of each side was drawn."""
    drawn = []

    def keep(first, second):
        drawn.extend([first, second])
        return first[:, 0]

    compare(keep, sides[:2], sides[2:] or None)
    return drawn


# sums


def test_items_are_added_up_by_patient_and_unmeasured_ones_are_left_out():
    items = [[1, 10], [2, 20], [4, NAN], [8, 80], [math.inf, 1]]
    side = PatientSums.of(items, ["b", "a", "b", "b", "c"])
    assert side.names == ("a", "b", "c")
    assert side.sums.tolist() == [[2, 20], [9, 90], [0, 0]]
    assert side.sums.dtype == np.float64
    assert (side.n, side.groups) == (3, 2)


def test_no_items_are_sums_of_no_patient():
    side = PatientSums.of(np.zeros((0, 3)), [])
    assert side.sums.shape == (0, 3)
    assert (side.names, side.n, side.groups) == ((), 0, 0)


def test_histograms_count_each_value_at_the_nearest_grid_point():
    grid = np.array([0.0, 1.0, 3.0])
    side = PatientSums.histograms(
        [[-5.0, 0.4, 0.5, 0.6], [1.9, 2.1, 99.0], [NAN, 0.0], [3.0]],
        ["b", "a", "c", "b"],
        grid,
        [[1, 2, 4, 8], [0.5, 0.25, 2], [1, 0], [0.5]],
    )
    assert side.names == ("a", "b", "c")
    # 0.5 lies halfway, and goes to the lower point
    assert side.sums.tolist() == [[0, 0.5, 2.25], [7, 8, 0.5], [0, 0, 0]]
    assert (side.n, side.groups) == (8, 2)


def test_a_histogram_of_one_number_a_tile():
    side = PatientSums.histograms([1.2, 0.1, NAN], ["a", "a", "b"], np.arange(3.0), [1.0] * 3)
    assert side.sums.tolist() == [[1, 1, 0], [0, 0, 0]]
    assert (side.n, side.groups) == (2, 1)


@pytest.mark.parametrize(
    ("patients", "weights"),
    [(["a"], [[1.0], [1.0]]), (["a", "b"], [[1.0]])],
)
def test_histograms_of_unequal_lists_are_refused(patients, weights):
    with pytest.raises(ValueError, match="zip"):
        PatientSums.histograms([[1.0], [2.0]], patients, np.arange(3.0), weights)


# real baselines


def test_halves_divide_patients_and_never_the_tiles_of_one():
    sample = tiles(["e", "a", "b", "c", "d", "a", "e"])
    first, second = halves(sample)
    assert sorted(set(first.patients)) == ["c", "e"]
    assert sorted(set(second.patients)) == ["a", "b", "d"]
    assert [tile.name for tile in first.tiles] == ["t0", "t3", "t6"]
    assert [tile.name for tile in second.tiles] == ["t1", "t2", "t4", "t5"]
    other, _ = halves(sample, seed=1)
    assert set(other.patients) != set(first.patients)
    one, rest = halves(tiles(["a", "b"]))
    assert (len(one), len(rest)) == (1, 1)
    assert halves(tiles(["a", "a", "a"])) is None


def test_a_baseline_states_which_real_tissue_it_is_of():
    real = tiles(["a", "b", "c"])
    reference = tiles(["r"])
    assert baseline_pair(None, reference) == (None, "no baseline: there is no real tissue")
    pair, note = baseline_pair(real, reference)
    assert pair == (reference, real)
    assert note == "baseline: real tiles of other patients against these"
    for absent in (None, Sample(())):
        pair, note = baseline_pair(real, absent)
        assert [side.patients for side in pair] == [side.patients for side in halves(real, 0)]
        assert note == (
            "baseline: one half of the real patients against the other, which overstates it a "
            "little"
        )
    assert baseline_pair(tiles(["a", "a"]), None) == (
        None,
        "no baseline: it takes real tiles of at least 2 patients",
    )


def test_the_halves_of_a_baseline_follow_its_seed():
    real = tiles([f"p{number}" for number in range(9)])
    for seed in (0, 1, 2):
        pair, _ = baseline_pair(real, None, seed)
        assert [side.patients for side in pair] == [side.patients for side in halves(real, seed)]


# replicates


def test_every_replicate_draws_as_many_patients_as_there_are():
    names = [f"p{number}" for number in range(7)]
    first, second = draws(one_hot(names), one_hot(names))
    assert first.shape == (1 + REPLICATES, 7)
    assert (first[0] == 1).all()
    assert (first.sum(axis=1) == 7).all()
    assert (first == first.round()).all()
    # a patient is left out of (1 - 1/7)^7 of the replicates
    assert (first[1:] == 0).mean() == pytest.approx((6 / 7) ** 7, abs=0.02)
    assert np.array_equal(first, second)


def test_patients_of_several_sides_are_drawn_together_and_others_independently():
    both = ["a", "b", "c", "d"]
    more = ["c", "d", "e"]
    others = ["x", "y", "z"]
    first, second, third, fourth = draws(
        one_hot(both),
        one_hot(others),
        one_hot(more),
        one_hot(others),
    )
    assert np.array_equal(first[:, 2:], third[:, :2])
    assert np.array_equal(second, fourth)
    drawn = np.concatenate([first, third[:, 2:]], axis=1)
    assert (drawn.sum(axis=1) == 5).all()
    correlation = np.corrcoef(drawn[1:].T, second[1:].T)[:5, 5:]
    assert np.abs(correlation).max() < 0.15
    again = draws(one_hot(both), one_hot(others), one_hot(more), one_hot(others))
    assert np.array_equal(first, again[0])
    assert np.array_equal(second, again[1])


def test_sides_of_equally_many_strangers_are_not_drawn_alike():
    first, second = draws(one_hot(["a", "b", "c"]), one_hot(["x", "y", "z"]))
    assert not np.array_equal(first, second)


def test_a_side_without_patients_has_no_value():
    side = PatientSums.of([[1.0, 1.0], [2.0, 1.0]], ["a", "b"])
    none = PatientSums.of(np.zeros((0, 2)), [])
    for sides in ((side, none), (none, side)):
        comparison = compare(mean_difference, sides)
        assert comparison.value.shape == (1 + REPLICATES,)
        assert np.isnan(comparison.value).all()
        assert comparison.groups == 0
        assert comparison.estimate().reason == "it is not defined for this sample"


def test_a_comparison_counts_the_items_of_its_first_side_and_patients_of_the_smaller():
    large = PatientSums.of(np.ones((6, 2)), list("abcdef"))
    small = PatientSums.of(np.ones((5, 2)), list("uvwww"))
    tiny = PatientSums.of(np.ones((4, 2)), list("yyyz"))
    bare = compare(mean_difference, (large, small))
    assert bare.baseline is None
    assert (bare.n, bare.groups, bare.baseline_n, bare.baseline_groups) == (6, 3, 0, 0)
    full = compare(mean_difference, (large, small), (small, tiny))
    assert (full.n, full.groups, full.baseline_n, full.baseline_groups) == (6, 3, 5, 2)
    swapped = compare(mean_difference, (small, large), (tiny, small))
    assert (swapped.n, swapped.groups) == (5, 3)
    assert (swapped.baseline_n, swapped.baseline_groups) == (4, 2)


def test_the_statistic_receives_sides_in_order():
    one, two, three, four = (
        PatientSums.of([[value, 1.0]], ["p"]) for value in (1.0, 2.0, 4.0, 8.0)
    )
    comparison = compare(mean_difference, (one, two), (four, three))
    assert (comparison.value == -1).all()
    assert (comparison.baseline == 4).all()


def test_dividing_by_0_gives_no_warning():
    empty = PatientSums.of([[0.0, 0.0], [0.0, 0.0]], ["a", "b"])
    full = PatientSums.of([[1.0, 1.0], [1.0, 0.0]], ["a", "b"])
    for baseline in (None, (empty, full)):
        assert np.isnan(compare(mean_difference, (full, empty), baseline).value).all()
    # replicates that draw `b` only divide 2 by 0
    assert np.isinf(compare(lambda a, b: quotient(a), (full, full)).value).any()


# intervals


def comparison(value, baseline=None, groups=12, baseline_groups=11):
    if baseline is not None:
        baseline = np.array(baseline, float)
    return Comparison(np.array(value, float), baseline, 40, groups, 30, baseline_groups)


def test_an_interval_of_a_distance_is_moved_back_to_its_value():
    found = comparison([2, 3, 4, 5, NAN]).estimate(unit="um")
    # replicates less their mean plus the value: 1, 2, 3
    assert numbers(found) == pytest.approx((2, 1.05, 2.95))
    assert (found.n, found.groups, found.unit) == (40, 12, "um")
    assert found.interval == "bootstrap over 12 patients"
    # no distance is below 0: 0, 0.5, 1.5
    assert numbers(comparison([0.5, 3, 4, 5]).estimate()) == pytest.approx((0.5, 0.025, 1.45))
    assert comparison([2, 3]).estimate().unit == ""


def test_an_interval_of_another_statistic_stays_where_it_is():
    found = comparison([-2, -3, 4, 5, NAN]).estimate(distance=False)
    assert numbers(found) == pytest.approx((-2, -2.65, 4.95))


def test_a_value_that_is_not_defined_has_no_interval():
    for distance in (True, False):
        found = comparison([NAN, 1.0, 2.0]).estimate(unit="um", distance=distance)
        assert found.as_dict() == {
            "value": None,
            "low": None,
            "high": None,
            "n": 40,
            "interval": "none",
            "reason": "it is not defined for this sample",
            "unit": "um",
            "groups": 12,
        }
    found = comparison([1.0, NAN]).estimate()
    assert found.value == 1.0
    assert found.reason == "no replicate was defined"


def test_the_real_baseline_has_an_interval_of_its_own():
    pair = comparison([9, 9, 9], [2, 3, 4, 5])
    real = pair.real(unit="um")
    assert numbers(real) == pytest.approx((2, 1.05, 2.95))
    assert (real.n, real.groups, real.unit) == (30, 11, "um")
    assert numbers(pair.real(distance=False)) == pytest.approx((2, 3.05, 4.95))
    assert pair.real().unit == ""
    assert comparison([1, 1]).real() is None
    assert comparison([1, 1]).ratio() is None


def test_the_interval_of_a_ratio_is_centred_by_its_logarithm():
    found = comparison([6, 4, 16, NAN], [2, 2, 2, 2]).ratio()
    # ratios 3, then 2 and 8 about their geometric mean 4: 3 / 2 and 3 * 2
    assert numbers(found) == pytest.approx((3, 1.5 + 0.025 * 4.5, 6 - 0.025 * 4.5))
    assert (found.n, found.groups, found.unit) == (40, 11, "")
    assert comparison([6, 4], [2, 2], groups=5).ratio().groups == 5
    small = comparison([0.5, 1, 4], [1, 1, 1]).ratio()
    assert numbers(small) == pytest.approx((0.5, 0.25 + 0.025 * 0.75, 1 - 0.025 * 0.75))


def test_a_ratio_of_0_keeps_the_interval_of_its_replicates():
    found = comparison([0, 1, 2], [2, 2, 2]).ratio()
    assert numbers(found) == pytest.approx((0, 0.5125, 0.9875))


def test_a_ratio_of_which_no_replicate_is_defined_has_no_interval():
    found = comparison([2, NAN, 0], [1, 1, 0]).ratio()
    assert found.value == 2
    assert found.reason == "no replicate was defined"


@pytest.mark.parametrize(
    ("baseline", "reason"),
    [
        ([0, 1, 1], "the baseline is 0: real tissue does not differ in it"),
        ([-1, 1, 1], "the baseline is 0: real tissue does not differ in it"),
        ([NAN, 1, 1], "the baseline is not defined for this sample"),
    ],
)
def test_there_is_no_ratio_to_a_baseline_of_0_or_to_none(baseline, reason):
    found = comparison([2, 3, 4], baseline).ratio()
    assert found == Estimate(
        found.value,
        found.low,
        found.high,
        40,
        "none",
        reason,
        "",
        12,
    )
    assert not found.is_defined


# statistics


def test_a_difference_of_means_is_that_of_totals_over_counts():
    left = np.array([[6.0, 3.0], [1.0, 4.0]])
    right = np.array([[5.0, 5.0], [9.0, 3.0]])
    assert mean_difference(left, right).tolist() == [1.0, -2.75]


def test_total_variation_is_half_the_sum_of_differences_of_shares():
    left = np.array([[1.0, 1.0, 2.0], [1.0, 0.0, 0.0]])
    right = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 7.0]])
    assert total_variation(left, right).tolist() == [0.5, 1.0]


def test_wasserstein_of_histograms_is_that_of_scipy():
    random = np.random.default_rng(0)
    grid = np.sort(random.uniform(0, 9, 12))
    left = random.integers(0, 5, (4, 12)).astype(float)
    right = random.integers(0, 5, (4, 12)).astype(float) + 0.5
    found = wasserstein(grid)(left, right)
    expected = [
        wasserstein_distance(grid, grid, one, other) for one, other in zip(left, right, strict=True)
    ]
    assert found == pytest.approx(expected)


def test_a_mean_of_comparisons_takes_the_smaller_numbers_of_items():
    one = Comparison(np.array([1.0, 2.0]), np.array([3.0, 4.0]), 9, 5, 7, 6)
    two = Comparison(np.array([3.0, 6.0]), np.array([5.0, 8.0]), 8, 6, 5, 4)
    mean = mean_comparison([one, two])
    assert mean.value.tolist() == [2.0, 4.0]
    assert mean.baseline.tolist() == [4.0, 6.0]
    assert (mean.n, mean.groups, mean.baseline_n, mean.baseline_groups) == (8, 5, 7, 6)
    scaled = mean_comparison([one, two], [0.5, 2.0])
    assert scaled.value.tolist() == [1.75, 3.5]
    assert scaled.baseline.tolist() == [4.25, 6.0]
    bare = Comparison(np.array([3.0, 6.0]), None, 8, 6)
    assert mean_comparison([one, bare], [1.0, 1.0]).baseline is None
    for wrong in ([1.0], [1.0, 1.0, 1.0]):
        with pytest.raises(ValueError, match="zip"):
            mean_comparison([one, two], wrong)
        with pytest.raises(ValueError, match="zip"):
            mean_comparison([one, bare], wrong)


# scores of sums


def rows(*numerators, patients="abcd"):
    """Tiles of 10 nuclei each, of which so many count."""
    return [[value, 10.0] for value in numerators], list(patients[: len(numerators)])


def test_a_score_is_that_of_the_sums():
    assert quotient(np.array([[1.0, 4.0], [3.0, 2.0]])).tolist() == [0.25, 1.5]
    found = compare_scores(quotient, rows(1, 3), None)
    assert found.value[0] == 0.2
    assert found.baseline is None
    both = compare_scores(quotient, rows(1, 3), rows(4, 8, 6, patients="xyz"))
    assert (both.value[0], both.baseline[0]) == (0.2, 0.6)
    assert (both.n, both.groups, both.baseline_n, both.baseline_groups) == (2, 2, 3, 3)


def test_real_rows_of_no_tile_are_no_baseline():
    assert compare_scores(quotient, rows(1, 3), (np.zeros((0, 2)), [])).baseline is None


def test_a_patient_on_both_sides_is_hard_on_both():
    synthetic = rows(1, 3, 8)
    real = rows(2, 6, 16)
    together = compare_scores(quotient, synthetic, real)
    assert together.baseline / together.value == pytest.approx(2.0)
    assert together.value.std() > 0
    apart = compare_scores(quotient, synthetic, (real[0], list("xyz")))
    assert (apart.baseline / apart.value).std() > 0.1


def test_one_common_patient_suffices_for_joint_draws():
    synthetic = ([[1.0, 1.0], [0.0, 1.0]], ["a", "b"])
    real = ([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]], ["a", "d", "c"])
    found = compare_scores(lambda sums: sums[:, 0], synthetic, real)
    assert np.array_equal(found.value, found.baseline)
    assert (found.n, found.groups, found.baseline_n, found.baseline_groups) == (2, 2, 3, 3)
    totals = compare_scores(lambda sums: sums[:, 1], synthetic, real)
    # of four patients in all, sometimes none of one side is drawn
    assert set(totals.value.tolist()) == {0, 1, 2, 3, 4}
    assert set(totals.baseline.tolist()) == {0, 1, 2, 3, 4}
    assert totals.value[0] == 2
    assert totals.baseline[0] == 3


def test_a_share_of_too_few_is_not_reported():
    found = share_finding(
        "x",
        "low",
        rows(1, 3),
        rows(4, 8),
        n=(19, 40),
        min_count=20,
        unit="um",
        note="a note",
    )
    assert found.as_dict() == {
        "name": "x",
        "label": "",
        "value": {
            "value": None,
            "low": None,
            "high": None,
            "n": 19,
            "interval": "none",
            "reason": "19 such nuclei on the synthetic side; it takes 20",
            "unit": "um",
            "groups": 0,
        },
        "real": None,
        "ratio": None,
        "better": "low",
        "note": "a note",
    }


def test_a_share_of_just_enough_is_reported_with_its_ratio():
    found = share_finding(
        "x",
        "high",
        rows(1, 3, 2),
        rows(4, 8, 6, patients="xyz"),
        n=(22, 20),
        min_count=20,
        unit="um",
        note="a note",
    )
    expected = compare_scores(quotient, rows(1, 3, 2), rows(4, 8, 6, patients="xyz"))
    value, low, high = numbers(found.value)
    assert value == pytest.approx(0.2)
    assert (low, high) == pytest.approx(tuple(np.percentile(expected.value[1:], [2.5, 97.5])))
    assert (found.value.n, found.value.unit, found.value.groups) == (22, "um", 3)
    value, low, high = numbers(found.real)
    assert value == pytest.approx(0.6)
    assert (low, high) == pytest.approx(tuple(np.percentile(expected.baseline[1:], [2.5, 97.5])))
    assert (found.real.n, found.real.unit, found.real.groups) == (20, "um", 3)
    assert found.ratio.value == pytest.approx(1 / 3)
    assert (found.ratio.n, found.ratio.unit) == (22, "")
    assert (found.name, found.better, found.note) == ("x", "high", "a note")


def test_a_baseline_of_too_few_is_left_out():
    found = share_finding(
        "x",
        "high",
        rows(1, 3),
        rows(4, 8),
        n=(20, 19),
        min_count=20,
        score=lambda sums: sums[:, 1],
    )
    assert found.value.value == 20
    assert (found.value.unit, found.note) == ("", "")
    assert found.real is None
    assert found.ratio is None
