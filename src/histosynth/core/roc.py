"""How well a score tells two classes apart, and how sure that is with so many patients."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from .errors import BadTable

MIN_GROUPS_PER_CLASS = 2
"""So many groups (patients) of each class an interval needs."""


def roc_auc(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """Area under the ROC curve: the chance that a true item scores above a false one, ties half.

    It is the Mann-Whitney statistic, computed from ranks.

    Args:
        scores: (N) of any scale, higher for true items.
        truth: (N).

    Raises:
        BadTable: one of the classes is not there, or a score is no number.
    """
    marks, true = _checked(scores, truth)
    many = int(true.sum())
    few = int((~true).sum())
    ranks = rankdata(marks)
    return float((ranks[true].sum() - many * (many + 1) / 2) / (many * few))


def auc_interval(
    scores: Sequence[float],
    truth: Sequence[bool],
    groups: Sequence[Hashable],
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Area under the ROC curve, with its 95 % percentile interval over groups drawn with
    replacement.

    Items of one patient resemble each other, so patients are drawn and not items. Draws in which
    one class is missing are left out. With few patients such an interval is too narrow: tell their
    number.

    Args:
        scores: (N) of any scale, higher for true items.
        truth: (N).
        groups: (N) the patient of each item.
        replicates: how often to draw.
        seed: of the draws.

    Returns:
        Value, low end, high end.

    Raises:
        BadTable: a class has items of fewer than `MIN_GROUPS_PER_CLASS` groups, or a score is no
            number.
    """
    marks, true = _checked(scores, truth)
    names = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    group = np.array([names[each] for each in groups])
    if len(group) != len(marks) or replicates < 1:
        raise ValueError("scores and groups must be as many, and draws at least 1")
    has = [len(np.unique(group[side])) for side in (true, ~true)]
    if min(has) < MIN_GROUPS_PER_CLASS:
        raise BadTable(
            f"An interval needs at least {MIN_GROUPS_PER_CLASS} patients with items of each class; "
            f"{has[0]} have true items and {has[1]} false ones.",
            "Add patients.",
        )
    wins = _wins(marks, true, group, len(names))
    sizes = np.stack([np.bincount(group[side], minlength=len(names)) for side in (true, ~true)])
    random = np.random.default_rng(seed)
    areas = []
    for _ in range(replicates):
        taken = np.bincount(random.integers(len(names), size=len(names)), minlength=len(names))
        pairs = np.prod((sizes @ taken).astype(np.float64))
        if pairs:
            areas.append(float(taken @ wins @ taken / pairs))
    if not areas:
        raise BadTable(
            f"No one of {replicates} draws held both classes.", "Add patients, or draw more often."
        )
    low, high = np.percentile(areas, (2.5, 97.5))
    return roc_auc(scores, truth), float(low), float(high)


def _wins(
    scores: NDArray[np.float64],
    true: NDArray[np.bool_],
    group: NDArray[np.int64],
    count: int,
) -> NDArray[np.float64]:
    """(count, count): how often a true item of one group beats a false one of another, ties half.

    A draw's area is then a product with how often each group was drawn, and nothing is ranked
    again.
    """
    wins = np.zeros((count, count))
    owners = group[true]
    for other in range(count):
        beaten = np.sort(scores[~true & (group == other)])
        sides = [np.searchsorted(beaten, scores[true], side=side) for side in ("left", "right")]
        wins[:, other] = np.bincount(owners, weights=(sides[0] + sides[1]) / 2, minlength=count)
    return wins


def _checked(
    scores: Sequence[float], truth: Sequence[bool]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    marks = np.asarray(scores, np.float64)
    true = np.asarray(truth, np.bool_)
    if marks.shape != true.shape or marks.ndim != 1:
        raise ValueError("scores and truth must be two lists of one length")
    if not np.isfinite(marks).all():
        raise BadTable("A score is not a finite number.", "Leave that item out, or score it again.")
    if not true.any() or true.all():
        raise BadTable(
            f"An ROC curve needs items of both classes; {int(true.sum())} are true "
            f"and {int((~true).sum())} false.",
            "Add items of the class that is missing.",
        )
    return marks, true
