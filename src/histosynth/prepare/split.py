"""Splits by patient, stratified by label: every tile of a patient stands on one side."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence


def split_patients(
    labels: Mapping[str, str], shares: Mapping[str, float], *, seed: int = 0
) -> dict[str, str]:
    """Give each patient a split.

    Within a label patients stand in an order of their own (a digest of seed and name) and are dealt
    out so that every split is as near to its share as whole patients allow; what one label leaves
    over or lacks is made good by the next. The rarest label is dealt first, and a label with a
    patient for each split reaches every split.

    Args:
        labels: label by patient; "" where none is known.
        shares: share by split; positive, summing to 1.
        seed: another seed, another deal.

    Returns:
        Split by patient.
    """
    counts = Counter(labels.values())
    dealt: dict[str, str] = {}
    total = dict.fromkeys(shares, 0)
    for label in sorted(counts, key=lambda name: (counts[name], name)):
        patients = sorted(
            (each for each in labels if labels[each] == label), key=lambda name: _rank(seed, name)
        )
        here = dict.fromkeys(shares, 0)
        for patient in patients:
            # one each first, in order of share; then whoever lacks most, here and in all
            first = len(patients) >= len(shares) and min(here.values()) == 0
            lacks = {
                split: (
                    first and here[split] == 0,
                    share * (sum(here.values()) + len(dealt) + 2) - here[split] - total[split],
                )
                for split, share in shares.items()
            }
            chosen = max(lacks, key=lacks.__getitem__)
            dealt[patient] = chosen
            here[chosen] += 1
            total[chosen] += 1
    return dealt


def patients_by_split(splits: Mapping[str, str], names: Sequence[str]) -> dict[str, int]:
    """How many patients stand in each split."""
    counts = Counter(splits.values())
    return {name: counts[name] for name in names}


def _rank(seed: int, patient: str) -> str:
    return hashlib.sha256(f"{seed}\0{patient}".encode()).hexdigest()
