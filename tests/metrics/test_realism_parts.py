"""Parts of realism: how patients and tiles are drawn, baselines, and sentences of findings."""

import re
from collections import Counter

import numpy as np
import pytest

from histosynth.metrics import METRICS
from histosynth.metrics.distances import (
    KernelSums,
    extrapolated_frechet,
    frechet_distance,
    kernel_distance,
)
from histosynth.metrics.intervals import bootstrap_counts, mean_over, share_over
from histosynth.metrics.metric import Settings, Sides
from histosynth.metrics.neighbours import prdc
from histosynth.metrics.realism import distance as distance_module
from histosynth.metrics.realism.baseline import compare_with_baseline, recentred
from histosynth.metrics.realism.conclude import conclude_realism
from histosynth.metrics.realism.coverage import neighbourhood
from histosynth.metrics.realism.distance import all_distances, frechet_finding, kernel_finding
from histosynth.metrics.realism.feature_sides import FeatureSides, feature_sides
from histosynth.metrics.sample import Sample, TileMeasurements

WARNING = "n = 18 is below 2,048: its bias is large, read the ratio and not the distance"


def owners(counts, prefix):
    """A name for each tile: so many tiles of each patient."""
    return [f"{prefix}{number}" for number, count in enumerate(counts) for _ in range(count)]


def numbered(real, synthetic, other, *, paired=False):
    """Sides whose features are (row, number of the patient), so that draws can be read."""

    def rows(counts):
        numbers = np.repeat(np.arange(len(counts)), counts)
        return np.stack([np.arange(len(numbers)), numbers], axis=1).astype(float)

    return FeatureSides(
        rows(real),
        rows(synthetic),
        None if other is None else rows(other),
        owners(real, "r"),
        owners(synthetic, "r" if paired else "s"),
        [] if other is None else owners(other, "o"),
    )


def drawn(features):
    """How many tiles of each patient were drawn."""
    return Counter(features[:, 1].astype(int).tolist())


def normal_sides(seed=0, *, real=(3,) * 6, synthetic=(3,) * 6, other=(3,) * 8, shift=0.4, width=3):
    random = np.random.default_rng(seed)

    def features(counts, move):
        own = np.repeat(random.normal(0, 0.5, (len(counts), width)), counts, axis=0)
        return own + random.normal(move, 1, (sum(counts), width))

    return FeatureSides(
        features(real, 0),
        features(synthetic, shift),
        None if other is None else features(other, 0),
        owners(real, "r"),
        owners(synthetic, "s"),
        [] if other is None else owners(other, "o"),
    )


def sample(sides, role, label=""):
    """Tiles of one side of `normal_sides`."""
    features = getattr(sides, role)
    patients = getattr(sides, f"{role}_patients")
    tiles = [
        TileMeasurements(
            f"{role}{row}",
            patients[row],
            label[row] if label else "",
            {"embed/features": features[row], "embed/spatial": features[row, :2] * 2},
        )
        for row in range(len(features))
    ]
    return Sample(tuple(tiles))


def test_features_are_stacked_with_the_patient_of_each_tile():
    given = normal_sides(real=(2, 1), synthetic=(1, 1), other=(1, 2))
    real, synthetic, other = (sample(given, role) for role in ("real", "synthetic", "other"))
    sides = feature_sides(real, synthetic, other, "embed/spatial")
    np.testing.assert_array_equal(sides.real, given.real[:, :2] * 2)
    np.testing.assert_array_equal(sides.synthetic, given.synthetic[:, :2] * 2)
    np.testing.assert_array_equal(sides.other, given.other[:, :2] * 2)
    assert sides.real_patients == ["r0", "r0", "r1"]
    assert sides.synthetic_patients == ["s0", "s1"]
    assert sides.other_patients == sides.baseline_patients == ["o0", "o1", "o1"]
    assert sides.smaller_count == 2
    for none in (None, Sample(())):
        without = feature_sides(real, Sample(()), none, "embed/features")
        assert without.other is None
        assert without.other_patients == []
        assert without.baseline_patients == without.real_patients
        assert without.synthetic.shape == (0, 1)
        assert without.smaller_count == 0
    unmeasured = Sample((TileMeasurements("x", "o9", "", {"embed/features": np.zeros(3)}),))
    assert feature_sides(real, synthetic, unmeasured, "embed/spatial").other is None


