"""Bootstrap over patients: what is drawn, what is counted, what an interval states of itself."""

import math

import numpy as np
import pytest

from histosynth.metrics.intervals import (
    REPLICATES,
    bootstrap_counts,
    group_index,
    joint_bootstrap,
    mean_over,
    ratio_over,
    rows_by_name,
    share_over,
    statistic_over,
    with_interval,
)


def plain(value, low, high, n, interval, reason, unit, groups):
    """An estimate's plain values; None where there is no number."""
    return {
        "value": value,
        "low": low,
        "high": high,
        "n": n,
        "interval": interval,
        "reason": reason,
        "unit": unit,
        "groups": groups,
    }


def replicate_means(values, patients, seed):
    """Means of the items of drawn patients, each replicate's items listed one by one."""
    names = list(dict.fromkeys(patients))
    drawn = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=REPLICATES
    )
    means = []
    for times in drawn:
        items = []
        for name, count in zip(names, times, strict=True):
            own = [x for x, owner in zip(values, patients, strict=True) if owner == name]
            items += own * int(count)
        means.append(np.mean(items))
    return np.array(means)


def test_patients_are_numbered_and_listed_in_order_of_appearance():
    index = group_index(["b", "a", "b", "c"])
    assert index.tolist() == [0, 1, 0, 2]
    assert index.dtype == np.intp
    assert group_index([]).dtype == np.intp
    rows = rows_by_name(["b", "a", "b", "c"])
    assert {name: each.tolist() for name, each in rows.items()} == {"b": [0, 2], "a": [1], "c": [3]}
    assert list(rows) == ["b", "a", "c"]
    assert rows_by_name([]) == {}


def test_each_replicate_draws_as_many_patients_as_there_are():
    counts = bootstrap_counts(5, 300)
    assert counts.shape == (300, 5)
    assert counts.dtype == np.float64
    assert (counts.sum(axis=1) == 5).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(5), abs=0.2)
    assert np.array_equal(counts, bootstrap_counts(5, 300, seed=0))
    assert not np.array_equal(counts, bootstrap_counts(5, 300, seed=1))


@pytest.mark.parametrize("seed", [0, 7])
def test_a_mean_has_the_percentiles_of_the_means_of_drawn_patients(seed):
    random = np.random.default_rng(9)
    values = random.normal(3, 1, 40).tolist()
    patients = [f"p{i % 11}" for i in range(40)]
    low, high = np.percentile(replicate_means(values, patients, seed), [2.5, 97.5])
    found = mean_over(
        [*values, math.nan, math.inf],
        [*patients, "p0", "only"],
        unit="um",
        seed=seed,
    )
    assert found.as_dict() == plain(
        pytest.approx(np.mean(values)),
        pytest.approx(low),
        pytest.approx(high),
        40,
        "bootstrap over 11 patients",
        "",
        "um",
        11,
    )


def test_means_ratios_and_shares_have_no_unit_and_seed_0_unless_given():
    random = np.random.default_rng(2)
    values = random.normal(size=300)
    below = random.uniform(1, 2, 300)
    hits = (values > 0).astype(float)
    patients = [f"p{i}" for i in random.integers(25, size=300)]
    assert mean_over(values, patients) == mean_over(values, patients, unit="", seed=0)
    assert mean_over(values, patients) != mean_over(values, patients, seed=1)
    ratio = ratio_over(values, below, patients)
    assert ratio == ratio_over(values, below, patients, unit="", seed=0)
    assert ratio != ratio_over(values, below, patients, seed=1)
    share = share_over(hits, patients)
    assert share == share_over(hits, patients, seed=0)
    assert share == mean_over(hits, patients)
    assert share != share_over(hits, patients, seed=1)


