"""Can a classifier tell synthetic nuclei from real ones? Two-sample test of Lopez-Paz & Oquab
(2017).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import Float64Array
from ...core.estimate import Estimate, undefined
from ...core.roc import MIN_GROUPS_PER_CLASS, auc_interval
from ..intervals import FEW, group_index
from .table import Table

FOLDS = 5
MOST = 4000
"""Nuclei a side, drawn at random where there are more."""
LEAST = 20
"""Nuclei a side, below which nothing is learnt."""
STRENGTH = 0.1
"""Inverse of the ridge, so that dozens of patients do not over-fit 44 weights."""
CLIP = 4.0
"""Standard deviations; a product of two outliers would be all that a fit sees."""


def auc_of_telling(first: Table, second: Table, *, seed: int = 0) -> Estimate:
    """Area under the ROC curve of telling `first` from `second`, scored on patients not learnt
    from.

    0.5: they cannot be told apart by these features; 1: always. Logistic regression on standardised
    features and their products, both sides weighted alike; the scores of all folds are pooled.
    Boosted trees told no more on 60 breast tiles (AUC 0.85 against 0.86) and took far longer.

    With few patients two real sides may score below 0.5: what a fold learns of the patients it has
    turns round on those held out. Then read it as 0.5, and its interval as too narrow.

    Args:
        first: e.g. synthetic nuclei, under the patients whose nuclei were asked for.
        second: e.g. real ones.
        seed: of the sub-sample and of the folds.
    """
    n = min(len(first), len(second))
    groups = len({*first.whose, *second.whose})
    least = min(len({*side.whose}) for side in (first, second))
    if n < LEAST:
        return undefined(
            f"one side has {n} nuclei; at least {LEAST} would be needed",
            n=n,
            groups=groups,
        )
    if least < MIN_GROUPS_PER_CLASS:
        reason = (
            f"one side has nuclei of {least} patients; at least {MIN_GROUPS_PER_CLASS} "
            "would be needed"
        )
        return undefined(reason, n=n, groups=groups)
    random = np.random.default_rng(seed)
    one, other = (_some(side, random) for side in (first, second))
    values = np.concatenate([one.values, other.values])
    truth = np.arange(len(values)) < len(one)
    patients = [*one.whose, *other.whose]
    scores, scored = out_of_fold(values, truth, patients, seed)
    names = [name for name, keep in zip(patients, scored, strict=True) if keep]
    kept = truth[scored]
    has = [
        {name for name, true in zip(names, kept, strict=True) if true == side}
        for side in (True, False)
    ]
    if min(map(len, has)) < MIN_GROUPS_PER_CLASS:
        return undefined(
            "too few patients could be scored; 5 a side would do",
            n=n,
            groups=groups,
        )
    value, low, high = auc_interval(scores[scored].tolist(), kept.tolist(), names)
    said = f"bootstrap over {groups} patients" + (" (few, so too narrow)" if groups < FEW else "")
    return Estimate(value, low, high, len(names), said, "", "", groups)


def folds_by_patient(
    truth: NDArray[np.bool_], patients: Sequence[Hashable], seed: int = 0
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows to learn from and rows to score: no patient stands in both, whichever side it is on."""
    from sklearn.model_selection import StratifiedGroupKFold

    index = group_index(patients)
    folds = StratifiedGroupKFold(
        min(FOLDS, int(index.max()) + 1),
        shuffle=True,
        random_state=seed,
    )
    for learnt, held in folds.split(np.zeros(len(truth)), truth, index):
        yield np.asarray(learnt), np.asarray(held)


def out_of_fold(
    values: Float64Array,
    truth: NDArray[np.bool_],
    patients: Sequence[Hashable],
    seed: int = 0,
) -> tuple[Float64Array, NDArray[np.bool_]]:
    """(N,) log odds of being true, and which rows could be scored: a fold must leave both sides to
    learn.
    """
    from sklearn.linear_model import LogisticRegression

    scores = np.zeros(len(truth))
    scored = np.zeros(len(truth), np.bool_)
    for learnt, held in folds_by_patient(truth, patients, seed):
        if not len(held) or len(np.unique(truth[learnt])) < 2:
            continue
        mean = values[learnt].mean(axis=0)
        spread = values[learnt].std(axis=0) + 1e-9
        rows = _with_products((values - mean) / spread)
        teller = LogisticRegression(
            C=STRENGTH,
            class_weight="balanced",
            max_iter=500,
        )
        teller.fit(rows[learnt], truth[learnt])
        scores[held], scored[held] = teller.decision_function(rows[held]), True
    return scores, scored


def _with_products(scaled: Float64Array) -> Float64Array:
    """(N, F) => (N, F + F (F + 1) / 2), with all products of two, so that spreads and ties tell as
    well.
    """
    clipped = np.clip(scaled, -CLIP, CLIP)
    first, second = np.triu_indices(scaled.shape[1])
    return np.hstack([clipped, clipped[:, first] * clipped[:, second]])


def _some(side: Table, random: np.random.Generator) -> Table:
    """At most `MOST` nuclei."""
    if len(side) <= MOST:
        return side
    keep = np.zeros(len(side), np.bool_)
    keep[random.permutation(len(side))[:MOST]] = True
    return side.where(keep)
