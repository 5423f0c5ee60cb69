"""Does the model's loss reveal the patients on whom it was trained? The input is losses, not the
model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..core.arrays import Float64Array
from ..core.errors import BadTable
from ..core.estimate import Estimate, undefined
from ..core.number_format import format_estimate, format_number
from ..core.roc import auc_interval
from .finding import Finding, Plot, Section, Series
from .standing import ends_for_patients
from .verdict import finding_of, no_conclusion

_ABOUT = (
    "Loss of the model on tiles of its training set and of unseen patients, at fixed noise levels "
    "and noise. An area of 0.5 is the result of guessing which patients were in the training set; "
    "near 1 the model has memorised its patients, whatever its pictures look like."
)

_CHANCE = 0.5
_WIDE_AREA = 0.25
"""An interval that contains chance and reaches so far above it allows no conclusion."""


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
                title="Training tiles ranked right by their loss (area under the ROC curve)",
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


def membership_verdict(section: Section) -> str:
    """Whether the losses reveal the training patients, and what was compared."""
    question = "the losses show which patients the model was trained on"
    area = finding_of(section, "membership_AUC")
    if area is None or not area.value.has_interval:
        return f"{no_conclusion(question, area.value.reason if area else '')} {_losses(section)}"
    low, high = ends_for_patients(area.value)
    number = f"the area is {format_estimate(area.value).text}, and 0.5 is guessing"
    if low > _CHANCE:
        first = f"The losses show which patients the model was trained on: {number}."
    elif high > _CHANCE + _WIDE_AREA:
        first = no_conclusion(question, number)
    else:
        first = f"No sign was found that {question}: {number}."
    return f"{first} {_losses(section)}"


def _losses(section: Section) -> str:
    """The mean losses, as far as they are known."""
    losses = section.facts.get("mean_loss", {})
    trained = losses.get("training")
    unseen = losses.get("unseen")
    if trained is None or unseen is None:
        return "The mean losses are not known."
    return (
        f"The mean loss is {format_number(trained)} on training tiles and "
        f"{format_number(unseen)} on tiles of unseen patients."
    )


def _mean_or_none(losses: Float64Array) -> float | None:
    """None where there is no tile, or a loss is not a finite number: JSON has no nan."""
    if not len(losses) or not np.isfinite(losses).all():
        return None
    return float(losses.mean())
