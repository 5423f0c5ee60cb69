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


def test_draws_without_both_classes_are_left_out():
    value, low, high = auc_interval([3, 2, 1, 0], [True, True, False, False], ["a", "b", "c", "d"])
    assert (value, low, high) == (1, 1, 1)


def test_what_cannot_be_measured_is_refused_with_numbers():
    with pytest.raises(BadTable, match="3 are true and 0 false"):
        roc_auc([1, 2, 3], [True] * 3)
    with pytest.raises(BadTable, match="not a finite number"):
        roc_auc([1, float("nan")], [True, False])
    with pytest.raises(BadTable, match=r"at least 2 patients.* 1 have true items and 2 false ones"):
        auc_interval([1, 2, 3, 0], [True, True, False, False], ["a", "a", "a", "b"])