def test_a_ratio_leaves_out_items_of_which_either_number_is_missing():
    found = ratio_over(
        [1, 2, math.nan, 9, 3],
        [2, 4, 1, math.inf, 6],
        ["a", "b", "b", "only", "c"],
        unit="um",
    )
    # every replicate is a half as well
    assert found.as_dict() == plain(
        0.5,
        0.5,
        0.5,
        3,
        "bootstrap over 3 patients (no replicate differs; few, so too narrow)",
        "",
        "um",
        3,
    )


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        ([], [], plain(None, None, None, 0, "none", "no item could be measured", "um", 0)),
        (
            [1.0, math.nan],
            [math.nan, 1.0],
            plain(None, None, None, 0, "none", "no item could be measured", "um", 0),
        ),
        (
            [1.0, 1.0, 2.0],
            [0.0, 0.0, 0.0],
            plain(None, None, None, 3, "none", "there is nothing to divide by", "um", 2),
        ),
        (
            [1.0, 3.0],
            [1.0, 1.0],
            plain(
                2.0,
                None,
                None,
                2,
                "none",
                "an interval needs tiles of at least 2 patients; there is 1",
                "um",
                1,
            ),
        ),
    ],
)
def test_a_ratio_that_cannot_be_computed_states_why(above, below, expected):
    patients = ["a", "b", "b"][: len(above)] if len(above) != 2 else ["a", "a"]
    assert ratio_over(above, below, patients, unit="um").as_dict() == expected


def test_replicates_without_anything_to_divide_by_are_counted():
    # a replicate of the patient "a" alone has no denominator
    found = ratio_over([1.0, 3.0], [0.0, 2.0], ["a", "b"])
    drawn = bootstrap_counts(2, REPLICATES)
    empty = int((drawn[:, 1] == 0).sum())
    assert found.value == 2.0
    assert found.low == 1.5
    assert found.high == 2.0
    assert found.interval == (
        f"bootstrap over 2 patients ({empty} undefined replicates left out; few, so too narrow)"
    )


def test_items_without_a_patient_each_are_refused():
    with pytest.raises(ValueError, match="zip"):
        mean_over([1.0, 2.0, 3.0], ["a", "b"])


@pytest.mark.parametrize(
    ("hits", "expected"),
    [
        ([0, 0], plain(0.0, 0.0, 1 - 0.025**0.5, 2, "exact, over 2 patients", "", "", 2)),
        ([1, 1, 1], plain(1.0, 0.025 ** (1 / 3), 1.0, 3, "exact, over 3 patients", "", "", 3)),
        (
            [0],
            plain(
                0.0,
                None,
                None,
                1,
                "none",
                "an interval needs tiles of at least 2 patients; there is 1",
                "",
                1,
            ),
        ),
        ([], plain(None, None, None, 0, "none", "no item could be measured", "", 0)),
    ],
)
def test_a_share_of_items_that_are_all_alike_has_an_exact_interval(hits, expected):
    assert share_over(hits, list(range(len(hits)))).as_dict() == expected


@pytest.mark.parametrize(
    ("value", "replicates", "groups", "expected"),
    [
        (
            math.nan,
            [1.0],
            3,
            plain(None, None, None, 9, "none", "it is not defined for this sample", "um", 3),
        ),
        (
            math.inf,
            [1.0],
            3,
            plain(None, None, None, 9, "none", "it is not defined for this sample", "um", 3),
        ),
        (
            1.5,
            [1.0, 2.0],
            1,
            plain(
                1.5,
                None,
                None,
                9,
                "none",
                "an interval needs tiles of at least 2 patients; there is 1",
                "um",
                1,
            ),
        ),
        (
            1.5,
            [math.nan, math.inf],
            2,
            plain(1.5, None, None, 9, "none", "no replicate was defined", "um", 2),
        ),
        (
            1.5,
            range(1001),
            10,
            plain(1.5, 25.0, 975.0, 9, "bootstrap over 10 patients", "", "um", 10),
        ),
        (
            1.5,
            range(1001),
            9,
            plain(
                1.5, 25.0, 975.0, 9, "bootstrap over 9 patients (few, so too narrow)", "", "um", 9
            ),
        ),
        (
            1.5,
            [0.0, math.nan, 40.0],
            10,
            plain(
                1.5,
                1.0,
                39.0,
                9,
                "bootstrap over 10 patients (1 undefined replicates left out)",
                "",
                "um",
                10,
            ),
        ),
        (
            1.5,
            [math.inf, 0.0, math.nan, 40.0],
            2,
            plain(
                1.5,
                1.0,
                39.0,
                9,
                "bootstrap over 2 patients (2 undefined replicates left out; few, so too narrow)",
                "",
                "um",
                2,
            ),
        ),
    ],
)
def test_an_interval_and_what_it_states(value, replicates, groups, expected):
    numbers = np.array(list(replicates), np.float64)
    assert with_interval(value, numbers, 9, groups, unit="um").as_dict() == expected
    assert with_interval(value, numbers, 9, groups).unit == ""
    found = with_interval(value, numbers, 9, groups)
    assert [type(each) for each in (found.value, found.low, found.high)] == [float] * 3


