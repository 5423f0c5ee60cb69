"""Which tiles are suspected copies, by their correlations with training tissue.

A tile that was given nuclei may have been given those of a training tile: then it correlates with
that tile by the layout alone. It is suspected only if it also correlates beyond the layout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...core.arrays import BoolArray, Float64Array
from ..sample import Sample
from .register import NOT_SEARCHED
from .search import MATCH, TISSUE_MATCH

GIVEN_NUCLEI = "copy/given"
"""1 for a tile whose recipe or conditions state the nuclei that it was given."""
FALSE_ALARM_RATE = 0.001
"""Chance that unseen real tissue is suspected, per tile, by the fit of its scores."""
MIN_SCORES = 16
"""Real tiles needed to compute the bar."""
MAX_BAR = 0.999
"""A copy's own correlation is hardly above it: a higher bar would find none."""
MIN_BAR_BEYOND_LAYOUT = 0.5
"""Copies correlate by 0.7 and more beyond the layout; two tiles that one network drew from the same
nuclei by 0.38 at most (docs/log.md)."""
_EULER_GAMMA = 0.5772156649


@dataclass(frozen=True, eq=False)
class Scores:
    """Correlations of the tiles of one side with training tissue.

    Attributes:
        correlation: (N,) at the most alike place; nan where there is none.
        beyond_layout: (N,) there, beyond the layout of nuclei.
        tissue: (N, 2) both correlations at the place where the lower of them is highest.
        given: (N,) whether the tile was given nuclei.
        tile: (N,) training tile of the most alike place, -1 where there is none.
    """

    correlation: Float64Array
    beyond_layout: Float64Array
    tissue: Float64Array
    given: BoolArray
    tile: Float64Array

    @classmethod
    def of(cls, sample: Sample) -> Scores:
        """Of a side whose tiles were searched for."""
        count = len(sample)
        beyond_layout = np.full(count, math.nan)
        tissue = np.full((count, 2), math.nan)
        given = np.zeros(count, bool)
        match = np.zeros((count, 2))
        if count:
            match = sample.stack(MATCH)
        if sample.has(TISSUE_MATCH):
            beyond_layout = match[:, -1]
            rows = sample.stack(TISSUE_MATCH)
            tissue = rows[:, [0, -1]]
        if sample.has(GIVEN_NUCLEI):
            stated = sample.stack(GIVEN_NUCLEI)
            given = stated.ravel() > 0
        score = match[:, 0]
        found = score > NOT_SEARCHED
        return cls(
            correlation=np.where(found, score, math.nan),
            beyond_layout=beyond_layout,
            tissue=tissue,
            given=given,
            tile=np.where(found, match[:, 1], -1),
        )

    @property
    def highest_beyond_layout(self) -> Float64Array:
        """(N,) the higher correlation beyond the layout of both places; nan where there is none."""
        return np.fmax(self.beyond_layout, self.tissue[:, 1])


@dataclass(frozen=True)
class Bars:
    """What a suspected copy exceeds.

    Attributes:
        correlation: of any tile; nan where it cannot be set.
        beyond_layout: of a tile that was given nuclei, besides.
    """

    correlation: float
    beyond_layout: float = MIN_BAR_BEYOND_LAYOUT

    @classmethod
    def of(cls, null: Scores) -> Bars:
        """Set by real tissue among that of other patients."""
        beyond = bar_of(null.highest_beyond_layout)
        return cls(
            correlation=bar_of(null.correlation),
            beyond_layout=float(np.fmax(beyond, MIN_BAR_BEYOND_LAYOUT)),
        )

    def suspected(self, scores: Scores) -> Float64Array:
        """(N,) 1 where a tile is a suspected copy, 0 where not, nan where it was not searched."""
        known = np.isfinite(scores.correlation)
        excused = scores.given & ~self._shares_tissue(scores)
        is_suspected = self.exceeded(scores) & ~excused
        return np.where(
            known,
            is_suspected.astype(np.float64),
            math.nan,
        )

    def exceeded(self, scores: Scores) -> BoolArray:
        """(N,) where the correlation exceeds its bar, whatever the reason."""
        return np.asarray(scores.correlation > self.correlation)

    def on_training_layout(self, scores: Scores) -> BoolArray:
        """(N,) tiles that were given nuclei, and whose nuclei are those of a training tile."""
        return self.exceeded(scores) & scores.given

    def _shares_tissue(self, scores: Scores) -> BoolArray:
        """(N,) where some place exceeds both bars; where nothing is left beyond the layout, the
        layout decides.
        """
        # not "above": nan counts as shared
        differs = scores.beyond_layout <= self.beyond_layout
        at_best = self.exceeded(scores) & ~differs
        tissue, beyond = scores.tissue.T
        differs_elsewhere = beyond <= self.beyond_layout
        is_alike = tissue > self.correlation
        elsewhere = is_alike & ~differs_elsewhere
        return np.asarray(at_best | elsewhere)


def bar_of(null: Float64Array) -> float:
    """The score that unseen real tissue exceeds with a chance of `FALSE_ALARM_RATE`.

    The largest of many correlations follows a Gumbel law (Fisher & Tippett 1928), fitted by
    moments; the bar is never below the largest score that real tissue reached.
    """
    kept = null[np.isfinite(null)]
    if len(kept) < MIN_SCORES:
        return math.nan
    deviation = float(kept.std(ddof=1))
    mean = float(kept.mean())
    highest = float(kept.max())
    scale = deviation * math.sqrt(6) / math.pi
    location = mean - _EULER_GAMMA * scale
    chance = -math.log1p(-FALSE_ALARM_RATE)
    quantile = location - scale * math.log(chance)
    return max(quantile, highest)


def why_no_bar(bar: float, null: Float64Array) -> str:
    """Why no synthetic tile can be suspected; "" where the bar can be used.

    Args:
        bar: as `bar_of` gives it.
        null: (N,) scores of real tiles of other patients, NaN for those without contrast.
    """
    scores = null[np.isfinite(null)]
    if not math.isfinite(bar):
        return f"the bar needs {MIN_SCORES} real tiles with contrast"
    if bar <= MAX_BAR:
        return ""
    if scores.max() > MAX_BAR:
        repeated = int((scores > MAX_BAR).sum())
        return (
            f"{repeated} of the {len(scores)} real tiles that set the bar are in the training "
            f"tissue of other patients too (correlation above {MAX_BAR}), so that a copy would not "
            "stand out; give each tile once, and each patient one name"
        )
    return (
        f"the correlations of the {len(scores)} real tiles that set the bar differ so much that it "
        f"would be {bar:.2f}, which no copy exceeds; give more training tiles of other patients"
    )
