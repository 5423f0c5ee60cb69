"""Splits by patient, stratified by label: every tile of a patient stands on one side."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping


def split_patients(
    labels: Mapping[str, str],
    shares: Mapping[str, float],
    *,
    seed: int = 0,
) -> dict[str, str]:
    """Assign each patient a split.

    Within a label patients are ordered by a digest of seed and name, and assigned so that every
    split is as near to its share as whole patients allow. What one label leaves over or lacks is
    evened out by the next. The rarest label comes first, and a label with at least one patient for
    each split reaches every split.

    Args:
        labels: label by patient; "" where none is known.
        shares: share by split; positive, summing to 1.
        seed: another seed, another assignment.

    Returns:
        Split by patient.
    """
    counts = Counter(labels.values())
    assigned: dict[str, str] = {}
    total = dict.fromkeys(shares, 0)
    rarest_first = sorted(counts, key=lambda name: (counts[name], name))
    for label in rarest_first:
        patients = [patient for patient in labels if labels[patient] == label]
        patients.sort(key=lambda patient: _rank(seed, patient))
        of_label = dict.fromkeys(shares, 0)
        for patient in patients:
            split = _choose_split(
                shares,
                of_label,
                total,
                len(patients),
            )
            assigned[patient] = split
            of_label[split] += 1
            total[split] += 1
    return assigned


def _choose_split(
    shares: Mapping[str, float],
    of_label: Mapping[str, int],
    total: Mapping[str, int],
    patients_of_label: int,
) -> str:
    """The split that lacks most patients, of this label and in all.

    While a split has none of a label that has enough patients for all splits, it comes first.

    Args:
        shares: share by split.
        of_label: patients of this label that are already assigned, by split.
        total: patients of all labels that are already assigned, by split.
        patients_of_label: how many patients the label has.
    """
    reaches_all = patients_of_label >= len(shares)
    # the patient to assign counts once in the label and once in all, hence 2
    count = sum(of_label.values()) + sum(total.values()) + 2
    priority: dict[str, tuple[bool, float]] = {}
    for split, share in shares.items():
        is_owed_first = reaches_all and of_label[split] == 0
        lacking = share * count - of_label[split] - total[split]
        priority[split] = (is_owed_first, lacking)
    return max(priority, key=priority.__getitem__)


def _rank(seed: int, patient: str) -> str:
    text = f"{seed}\0{patient}"
    return hashlib.sha256(text.encode()).hexdigest()
