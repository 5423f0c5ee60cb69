"""Intervals are as wide as patients, not tiles, make them."""

import math

import numpy as np
import pytest

from histosynth.metrics.comparison import (
    PatientSums,
    compare,
    mean_comparison,
    mean_difference,
)
from histosynth.metrics.intervals import (
    REPLICATES,
    mean_over,
    ratio_over,
    share_over,
    statistic_over,
)


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_claims():
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        means = random.normal(0, 1, 30)
        values = np.repeat(means, 4) + random.normal(0, 0.1, 120)
        found = mean_over(values, np.repeat(np.arange(30), 4).tolist(), seed=trial)
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / 200 <= 0.98


def test_tiles_of_one_patient_do_not_narrow_an_interval():
    random = np.random.default_rng(0)
    means = random.normal(0, 1, 20)
    few = mean_over(means, list(range(20)))
    many = mean_over(np.repeat(means, 50), np.repeat(np.arange(20), 50).tolist())
    assert many.n == 1000
    assert many.groups == 20
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.05)


def test_one_patient_gives_a_value_without_an_interval():
    found = mean_over([1.0, 2.0], ["a", "a"])
    assert found.value == 1.5
    assert math.isnan(found.low)
    assert "at least 2 patients" in found.reason


def test_nothing_gives_no_number():
    assert not mean_over([], []).is_defined
    assert not mean_over([np.nan], ["a"]).is_defined
    assert not ratio_over([1.0, 1.0], [0.0, 0.0], ["a", "b"]).is_defined


def test_a_ratio_is_that_of_sums():
    found = ratio_over([1, 2, 3], [2, 2, 2], ["a", "b", "c"])
    assert found.value == 1.0
    assert found.low < 1 < found.high


def test_few_patients_are_noted_as_few():
    assert "too narrow" in mean_over([1.0, 2.0, 3.0], ["a", "b", "c"]).interval
    assert "too narrow" not in mean_over(list(range(12)), list(range(12))).interval


def test_a_statistic_that_doubled_tiles_move_is_put_back():
    random = np.random.default_rng(0)
    values = random.normal(size=(40, 1))
    patients = list(range(40))

    def distinct(rows):
        return len(np.unique(rows))

    plain = statistic_over(distinct, (values, patients), replicates=200)
    centred = statistic_over(
        distinct,
        (values, patients),
        replicates=200,
        recentre=True,
    )
    assert plain.high < plain.value
    assert centred.low <= centred.value <= centred.high


def test_none_of_a_few_is_not_surely_none():
    found = share_over([0.0] * 32, np.repeat(np.arange(8), 4).tolist())
    assert found.value == 0
    assert found.low == 0
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 8))
    assert "exact" in found.interval
    every = share_over([1.0] * 5, list(range(5)))
    assert every.high == 1
    assert every.low < 0.6
    some = share_over([0.0, 1.0, 1.0], [0, 1, 2])
    assert "bootstrap" in some.interval


def test_patients_of_both_samples_are_resampled_jointly():
    level = np.repeat(np.random.default_rng(0).normal(0, 5, 20), 5)
    patients = [f"p{i // 5}" for i in range(100)]

    def gap(one, other):
        return float(one.mean() - other.mean())

    pairs = statistic_over(
        gap,
        (level + 1, patients),
        (level, patients),
        replicates=100,
    )
    strangers = statistic_over(
        gap,
        (level + 1, patients),
        (level, [f"{p}'" for p in patients]),
        replicates=100,
    )
    assert pairs.low == pytest.approx(1)
    assert pairs.high == pytest.approx(1)
    assert strangers.high - strangers.low > 2


def test_a_comparison_has_the_value_first_and_then_one_replicate_each():
    random = np.random.default_rng(0)
    items = np.stack([random.normal(size=30), np.ones(30)], axis=1)
    patients = [f"p{i % 6}" for i in range(30)]
    side = PatientSums.of(items, patients)
    other = PatientSums.of(items + np.array([1.0, 0.0]), patients)
    comparison = compare(mean_difference, (other, side), (side, side))
    assert comparison.value.shape == comparison.baseline.shape == (1 + REPLICATES,)
    # paired patients: every replicate has the same difference
    assert comparison.value == pytest.approx(1.0)
    assert comparison.baseline == pytest.approx(0.0)
    assert (comparison.n, comparison.groups) == (30, 6)


def test_a_mean_of_comparisons_has_a_baseline_only_if_each_has_one():
    side = PatientSums.of([[1.0, 1.0], [3.0, 1.0]], ["a", "b"])
    other = PatientSums.of([[2.0, 1.0], [4.0, 1.0]], ["a", "b"])
    full = compare(mean_difference, (other, side), (side, other))
    bare = compare(mean_difference, (other, side))
    assert mean_comparison([full, bare]).baseline is None
    scaled = mean_comparison([full, full], [2.0, 4.0])
    assert scaled.value[0] == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert scaled.baseline[0] == pytest.approx(-(1 / 2 + 1 / 4) / 2)
