"""Area under the ROC curve of a score for two classes, with its interval over patients."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.stats import rankdata

from .arrays import BoolArray, Float64Array, IndexArray
from .errors import BadTable

MIN_GROUPS_PER_CLASS = 2
"""Groups (patients) of each class that an interval needs."""


def roc_auc(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """Area under the ROC curve: the chance that a true item scores above a false one, ties half.

    It is the Mann-Whitney statistic, computed from ranks.

    Args:
        scores: (N) of any scale, higher for true items.
        truth: (N).

    Raises:
        BadTable: a class has no item, or a score is not a finite number.
    """
    values, is_true = _checked(scores, truth)
    true_count = int(is_true.sum())
    false_count = int((~is_true).sum())
    rank_sum = rankdata(values)[is_true].sum()
    least_rank_sum = true_count * (true_count + 1) / 2
    area = (rank_sum - least_rank_sum) / (true_count * false_count)
    return float(area)


def auc_interval(
    scores: Sequence[float],
    truth: Sequence[bool],
    groups: Sequence[Hashable],
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Area under the ROC curve, with its 95 % percentile interval of a bootstrap over groups.

    Items of one patient resemble each other, so patients are resampled and not items. Replicates in
    which one class is missing are left out. With few patients such an interval is too narrow:
    report their number. Where all replicates agree, as for equal scores (0.5) or for classes that
    are separated without an error (0 or 1), both ends are the value.

    Args:
        scores: (N) of any scale, higher for true items.
        truth: (N).
        groups: (N) the patient of each item.
        replicates: number of bootstrap replicates.
        seed: of the bootstrap.

    Returns:
        Value, low end, high end.

    Raises:
        BadTable: a class has items of fewer than `MIN_GROUPS_PER_CLASS` groups, or a score is not a
            finite number.
    """
    values, is_true = _checked(scores, truth)
    index_of = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    group = np.array([index_of[name] for name in groups])
    if len(group) != len(values) or replicates < 1:
        raise ValueError("scores and groups must be as many, and replicates at least 1")
    _refuse_few_groups(group, is_true)
    areas = _bootstrap_areas(
        values,
        is_true,
        group,
        replicates=replicates,
        random=np.random.default_rng(seed),
    )
    if not areas:
        raise BadTable(
            f"No one of {replicates} draws held both classes.", "Add patients, or draw more often."
        )
    low, high = np.percentile(areas, (2.5, 97.5))
    return roc_auc(scores, truth), float(low), float(high)


def _refuse_few_groups(group: IndexArray, is_true: BoolArray) -> None:
    true_groups = len(np.unique(group[is_true]))
    false_groups = len(np.unique(group[~is_true]))
    if min(true_groups, false_groups) < MIN_GROUPS_PER_CLASS:
        raise BadTable(
            f"An interval needs at least {MIN_GROUPS_PER_CLASS} patients with items of each class; "
            f"{true_groups} have true items and {false_groups} false ones.",
            "Add patients.",
        )


def _bootstrap_areas(
    scores: Float64Array,
    is_true: BoolArray,
    group: IndexArray,
    *,
    replicates: int,
    random: np.random.Generator,
) -> list[float]:
    """Areas of replicates; a replicate's area is a product with how often each group is in it."""
    count = int(group.max()) + 1
    wins = _wins(scores, is_true, group, count)
    true_sizes = np.bincount(group[is_true], minlength=count)
    false_sizes = np.bincount(group[~is_true], minlength=count)
    sizes = np.stack([true_sizes, false_sizes])
    areas = []
    for _ in range(replicates):
        chosen = random.integers(count, size=count)
        times = np.bincount(chosen, minlength=count)
        pairs = np.prod((sizes @ times).astype(np.float64))
        if pairs:
            area = times @ wins @ times / pairs
            areas.append(float(area))
    return areas


def _wins(
    scores: Float64Array,
    is_true: BoolArray,
    group: IndexArray,
    count: int,
) -> Float64Array:
    """(count, count): how often a true item of one group beats a false one of another, ties half.

    With it replicates need no ranking of their own.
    """
    wins = np.zeros((count, count))
    true_groups = group[is_true]
    true_scores = scores[is_true]
    for false_group in range(count):
        beaten = np.sort(scores[~is_true & (group == false_group)])
        below = np.searchsorted(beaten, true_scores, side="left")
        below_or_equal = np.searchsorted(beaten, true_scores, side="right")
        wins[:, false_group] = np.bincount(
            true_groups,
            weights=(below + below_or_equal) / 2,
            minlength=count,
        )
    return wins


def _checked(
    scores: Sequence[float],
    truth: Sequence[bool],
) -> tuple[Float64Array, BoolArray]:
    values = np.asarray(scores, np.float64)
    is_true = np.asarray(truth, np.bool_)
    if values.shape != is_true.shape or values.ndim != 1:
        raise ValueError("scores and truth must be two lists of one length")
    if not np.isfinite(values).all():
        raise BadTable("A score is not a finite number.", "Leave that item out, or score it again.")
    if not is_true.any() or is_true.all():
        raise BadTable(
            f"An ROC curve needs items of both classes; {int(is_true.sum())} are true "
            f"and {int((~is_true).sum())} false.",
            "Add items of the class that is missing.",
        )
    return values, is_true
