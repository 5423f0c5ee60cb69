"""How realism draws patients and tiles."""

import numpy as np
import pytest
from realism_sides import drawn, normal_sides, numbered, sample

from histosynth.metrics.realism.feature_sides import feature_sides
from histosynth.metrics.sample import Sample, TileMeasurements


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