def test_sides_that_share_a_patient_are_drawn_from_one_pool():
    assert joint_bootstrap([["a"], ["b"], ["a", "c"], ["d"]]) == [{"b"}, {"a", "c"}, {"d"}]
    assert joint_bootstrap([["a"], ["b"], ["b", "a"]]) == [{"a", "b"}]
    assert joint_bootstrap([]) == []


def test_a_statistic_is_replicated_over_the_drawn_patients_items():
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    patients = ["b", "a", "b", "c", "a"]
    by_patient = {"a": [2.0, 16.0], "b": [1.0, 4.0], "c": [8.0]}
    random = np.random.default_rng(5)
    sums = []
    for _ in range(50):
        drawn = random.integers(3, size=3)
        sums.append(sum(sum(by_patient["abc"[i]]) for i in drawn))
    low, high = np.percentile(sums, [2.5, 97.5])
    found = statistic_over(np.sum, (values, patients), unit="um", replicates=50, seed=5)
    assert found.as_dict() == plain(
        31.0,
        pytest.approx(low),
        pytest.approx(high),
        5,
        "bootstrap over 3 patients (few, so too narrow)",
        "",
        "um",
        3,
    )
    moved = statistic_over(np.sum, (values, patients), replicates=50, recentre=True, seed=5)
    assert moved.low == pytest.approx(low - np.mean(sums) + 31)
    assert moved.high == pytest.approx(high - np.mean(sums) + 31)


def test_a_statistic_has_a_thousand_replicates_seed_0_and_no_unit_unless_given():
    values = np.random.default_rng(1).normal(size=12)
    calls = []

    def mean(items):
        calls.append(len(items))
        return items.mean()

    found = statistic_over(mean, (values, list(range(12))))
    assert len(calls) == 1 + 1000
    assert set(calls) == {12}
    assert found.unit == ""
    assert found == statistic_over(mean, (values, list(range(12))), seed=0)
    assert found != statistic_over(mean, (values, list(range(12))), seed=1)
    assert found == statistic_over(mean, (values, list(range(12))), recentre=False)


def test_replicates_in_which_a_sample_got_no_item_are_left_out_and_counted():
    def gap(first, second):
        return first.mean() - second.mean()

    random = np.random.default_rng(3)
    empty = 0
    for _ in range(200):
        drawn = random.integers(4, size=4)
        empty += not (drawn >= 2).any()  # neither "c" nor "d"
    assert 0 < empty < 100
    found = statistic_over(
        gap,
        (np.arange(4.0), ["a", "b", "c", "d"]),
        (np.arange(2.0), ["c", "d"]),
        replicates=200,
        seed=3,
    )
    assert found.value == 1.0
    assert (found.n, found.groups) == (4, 4)
    assert found.interval == (
        f"bootstrap over 4 patients ({empty} undefined replicates left out; few, so too narrow)"
    )
    centred = statistic_over(
        gap,
        (np.arange(4.0), ["a", "b", "c", "d"]),
        (np.arange(2.0), ["c", "d"]),
        replicates=200,
        recentre=True,
        seed=3,
    )
    assert centred.interval == found.interval
    assert centred.high - centred.low == pytest.approx(found.high - found.low)


def test_a_statistic_of_an_empty_sample_or_of_one_patient():
    one = (np.arange(3.0), ["a", "b", "c"])
    nothing = (np.zeros(0), [])

    def gap(first, second):
        return first.mean() - second.mean()

    none = plain(None, None, None, 0, "none", "there is no item", "um", 0)
    assert statistic_over(gap, nothing, one, unit="um").as_dict() == none
    assert statistic_over(gap, one, nothing, unit="um").as_dict() == none
    # the second sample is of one patient: no interval of the difference
    found = statistic_over(gap, one, (np.array([5.0, 6.0]), ["z", "z"]), unit="um")
    assert found.as_dict() == plain(
        -4.5, None, None, 3, "none", "no replicate was defined", "um", 3
    )
    two = statistic_over(gap, (np.arange(2.0), ["a", "b"]), (np.arange(2.0), ["y", "z"]))
    assert two.low < two.value < two.high


def test_patients_may_have_names_of_several_types():
    values = np.arange(4.0)
    found = statistic_over(np.mean, (values, [10, "a", 2.5, None]), replicates=40)
    assert found.groups == 4
    assert found.low < 1.5 < found.high