def test_sides_are_paired_where_all_synthetic_patients_are_real_ones():
    assert numbered([1, 1], [1, 1], None, paired=True).paired
    assert numbered([1, 1, 1], [1, 1], None, paired=True).paired
    assert not numbered([1], [1, 1], None, paired=True).paired
    assert not numbered([1, 1], [1, 1], None).paired


@pytest.mark.parametrize(
    ("real", "synthetic", "other", "shape"),
    [
        ([9] * 5, [3, 3, 5], [2, 2, 4, 4], (3, 3)),
        ([9] * 5, [6] * 5, [2, 4, 4], (3, 4)),
        ([9] * 5, [2, 3], [7] * 4, (2, 2)),  # the median is rounded down
        ([4, 2, 4, 4, 1], [6] * 9, None, (2, 4)),  # halves of five patients
        ([4] * 6, [2] * 2, None, (2, 2)),
        ([4] * 6, [], None, (0, 0)),
    ],
)
def test_the_baseline_has_the_smaller_number_of_patients_and_of_tiles(
    real, synthetic, other, shape
):
    assert numbered(real, synthetic, other).shape == shape


def test_replicates_are_whole_patients_with_replacement():
    sides = numbered([2, 3, 1, 4], [1, 2, 3], None)
    pairs = list(sides.replicates(40, seed=5))
    assert len(pairs) == 40
    repeated = 0
    seen = set()
    for real_rows, synthetic_rows in pairs:
        for features, rows, counts in (
            (sides.real, real_rows, [2, 3, 1, 4]),
            (sides.synthetic, synthetic_rows, [1, 2, 3]),
        ):
            tiles = drawn(features[rows])
            times = {patient: count / counts[patient] for patient, count in tiles.items()}
            assert sum(times.values()) == len(counts)
            assert all(float(time).is_integer() for time in times.values())
            repeated += max(times.values()) > 1
            seen |= {(len(counts), patient) for patient in tiles}
    assert repeated > 40
    assert len(seen) == 7

    def first(*seed):
        return [[rows.tolist() for rows in pair] for pair in sides.replicates(3, *seed)]

    assert first() == first(0) != first(1)


def test_paired_replicates_without_a_synthetic_patient_are_left_out():
    sides = numbered([2, 2, 2], [3], None, paired=True)
    pairs = list(sides.replicates(200, seed=0))
    assert 120 < len(pairs) < 160  # 1 - (2 / 3)^3 of them contain the patient
    for real_rows, synthetic_rows in pairs:
        times = drawn(sides.real[real_rows])[0] / 2
        assert len(synthetic_rows) == 3 * times
        assert len(real_rows) == 6


def test_trials_without_replacement_contain_each_patient_at_most_once():
    sides = numbered([2, 3, 4], [3] * 4, [5, 1, 2, 3, 3])
    assert sides.shape == (4, 3)
    patients = set()
    tiles = set()
    for trial in sides.trials(30, with_replacement=False, seed=1):
        assert sorted(trial.real[:, 0]) == list(range(9))
        for features, counts in ((trial.baseline, [5, 1, 2, 3, 3]), (trial.synthetic, [3] * 4)):
            found = drawn(features)
            assert len(found) == 4
            assert all(count == min(counts[patient], 3) for patient, count in found.items())
            assert len(set(features[:, 0])) == len(features)
        patients |= set(drawn(trial.baseline))
        tiles |= set(trial.baseline[trial.baseline[:, 1] == 0, 0])
    assert patients == tiles == set(range(5))


def test_trials_with_replacement_repeat_patients_on_all_sides():
    sides = numbered([2] * 5, [2] * 5, [2] * 6)
    repeated = np.zeros(3)
    for trial in sides.trials(20, with_replacement=True):
        all_sides = (trial.synthetic, trial.baseline, trial.real)
        assert [len(each) for each in all_sides] == [10, 10, 10]
        repeated += [max(drawn(each).values()) > 2 for each in all_sides]
    assert (repeated > 10).all()

    def first(*, seed=None):
        more = {} if seed is None else {"seed": seed}
        return [each.baseline.tolist() for each in sides.trials(2, with_replacement=True, **more)]

    assert first() == first(seed=0) != first(seed=1)


