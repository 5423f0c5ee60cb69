"""Whether a set of tiles is nearer to training tissue than unseen real tissue is, by features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import Estimate, undefined
from ..finding import Finding
from ..intervals import share_over, statistic_over
from ..neighbours import copying_statistic, nearest_rows, rounding_distance
from ..sample import Sample
from .suspects import MIN_SCORES

_NAMES = ("nearer_than_5th", "C_T", "AuthPct")


@dataclass(frozen=True, eq=False)
class Crops:
    """The training tissue in crops of the tiles' size.

    Attributes:
        features: (C, D).
        owners: (C) patient of each.
    """

    features: Float64Array
    owners: list[str]


@dataclass(frozen=True, eq=False)
class Nearness:
    """Distances of one side's tiles to training tissue.

    Attributes:
        sample: the tiles.
        gaps: (N,) distance of each to the nearest training crop; nan where there is none that
            counts.
        nearest: (N,) that crop.
    """

    sample: Sample
    gaps: Float64Array
    nearest: Float64Array

    @classmethod
    def of(
        cls,
        sample: Sample,
        crops: Crops,
        left_out: Sequence[str] = (),
    ) -> Nearness:
        """Of a side.

        Args:
            sample: its tiles, with `embed/features`.
            crops: the training tissue.
            left_out: (N) a patient whose crops do not count for a tile, "" for none; empty: all
                count.
        """
        if not len(sample):
            return cls(sample, np.zeros(0), np.zeros(0))
        owners = None if not any(left_out) else (list(left_out), crops.owners)
        distances, rows = nearest_rows(
            sample.stack("embed/features"),
            crops.features,
            owners=owners,
        )
        gaps = np.where(np.isfinite(distances[:, 0]), distances[:, 0], math.nan)
        return cls(sample, gaps, rows[:, 0].astype(np.float64))

    @property
    def counted(self) -> tuple[Float64Array, list[str]]:
        """Distances and patients of the tiles that have one."""
        known = np.isfinite(self.gaps)
        patients = self.sample.patients
        return self.gaps[known], [patients[row] for row in np.flatnonzero(known)]


def nearness_findings(
    real: Nearness,
    synthetic: Nearness,
    crops: Crops,
    seed: int,
    note: str = "",
) -> list[Finding]:
    """Is the set nearer to training than unseen real tissue? By distances in features.

    Args:
        real: held-out real tiles.
        synthetic: synthetic ones.
        crops: the training tissue.
        seed: of the intervals.
        note: what was left out of the comparison, to be added to each note.
    """
    n = len(real.gaps)
    if n < MIN_SCORES:
        why = undefined(f"nearness needs {MIN_SCORES} held-out real tiles; there are {n}", n=n)
        return [Finding(name, why, "real") for name in _NAMES]
    if len(synthetic.gaps) and not np.isfinite(synthetic.gaps).any():
        why = undefined(
            "the reference holds no patient but those whose nuclei the tiles were given; add "
            "training tiles of others",
            n=len(synthetic.gaps),
        )
        return [Finding(name, why, "real") for name in _NAMES]
    nearer, statistic = _as_a_set(real, synthetic, crops, seed)
    authentic = _authentic(synthetic, crops)
    authenticity = share_over(authentic, synthetic.sample.patients, seed=seed)
    if not np.isfinite(authentic).any():
        authenticity = undefined(
            "the nearest training crops have no crop of another patient, or are the same as one, "
            "so that they do not show how far unseen tissue is",
            n=len(synthetic.gaps),
        )
    return [
        Finding(
            "nearer_than_5th",
            nearer,
            "real",
            Estimate(0.05, 0.05, 0.05, n, "by definition"),
            note="share below the 5th percentile of real tissue" + note,
        ),
        Finding(
            "C_T",
            statistic,
            "real",
            Estimate(0.0, 0.0, 0.0, n, "by definition"),
            note="standard deviations under chance; below -3: nearer to training than unseen real "
            "tissue" + note,
        ),
        Finding(
            "AuthPct",
            authenticity,
            "high",
            note="share farther from its nearest training crop than that is from other patients'"
            + note,
        ),
    ]


def _as_a_set(
    real: Nearness,
    synthetic: Nearness,
    crops: Crops,
    seed: int,
) -> tuple[Estimate, Estimate]:
    """The share of tiles nearer than real ones are, and C_T."""
    sides = (synthetic.counted, real.counted)
    n = len(real.gaps)

    def nearer_than_5th(of_synthetic: Float64Array, of_real: Float64Array) -> float:
        return float((of_synthetic < np.percentile(of_real, 5)).mean())

    # distances up to that of rounding are those of copies
    rounding = rounding_distance(crops.features)
    if np.percentile(real.gaps, 5) > rounding:
        nearer = statistic_over(nearer_than_5th, *sides, seed=seed)
        statistic = statistic_over(
            copying_statistic,
            *sides,
            replicates=400,
            seed=seed,
        )
        return nearer, statistic
    copies = int((real.gaps <= rounding).sum())
    why = undefined(
        f"{copies} of {n} held-out real tiles have the features of a training crop, so that "
        "they do not show how far unseen tissue is; leave them out of one side",
        n=n,
    )
    return why, why


def _authentic(synthetic: Nearness, crops: Crops) -> Float64Array:
    """(M,) 1 where a tile is farther from its nearest crop than that is from its own nearest.

    A training crop's own nearest is of another patient, as unseen tissue is. nan where there is
    none, or where it is the same crop: then only a copy, 0, can be distinguished.
    """
    rounding = rounding_distance(crops.features)
    known = np.isfinite(synthetic.gaps)
    nearest = synthetic.nearest[known].astype(np.intp)
    nearest_crops = np.unique(nearest)
    radius: dict[int, float] = {}
    if len(nearest_crops):
        own, _ = nearest_rows(
            crops.features[nearest_crops],
            crops.features,
            owners=([crops.owners[i] for i in nearest_crops], crops.owners),
        )
        radius = dict(zip(nearest_crops.tolist(), own[:, 0].tolist(), strict=True))
    out = np.full(len(synthetic.gaps), math.nan)
    for tile, crop in zip(np.flatnonzero(known), nearest, strict=True):
        gap = synthetic.gaps[tile]
        own_gap = radius[int(crop)]
        is_usable = rounding < own_gap < math.inf
        if is_usable or gap <= rounding:
            out[tile] = float(gap > own_gap and is_usable)
    return out
