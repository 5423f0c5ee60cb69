"""The area under the ROC curve agrees with scikit-learn's, and its interval is one over
patients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from histosynth.core.errors import BadTable
from histosynth.core.roc import auc_interval, roc_auc


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=60))
def test_it_is_scikit_learn_s_area_ties_included(items):
    scores = [float(score) for score, _ in items]
    truth = [true for _, true in items]
    if len(set(truth)) == 2:
        assert roc_auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_equal_scores_have_half_the_area_and_perfect_ones_all():
    truth = [True, False, True, False]
    assert roc_auc([1, 1, 1, 1], truth) == 0.5
    assert roc_auc([2, 1, 2, 1], truth) == 1.0 and roc_auc([1, 2, 1, 2], truth) == 0.0


def test_the_interval_is_that_of_drawing_patients_and_ranking_anew():
    random = np.random.default_rng(1)
    groups = random.integers(9, size=120)
    truth = random.random(120) < 0.4
    scores = (random.normal(0, 1, 120) + truth + 0.5 * random.normal(0, 1, 9)[groups]).round(1)
    value, low, high = auc_interval(
        scores,
        truth,
        groups.tolist(),
        replicates=200,
        seed=3,
    )
    names = list(dict.fromkeys(groups.tolist()))
    again = np.random.default_rng(3)
    areas = []
    for _ in range(200):
        drawn = [names[index] for index in again.integers(9, size=9)]
        taken = np.concatenate([np.flatnonzero(groups == name) for name in drawn])
        areas.append(roc_auc_score(truth[taken], scores[taken]))
    assert value == pytest.approx(roc_auc_score(truth, scores))
    assert (low, high) == pytest.approx(tuple(np.percentile(areas, (2.5, 97.5))))
    assert low < value < high
    assert auc_interval(scores, truth, groups.tolist()) == auc_interval(
        scores, truth, groups.tolist()
    )


def test_patients_who_are_alike_within_make_it_wider_than_tiles_that_are_not():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 30)
    truth = np.tile([True, False], 150)
    scores = (
        truth
        + random.normal(0, 1.5, 10)[groups] * np.where(truth, 1, -1)
        + random.normal(0, 0.5, 300)
    )
    by_patient = auc_interval(scores, truth, groups.tolist())
    by_tile = auc_interval(scores, truth, list(range(300)))
    assert by_patient[2] - by_patient[1] > 2 * (by_tile[2] - by_tile[1])


@pytest.mark.parametrize("truth", [[True, True, False, False], [False, False, True, True]])
def test_draws_without_both_classes_are_left_out(truth):
    area = float(truth[0])
    assert auc_interval([3, 2, 1, 0], truth, ["a", "b", "c", "d"]) == (area, area, area)


def test_what_cannot_be_measured_is_refused_with_numbers():
    with pytest.raises(BadTable, match="3 are true and 0 false"):
        roc_auc([1, 2, 3], [True] * 3)
    with pytest.raises(BadTable, match="not a finite number"):
        roc_auc([1, float("nan")], [True, False])
    with pytest.raises(BadTable, match=r"at least 2 patients.* 1 have true items and 2 false ones"):
        auc_interval([1, 2, 3, 0], [True, True, False, False], ["a", "a", "a", "b"])


TWO_OF_EACH = ([3, 2, 1, 0], [True, True, False, False], ["a", "b", "c", "d"])


def seed_without_both_classes():
    """A seed whose first replicate of four patients (two of each class) lacks one class."""
    for seed in range(100):
        chosen = np.random.default_rng(seed).integers(4, size=4)
        if len(set((chosen < 2).tolist())) == 1:
            return seed
    raise AssertionError


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda: roc_auc([1, 2], [True]),
            ValueError,
            "scores and truth must be two lists of one length",
        ),
        (
            lambda: roc_auc([[1, 2]], [[True, False]]),
            ValueError,
            "scores and truth must be two lists of one length",
        ),
        (
            lambda: roc_auc([1, float("inf")], [True, False]),
            BadTable,
            "A score is not a finite number. Leave that item out, or score it again.",
        ),
        (
            lambda: roc_auc([1, 2, 3], [False] * 3),
            BadTable,
            "An ROC curve needs items of both classes; 0 are true and 3 false. "
            "Add items of the class that is missing.",
        ),
        (
            lambda: roc_auc([1, 2], [True] * 2),
            BadTable,
            "An ROC curve needs items of both classes; 2 are true and 0 false. "
            "Add items of the class that is missing.",
        ),
        (
            lambda: auc_interval([3, 2, 1, 0], [1, 1, 0, 0], ["a", "b", "c"]),
            ValueError,
            "scores and groups must be as many, and replicates at least 1",
        ),
        (
            lambda: auc_interval(*TWO_OF_EACH, replicates=0),
            ValueError,
            "scores and groups must be as many, and replicates at least 1",
        ),
        (
            lambda: auc_interval([3, 2, 1, 0], [1, 1, 1, 0], ["a", "b", "c", "d"]),
            BadTable,
            "An interval needs at least 2 patients with items of each class; "
            "3 have true items and 1 false ones. Add patients.",
        ),
        (
            lambda: auc_interval(*TWO_OF_EACH, replicates=1, seed=seed_without_both_classes()),
            BadTable,
            "No one of 1 draws held both classes. Add patients, or draw more often.",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_these_words(call, error, sentence):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == sentence


def test_an_interval_is_over_2000_replicates_from_seed_0_unless_stated():
    random = np.random.default_rng(5)
    truth = random.random(300) < 0.4
    scores = random.normal(0, 1, 300) + truth
    groups = random.integers(30, size=300).tolist()
    default = auc_interval(scores, truth, groups)
    assert default == auc_interval(scores, truth, groups, replicates=2000, seed=0)
    assert default[1:] != auc_interval(scores, truth, groups, replicates=2001, seed=0)[1:]
    assert default[1:] != auc_interval(scores, truth, groups, replicates=2000, seed=1)[1:]


def test_values_are_plain_numbers_and_truth_may_be_zeros_and_ones():
    assert type(roc_auc([3, 2, 1, 0], [1, 0, 1, 0])) is float
    assert roc_auc([3, 2, 1, 0], [1, 0, 1, 0]) == 0.75
    assert roc_auc([10**30, 1], [1, 0]) == 1.0
    found = auc_interval([3, 2, 1, 0], [1, 0, 1, 0], [1, 1, 2, 2], replicates=1)
    assert [type(value) for value in found] == [float] * 3


def test_one_replicate_has_no_width():
    value, low, high = auc_interval([3, 0, 2, 1], [1, 1, 0, 0], list("abab"), replicates=1, seed=4)
    assert value == 0.5
    assert low == high


@pytest.mark.parametrize(
    ("scores", "truth", "area"),
    [
        ([0.3] * 6, [1, 1, 1, 0, 0, 0], 0.5),
        ([0] * 6, [1, 0, 0, 0, 0, 1], 0.5),
        ([1] * 6, [0, 1, 1, 1, 1, 0], 0.5),
        ([1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], 1.0),
        ([1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], 0.0),
        ([-1e300, 1e300] * 3, [0, 1] * 3, 1.0),
    ],
)
def test_equal_scores_and_separated_classes_have_an_area_without_width(scores, truth, area):
    assert roc_auc(scores, truth) == area
    assert auc_interval(scores, truth, list("abcdef")) == (area, area, area)
    # six copies of each item weigh the same
    assert roc_auc(np.repeat(scores, 6), np.repeat(truth, 6)) == area