@pytest.mark.parametrize("with_replacement", [False, True])
def test_halves_share_no_patient(with_replacement):
    sides = numbered([2] * 5, [2] * 4, None)
    seen = set()
    for trial in sides.trials(30, with_replacement=with_replacement):
        baseline, real = set(drawn(trial.baseline)), set(drawn(trial.real))
        assert not baseline & real
        assert len(trial.baseline) == len(trial.synthetic) == 4
        assert len(trial.real) == 6  # three of five patients
        if not with_replacement:
            assert (len(baseline), len(real)) == (2, 3)
        seen |= baseline
    assert seen == set(range(5))


def test_a_trial_of_paired_sides_takes_the_synthetic_tiles_of_its_real_patients():
    sides = numbered([1] * 6, [1] * 6, [1] * 2, paired=True)
    chosen = set()
    for trial in sides.trials(40, with_replacement=True):
        assert len(trial.synthetic) == 2
        assert not drawn(trial.synthetic) - drawn(trial.real)  # no oftener than they are drawn
        chosen |= set(drawn(trial.synthetic))
    assert chosen == set(range(6))


def test_too_few_paired_patients_are_drawn_from_all_synthetic_ones():
    sides = numbered([1] * 6, [1] * 3, [1] * 6, paired=True)
    elsewhere = 0
    for trial in sides.trials(40, with_replacement=True):
        assert len(trial.synthetic) == 3
        elsewhere += bool(set(drawn(trial.synthetic)) - set(drawn(trial.real)))
    assert elsewhere
    # between halves, the synthetic tiles of all patients count
    halves = numbered([1] * 6, [1] * 6, None, paired=True)
    trials = list(halves.trials(20, with_replacement=False))
    assert any(set(drawn(trial.synthetic)) - set(drawn(trial.real)) for trial in trials)


def two_numbers(first, second):
    gap = first.mean() - second.mean()
    return np.array([abs(gap) + 0.1, gap])


def by_trials(sides, count, seed, with_replacement):
    trials = sides.trials(count, with_replacement=with_replacement, seed=seed)
    return np.array(
        [
            [two_numbers(trial.synthetic, trial.real), two_numbers(trial.baseline, trial.real)]
            for trial in trials
        ]
    )


def percentiles_about(value, replicates):
    """Ends of the interval of replicates that are centred on their value."""
    if value > 0 and replicates.min() > 0:
        replicates = replicates * value / np.exp(np.log(replicates).mean())
    else:
        replicates = replicates + value - replicates.mean()
    return np.percentile(replicates, [2.5, 97.5])


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


def test_a_frechet_finding_has_its_interval_baseline_and_warning():
    sides = normal_sides(synthetic=(3,) * 7)
    found = frechet_finding(sides, "FD", label="viable", seed=2)
    value = frechet_distance(sides.synthetic, sides.real)
    replicates = [
        frechet_distance(sides.synthetic[synthetic], sides.real[real])
        for real, synthetic in sides.replicates(300, 2)
    ]
    assert found.value.value == pytest.approx(value)
    ends = percentiles_about(value, np.array(replicates))
    assert (found.value.low, found.value.high) == pytest.approx(tuple(ends))
    assert (found.value.n, found.value.groups) == (21, 7)
    (compared,) = compare_with_baseline(
        sides,
        lambda first, second: np.array([frechet_distance(first, second)]),
        replicates=300,
        seed=2,
    )
    assert (found.real, found.ratio) == (compared.baseline, compared.ratio)
    assert (found.name, found.better, found.label) == ("FD", "low", "viable")
    assert found.note == WARNING + "; ratio and baseline of 7 patients with 3 tiles each"
    cheap = normal_sides(other=(4,))
    default = frechet_finding(cheap, "FD")
    assert default.label == ""
    assert default.value == frechet_finding(cheap, "FD", seed=0).value
    assert default.value != frechet_finding(cheap, "FD", seed=1).value


