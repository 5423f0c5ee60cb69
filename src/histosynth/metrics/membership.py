"""Can one tell from the model's loss whose tissue it was trained on? It is handed losses, never
the model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import BadTable
from ..core.estimate import Estimate, undefined
from ..core.roc import auc_interval
from .finding import Finding, Plot, Section, Series

ABOUT = (
    "Loss of the model on tiles of its training set and of unseen patients, at fixed noise "
    "levels and noise. "
    "An area of 0.5 is what a stranger would get by guessing who was in the training set; "
    "near 1 the model "
    "knows its patients by heart, whatever its pictures look like."
)


def conclude_membership(
    trained: ArrayLike,
    unseen: ArrayLike,
    *,
    patients: tuple[list[str], list[str]],
    seed: int = 0,
) -> Section:
    """Area under the ROC curve of `-loss` for telling training tiles from unseen ones.

    Args:
        trained: (N, T) losses of training tiles at T noise levels.
        unseen: (M, T) the same of tiles of other patients.
        patients: of both.
        seed: of the interval.
    """
    one, two = (np.asarray(each, np.float64).mean(axis=1) for each in (trained, unseen))
    truth = [True] * len(one) + [False] * len(two)
    try:
        value, low, high = auc_interval(
            [*-one, *-two],
            truth,
            [*patients[0], *patients[1]],
            seed=seed,
        )
        groups = len(set(patients[0])) + len(set(patients[1]))
        auc = Estimate(
            value,
            low,
            high,
            len(truth),
            f"bootstrap over {groups} patients",
            groups=groups,
        )
    except BadTable as error:
        auc = undefined(str(error), n=len(truth))
    chance = Estimate(0.5, 0.5, 0.5, len(truth), "by definition")
    series = (
        Series("reference", "training tiles", one.tolist()),
        Series("real", "unseen tiles", two.tolist()),
    )
    return Section(
        "membership",
        "Membership",
        ABOUT,
        (
            Finding(
                "membership_AUC",
                auc,
                "real",
                chance,
                note="loss gap at fixed noise",
            ),
        ),
        {"mean_loss": {"training": float(one.mean()), "unseen": float(two.mean())}},
        (
            Plot(
                "Loss by tile",
                "mean squared error",
                "",
                series,
                "density",
            ),
        ),
    )
