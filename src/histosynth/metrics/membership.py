"""Does the model's loss reveal the patients on whom it was trained? The input is losses, not the
model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..core.arrays import Float64Array
from ..core.errors import BadTable
from ..core.estimate import Estimate, undefined
from ..core.roc import auc_interval
from .finding import Finding, Plot, Section, Series

_ABOUT = (
    "Loss of the model on tiles of its training set and of unseen patients, at fixed noise levels "
    "and noise. An area of 0.5 is the result of guessing which patients were in the training set; "
    "near 1 the model has memorised its patients, whatever its pictures look like."
)


def conclude_membership(
    trained: ArrayLike,
    unseen: ArrayLike,
    *,
    patients: tuple[list[str], list[str]],
    seed: int = 0,
) -> Section:
    """Area under the ROC curve of `-loss` for distinguishing training tiles from unseen ones.

    Where all losses are equal the area is 0.5, with both ends of its interval.

    Args:
        trained: (N, T) losses of training tiles at T noise levels.
        unseen: (M, T) the same of tiles of other patients.
        patients: of both.
        seed: of the interval.
    """
    trained_loss = np.asarray(trained, np.float64).mean(axis=1)
    unseen_loss = np.asarray(unseen, np.float64).mean(axis=1)
    truth = [True] * len(trained_loss) + [False] * len(unseen_loss)
    try:
        value, low, high = auc_interval(
            [*-trained_loss, *-unseen_loss],
            truth,
            [*patients[0], *patients[1]],
            seed=seed,
        )
        groups = len(set(patients[0])) + len(set(patients[1]))
        alike = " (no replicate differs)" if low == high else ""
        auc = Estimate(
            value,
            low,
            high,
            len(truth),
            f"bootstrap over {groups} patients{alike}",
            groups=groups,
        )
    except BadTable as error:
        auc = undefined(str(error), n=len(truth))
    chance = Estimate(
        0.5,
        0.5,
        0.5,
        len(truth),
        "by definition",
    )
    series = (
        Series(
            "reference",
            "training tiles",
            trained_loss.tolist(),
        ),
        Series(
            "real",
            "unseen tiles",
            unseen_loss.tolist(),
        ),
    )
    return Section(
        "membership",
        "Membership",
        _ABOUT,
        (
            Finding(
                "membership_AUC",
                auc,
                "real",
                chance,
                note="loss gap at fixed noise",
            ),
        ),
        {
            "mean_loss": {
                "training": _mean_or_none(trained_loss),
                "unseen": _mean_or_none(unseen_loss),
            }
        },
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


def _mean_or_none(losses: Float64Array) -> float | None:
    """None where there is no tile, or a loss is not a finite number: JSON has no nan."""
    if not len(losses) or not np.isfinite(losses).all():
        return None
    return float(losses.mean())