def test_without_a_baseline_the_warning_stands_alone():
    found = frechet_finding(normal_sides(other=(4,)), "FD")
    assert found.note == WARNING
    assert found.real.reason == "the baseline needs at least 8 real tiles of 2 other patients"


def test_a_kernel_finding_has_its_interval_and_baseline():
    sides = normal_sides(synthetic=(3,) * 7)
    found = kernel_finding(sides, "KID", label="viable", seed=2)
    value = kernel_distance(sides.synthetic, sides.real)
    assert found.value.value == pytest.approx(value)
    assert found.value.low < value < found.value.high
    assert (found.value.n, found.value.groups) == (21, 7)
    (compared,) = compare_with_baseline(
        sides,
        lambda first, second: np.array([kernel_distance(first, second)]),
        replicates=300,
        seed=2,
    )
    assert (found.real, found.ratio) == (compared.baseline, compared.ratio)
    assert (found.name, found.better, found.label) == ("KID", "low", "viable")
    assert found.note == (
        "unbiased, of all pairs of tiles; ratio and baseline of 7 patients with 3 tiles each"
    )
    cheap = normal_sides(other=(4,))
    default = kernel_finding(cheap, "KID")
    assert default.label == ""
    assert default.value == kernel_finding(cheap, "KID", seed=0).value
    assert default.value != kernel_finding(cheap, "KID", seed=1).value


def test_kernel_replicates_draw_each_side_by_itself_unless_they_are_paired():
    base = normal_sides(real=(3,) * 6, synthetic=(3,) * 6, other=(1,))
    groups = np.repeat(np.arange(6), 3)
    counts = bootstrap_counts(6, 1000, 4)
    own_counts = bootstrap_counts(6, 1000, 5)
    moved = base.real + 0.1
    names = base.real_patients
    cases = [
        # synthetic tiles, their patients, their numbers, how often each is drawn, paired
        (base.synthetic, base.synthetic_patients, groups, own_counts, False),
        (moved, names, groups, counts, True),
        (moved[::-1], names[::-1], groups[::-1], counts, True),
        (moved[:-1], names[:-1], groups[:-1], counts, True),
    ]
    for features, patients, numbers, times, paired in cases:
        sides = FeatureSides(base.real, features, base.other, names, patients, ["o0"])
        assert sides.paired == paired
        sums = KernelSums.of(base.real, groups, features, numbers)
        replicates = sums.distances(counts, times, paired=paired)
        found = kernel_finding(sides, "KID", seed=4).value
        ends = np.percentile(replicates[np.isfinite(replicates)], [2.5, 97.5])
        assert (found.low, found.high) == pytest.approx(tuple(ends))
        assert found.interval == "bootstrap over 6 patients (few, so too narrow)"


def test_replicates_without_a_pair_are_left_out_and_warn_of_nothing():
    sides = normal_sides(real=(16, 1, 1), synthetic=(16, 1, 1), other=(4,))
    found = kernel_finding(sides, "KID").value
    assert found.low <= found.value <= found.high
    assert re.fullmatch(
        r"bootstrap over 3 patients \(\d+ undefined replicates left out; few, so too narrow\)",
        found.interval,
    )


