"""Which tiles are suspected copies, by their correlations with training tissue.

A tile is suspected if it correlates with a training tile beyond the layout of nuclei, once that
tile is turned and enlarged to fit. A tile that was given no nuclei is also suspected if it
correlates as it is: one that was given nuclei may have been given those of a training tile, and
then correlates by the layout alone.
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
MIN_BAR_BEYOND_LAYOUT = 0.45
"""Copies correlate by 0.8 and more beyond the layout, mixed half with another tile by 0.48; two
tiles that one network drew from the same nuclei by 0.38 at most (docs/log.md)."""
_EULER_GAMMA = 0.5772156649


@dataclass(frozen=True, eq=False)
class Scores:
    """Correlations of the tiles of one side with training tissue.

    Attributes:
        correlation: (N,) at the most alike place; nan where there is none.
        beyond_layout: (N,) there, aligned, beyond the layout of nuclei.
        tissue: (N,) the lower of both aligned correlations, of the place where it is highest.
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
        tissue = np.full(count, math.nan)
        given = np.zeros(count, bool)
        match = np.zeros((count, 2))
        if count:
            match = sample.stack(MATCH)
        if sample.has(TISSUE_MATCH):
            beyond_layout = match[:, -1]
            rows = sample.stack(TISSUE_MATCH)
            # nan where nothing is left beyond the layout
            tissue = np.fmin(rows[:, -2], rows[:, -1])
        if sample.has(GIVEN_NUCLEI):
            stated = sample.stack(GIVEN_NUCLEI)
            given = stated.ravel() > 0
        score = match[:, 0]
        found = score > NOT_SEARCHED
        return cls(
            correlation=np.where(found, score, math.nan),
            beyond_layout=beyond_layout,
            tissue=np.where(found, tissue, math.nan),
            given=given,
            tile=np.where(found, match[:, 1], -1),
        )


@dataclass(frozen=True)
class Bars:
    """What a suspected copy exceeds.

    Attributes:
        correlation: of a tile that was given no nuclei; nan where it cannot be set.
        beyond_layout: of any tile, aligned and beyond the layout of nuclei.
    """

    correlation: float
    beyond_layout: float = MIN_BAR_BEYOND_LAYOUT

    @classmethod
    def of(cls, null: Scores) -> Bars:
        """Set by real tissue among that of other patients."""
        beyond = bar_of(null.tissue)
        return cls(
            correlation=bar_of(null.correlation),
            beyond_layout=float(np.fmax(beyond, MIN_BAR_BEYOND_LAYOUT)),
        )

    def suspected(self, scores: Scores) -> Float64Array:
        """(N,) 1 where a tile is a suspected copy, 0 where not, nan where it was not searched."""
        known = np.isfinite(scores.correlation)
        by_layout = self.exceeded(scores) & ~self._is_excused(scores)
        is_suspected = by_layout | self.shares_tissue(scores)
        return np.where(
            known,
            is_suspected.astype(np.float64),
            math.nan,
        )

    def exceeded(self, scores: Scores) -> BoolArray:
        """(N,) where the correlation exceeds its bar, whatever the reason."""
        return np.asarray(scores.correlation > self.correlation)

    def on_training_layout(self, scores: Scores) -> BoolArray:
        """(N,) tiles that were given nuclei, and correlate with a training tile by them alone."""
        return self.exceeded(scores) & scores.given & ~self.shares_tissue(scores)

    def shares_tissue(self, scores: Scores) -> BoolArray:
        """(N,) where some place is alike beyond the layout too."""
        return np.asarray(scores.tissue > self.beyond_layout)

    def _is_excused(self, scores: Scores) -> BoolArray:
        """(N,) tiles that were given nuclei; not where nothing is left beyond the layout, so that
        the correlation alone decides.
        """
        return scores.given & np.isfinite(scores.beyond_layout)


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