def test_costly_distances_have_fewer_replicates(monkeypatch):
    """Replicates are counted by a cheap distance in the place of the costly one."""
    calls = []

    def cheap(first, second):
        calls.append(1)
        return 1.0 + abs(float(first[0, 0] - second[0, 0]))

    monkeypatch.setattr(distance_module, "frechet_distance", cheap)
    monkeypatch.setattr(distance_module, "kernel_distance", cheap)
    for finding, count, width, replicates in (
        (frechet_finding, 500, 4, 300),
        (frechet_finding, 400, 500, 62),  # 4e9 / 400^3
        (frechet_finding, 500, 400, 62),
        (frechet_finding, 600, 600, 20),
        (kernel_finding, 500, 4, 300),
        (kernel_finding, 5000, 20, 80),  # 4e10 / (5000^2 * 20)
        (kernel_finding, 5000, 90, 20),
    ):
        calls.clear()
        tiles = (count // 10,) * 10
        features = np.zeros((count, width))
        features[:, 0] = np.arange(count)
        sides = FeatureSides(
            features, features, features, owners(tiles, "r"), owners(tiles, "s"), owners(tiles, "o")
        )
        if finding is kernel_finding:
            monkeypatch.setattr(distance_module, "_kernel_replicates", lambda *_: np.ones(3))
        finding(sides, "D")
        of_the_value = replicates if finding is frechet_finding else 0
        assert len(calls) == 1 + of_the_value + 2 * (16 + replicates)


@pytest.mark.parametrize(("tiles", "listed"), [(63, True), (64, True), (2047, True), (2048, False)])
def test_the_extrapolation_is_reported_below_2048_tiles(monkeypatch, tiles, listed):
    monkeypatch.setattr(distance_module, "frechet_distance", lambda first, second: 1.0)
    monkeypatch.setattr(distance_module, "extrapolated_frechet", lambda *_, **__: 2.0)
    monkeypatch.setattr(distance_module, "_kernel_replicates", lambda *_: np.ones(3))
    monkeypatch.setattr(distance_module, "kernel_distance", lambda first, second: 3.0)
    sides = normal_sides(real=(1100, 1100), synthetic=(tiles - 30, 30), other=(4, 4), width=1)
    found = {each.name: each for each in all_distances(sides, "x", seed=0)}
    assert list(found) == ["FD_x", "KID_x", *["FD_infinity_x"] * listed]
    warned = f"n = {tiles} is below 2,048: its bias is large, read the ratio and not the distance"
    assert found["FD_x"].note.startswith(warned) == listed
    if listed:
        assert found["FD_infinity_x"].value.is_defined == (tiles >= 64)
    if tiles == 2047:
        assert found["FD_infinity_x"].note == (
            "a line through FD over 1/n, read at 0; few tiles make it coarse; "
            "ratio and baseline of 2 patients with 4 tiles each"
        )


def test_the_extrapolation_is_of_eight_sizes_from_a_quarter_on():
    sides = normal_sides(real=(11,) * 6, synthetic=(11,) * 6, other=(4,), width=2)
    (found,) = (each for each in all_distances(sides, "x", seed=3) if "infinity" in each.name)
    sizes = [16, 23, 30, 37, 44, 51, 58, 66]
    expected = extrapolated_frechet(sides.synthetic, sides.real, sizes=sizes, replicates=4, seed=3)
    assert found.value.value == pytest.approx(expected)
    assert (found.better, found.label, found.value.n) == ("low", "", 66)
    assert found.note == "a line through FD over 1/n, read at 0; few tiles make it coarse"
    replicates = [
        extrapolated_frechet(
            sides.synthetic[synthetic], sides.real[real], sizes=sizes, replicates=4, seed=3
        )
        for real, synthetic in sides.replicates(40, 3)
    ]
    ends = percentiles_about(expected, np.array(replicates))
    assert (found.value.low, found.value.high) == pytest.approx(tuple(ends))


def test_a_line_takes_three_sizes_of_four_tiles_or_more():
    sides = normal_sides(real=(62, 2, 1), synthetic=(62, 2, 1), other=(4,), width=2)
    sides = FeatureSides(
        sides.real,
        sides.synthetic,
        sides.other,
        sides.real_patients,
        sides.real_patients,
        sides.other_patients,
    )
    found = distance_module._infinity_finding(sides, "FD", seed=0)
    replicates = []
    for real, synthetic in sides.replicates(40, 0):
        n = len(real)
        assert n == len(synthetic)
        if n < 6:
            continue
        sizes = sorted({int(size) for size in np.linspace(max(n // 4, 4), n, 8)})
        replicates.append(
            extrapolated_frechet(
                sides.synthetic[synthetic], sides.real[real], sizes=sizes, replicates=4, seed=0
            )
        )
    assert len(replicates) < 40
    ends = percentiles_about(found.value.value, np.array(replicates))
    assert (found.value.low, found.value.high) == pytest.approx(tuple(ends))


LABELS = ["viable", "necrotic"]
ABOUT = (
    "Distances between sets of tiles in the encoder's features, with the real baseline: as many "
    "real tiles of other patients against the same held-out tiles. A ratio of 1 is real tissue; "
    "below 1 the synthetic tiles are nearer to the held-out tiles than other patients' real ones, "
    "which is possible where they were generated from the nuclei and stain of those very tiles."
)


def labelled_samples(sides):
    """The first two tiles of each side are necrotic."""
    out = []
    for role in ("real", "synthetic", "other"):
        count = len(getattr(sides, role))
        out.append(sample(sides, role, [LABELS[row < 2] for row in range(count)]))
    return out


def test_the_section_has_all_distances_and_those_of_each_label():
    sides = normal_sides(other=(3, 2))  # too few for a baseline, which saves time
    real, synthetic, other = labelled_samples(sides)
    section = conclude_realism(real, synthetic, other, encoder="x", seed=2)
    assert (section.key, section.title, section.about) == ("realism", "Realism", ABOUT)
    assert section.facts == {
        "encoder": "x",
        "baseline": (
            "2 patients with 2 tiles each, of the 2 in the reference, against the real tiles"
        ),
        "resampled_jointly": False,
    }
    spatial = feature_sides(real, synthetic, other, "embed/spatial")
    expected = all_distances(sides, "x", seed=2)
    assert expected[:2] == [
        frechet_finding(sides, "FD_x", seed=2),
        kernel_finding(sides, "KID_x", seed=2),
    ]
    expected.append(frechet_finding(spatial, "spatial_FD_x", seed=2))
    expected += neighbourhood(sides, "x", seed=2)
    for label in sorted(LABELS):
        parts = [
            each.where(lambda tile, label=label: tile.label == label)
            for each in (real, synthetic, other)
        ]
        part = feature_sides(*parts, "embed/features")
        expected.append(frechet_finding(part, "FD_x", label=label, seed=2))
        expected.append(kernel_finding(part, "KID_x", label=label, seed=2))
    assert [(each.name, each.label) for each in section.findings] == [
        (each.name, each.label) for each in expected
    ]
    assert [each.as_dict() for each in section.findings] == [each.as_dict() for each in expected]


def few(role, label="", *, seed=0, spatial=True, counts=(2, 2)):
    """A side that is too small for any distance, so that sections are cheap."""
    sides = normal_sides(seed, real=counts, synthetic=counts, other=counts)
    tiles = sample(sides, role, label).tiles
    if not spatial:
        tiles = [
            TileMeasurements(
                each.name,
                each.patient,
                each.label,
                {"embed/features": each.values["embed/features"]},
            )
            for each in tiles
        ]
    return Sample(tuple(tiles))


@pytest.mark.parametrize(
    ("real", "synthetic", "labels"),
    [
        (["a", "b"] * 2, ["a", "b"] * 2, ["a", "b"]),
        (["b", "a"] * 2, ["a", "b", "c", "c"], ["a", "b"]),
        (["a"] * 4, ["a"] * 4, []),  # one label is all tiles
        (["a", ""] * 2, ["a", ""] * 2, []),
        (["a", "b"] * 2, ["a", "c"] * 2, []),
    ],
)
def test_labels_count_where_both_sides_have_several(real, synthetic, labels):
    section = conclude_realism(few("real", real), few("synthetic", synthetic), None, encoder="x")
    assert [each.label for each in section.findings if each.label] == [
        label for label in labels for _ in range(2)
    ]


@pytest.mark.parametrize(
    ("real", "synthetic", "listed"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
def test_spatial_features_count_where_both_sides_have_them(real, synthetic, listed):
    section = conclude_realism(
        few("real", spatial=real), few("synthetic", spatial=synthetic), None, encoder="x"
    )
    names = [each.name for each in section.findings]
    assert names == ["FD_x", "KID_x", *["spatial_FD_x"] * listed] + [
        f"{name}_x" for name in ("precision", "recall", "density", "coverage")
    ]


def test_facts_state_what_the_baseline_is_of():
    halves = conclude_realism(few("real"), few("synthetic"), None, encoder="x").facts
    assert halves["baseline"] == "1 patients with 2 tiles each, of halves of the 2 real patients"
    assert not halves["resampled_jointly"]
    paired = conclude_realism(few("real"), few("real"), few("other"), encoder="x").facts
    assert paired["resampled_jointly"]
    assert paired["baseline"] == (
        "2 patients with 2 tiles each, of the 2 in the reference, against the real tiles"
    )


def test_the_map_shows_all_sides_on_the_main_directions_of_real_tissue():
    real = few("real", counts=(3, 2))
    synthetic = few("synthetic")
    other = few("other", counts=(1, 2))
    (plot,) = conclude_realism(real, synthetic, other, encoder="x").plots
    assert (plot.title, plot.x, plot.y, plot.form) == (
        "Tiles in the features of x",
        "first direction of real tissue",
        "second",
        "scatter",
    )
    assert [(each.role, each.name) for each in plot.series] == [
        ("reference", "reference"),
        ("real", "real"),
        ("synthetic", "synthetic"),
    ]
    features = real.stack("embed/features")
    values, vectors = np.linalg.eigh(np.cov(features.T))
    main = vectors[:, np.argsort(values)[::-1][:2]]
    for series, side in zip(plot.series, (other, real, synthetic), strict=True):
        expected = (side.stack("embed/features") - features.mean(axis=0)) @ main
        found = np.stack([series.x, series.y], axis=1)
        np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)


def test_the_map_of_few_real_tiles_has_the_directions_of_synthetic_ones():
    real = few("real", counts=(1, 1))
    synthetic = few("synthetic", counts=(4, 4))
    (plot,) = conclude_realism(real, synthetic, None, encoder="x").plots
    features = synthetic.stack("embed/features")
    assert [each.role for each in plot.series] == ["real", "synthetic"]
    spread = np.linalg.svd(features - features.mean(axis=0))[1]
    assert np.linalg.norm(plot.series[1].x) == pytest.approx(spread[0])
    assert np.linalg.norm(plot.series[1].y) == pytest.approx(spread[1])
    three = few("real", counts=(2, 1))
    (plot,) = conclude_realism(three, synthetic, None, encoder="x").plots
    assert np.mean(plot.series[0].x) == pytest.approx(0, abs=1e-9)


def test_the_map_shows_at_most_2000_tiles_of_a_side_and_needs_two_directions():
    for count, shown in ((2000, 2000), (2001, 2000)):
        synthetic = few("synthetic", counts=(count,))
        (plot,) = conclude_realism(few("real"), synthetic, None, encoder="x").plots
        assert [len(each.x) for each in plot.series] == [4, shown]
    (empty,) = conclude_realism(Sample(()), Sample(()), None, encoder="x").plots
    assert empty.series == ()
    narrow = Sample(
        tuple(
            TileMeasurements(str(row), str(row), "", {"embed/features": np.array([float(row)])})
            for row in range(4)
        )
    )
    (plot,) = conclude_realism(narrow, narrow, None, encoder="x").plots
    assert plot.series == ()
    sides = normal_sides(real=(2, 2), synthetic=(2, 2), other=(2,), width=2)
    flat = [sample(sides, role) for role in ("real", "synthetic", "other")]
    (plot,) = conclude_realism(*flat, encoder="x").plots
    assert len(plot.series) == 3
    (plot,) = conclude_realism(few("real"), Sample(()), None, encoder="x").plots
    assert [each.role for each in plot.series] == ["real"]


def test_the_metric_passes_its_sides_encoder_and_seed():
    sides = normal_sides(other=(2, 2))
    real, synthetic, other = (sample(sides, role) for role in ("real", "synthetic", "other"))
    metric = METRICS["realism"]
    found = metric.conclude(Sides(real, synthetic, other), Settings(encoder="x", seed=5))
    expected = conclude_realism(real, synthetic, other, encoder="x", seed=5)
    assert found.as_dict() == expected.as_dict()
    assert metric.name == "realism"
    assert metric.headline == ("FD_", "KID_")
    default = conclude_realism(real, synthetic, other, encoder="x").as_dict()
    assert default == conclude_realism(real, synthetic, other, encoder="x", seed=0).as_dict()
    assert default != found.as_dict()
