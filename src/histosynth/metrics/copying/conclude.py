"""The report section on copying."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import Estimate, undefined
from ..finding import Finding, Plot, Section, Series
from ..intervals import share_over, statistic_over
from ..neighbours import copying_statistic, nearest_rows, rounding_distance
from ..sample import Sample
from .register import NOT_SEARCHED

FALSE_ALARM_RATE = 0.001
"""Chance that unseen real tissue is suspected, per tile, by the fit of its scores."""
MIN_SCORES = 16
"""Real tiles needed to compute the bar."""
MAX_BAR = 0.999
"""A copy's own correlation is hardly above it: a higher bar would find none."""
MAX_PAIRS = 8
"""Most alike pairs that are shown."""
_EULER_GAMMA = 0.5772156649
_ABOUT = (
    "Each synthetic tile is searched for in the training tissue: the largest correlation of a "
    "quarter of it with any place of any training tile, rotated, mirrored, shifted, in any stain. "
    "Real tissue of patients who are not in the training set shows how alike two tissues are by "
    "chance, and sets the bar. Distances in the encoder's features show whether the set as a whole "
    "is nearer to training than unseen tissue is."
)
_Role = Literal["reference", "real", "synthetic"]
_SERIES: dict[str, tuple[_Role, str]] = {
    "left out": ("reference", "training patients, each left out"),
    "real": ("real", "held-out real"),
    "synthetic": ("synthetic", "synthetic"),
}


@dataclass(frozen=True)
class AlikePair:
    """A synthetic tile and the place of the training tissue that is most like it.

    Attributes:
        row: of the synthetic tiles.
        tile: which training tile.
        score: correlation.
        pose: how the synthetic tile is rotated for it.
        x, y: corner of the rotated synthetic tile in the training tile, um.
    """

    row: int
    tile: int
    score: float
    pose: int
    x: float
    y: float


def conclude_copying(
    real: Sample,
    synthetic: Sample,
    left_out: Sample,
    crops: Float64Array,
    owners: list[str],
    *,
    seed: int = 0,
) -> Section:
    """Suspected copies, and whether the set as a whole is too near to training tissue.

    Args:
        real: held-out real tiles, with `copy/match` and `embed/features`.
        synthetic: synthetic ones, likewise.
        left_out: some training tiles, each searched for in the other patients' tissue.
        crops: (C, D) features of the training tissue in crops of the tiles' size.
        owners: (C) patient of each crop.
        seed: of the intervals.
    """
    scores = {
        "real": _scores(real),
        "synthetic": _scores(synthetic),
        "left out": _scores(left_out),
    }
    null = scores["left out"]
    if np.isfinite(null).sum() < MIN_SCORES:
        null = scores["real"]
    bar = bar_of(null)
    no_bar = why_no_bar(bar, null)
    findings = [
        _suspected(
            bar,
            no_bar,
            (real, synthetic),
            scores,
            seed,
            null=null,
        ),
        Finding(
            "correlation_95th",
            _percentile(
                scores["synthetic"],
                synthetic,
                95,
                seed,
            ),
            "low",
            _percentile(scores["real"], real, 95, seed),
            note="95th percentile of the largest correlation",
        ),
    ]
    facts: dict[str, Any] = {}
    verdict = ""
    if no_bar and math.isfinite(bar):
        verdict = f"No verdict on copies: {no_bar}."
        bar = math.nan
    elif math.isfinite(bar):
        suspected = int(np.nansum(_above(scores["synthetic"], bar)))
        facts = {
            "bar": round(bar, 4),
            "bar_from": int(np.isfinite(null).sum()),
            "suspected": suspected,
        }
        verdict = _verdict(
            suspected,
            synthetic,
            scores["synthetic"],
            bar,
        )
    gaps = {"real": _gaps(real, crops), "synthetic": _gaps(synthetic, crops)}
    authentic = _authentic(synthetic, crops, owners)
    findings += _by_features(
        gaps,
        real,
        synthetic,
        authentic,
        seed,
        rounding=rounding_distance(crops),
    )
    correlations = _plot(
        "Largest correlation with training tissue",
        "correlation",
        scores,
        bar,
    )
    distances = _plot(
        "Distance to the nearest training crop",
        "distance in features",
        gaps,
    )
    return Section(
        "copying",
        "Copying",
        _ABOUT,
        tuple(findings),
        facts,
        (correlations, distances),
        verdict=verdict,
    )


def bar_of(null: Float64Array) -> float:
    """The score that unseen real tissue exceeds with a chance of `FALSE_ALARM_RATE`.

    The largest of many correlations follows a Gumbel law (Fisher & Tippett 1928), fitted by
    moments; the bar is never below the largest score that real tissue reached.
    """
    kept = null[np.isfinite(null)]
    if len(kept) < MIN_SCORES:
        return math.nan
    scale = float(kept.std(ddof=1)) * math.sqrt(6) / math.pi
    location = float(kept.mean()) - _EULER_GAMMA * scale
    quantile = location - scale * math.log(-math.log1p(-FALSE_ALARM_RATE))
    return max(quantile, float(kept.max()))


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


def most_alike_pairs(synthetic: Sample, count: int = MAX_PAIRS) -> list[AlikePair]:
    """The pairs of the highest correlation, to be shown to people."""
    pairs = []
    for row, match in enumerate(synthetic.each("copy/match")):
        score, tile, pose, x, y = (float(value) for value in match[:5])
        if score > NOT_SEARCHED:
            pairs.append(AlikePair(row, int(tile), score, int(pose), x, y))
    return sorted(pairs, key=lambda pair: -pair.score)[:count]


def _suspected(
    bar: float,
    no_bar: str,
    sides: tuple[Sample, Sample],
    scores: Mapping[str, Float64Array],
    seed: int,
    *,
    null: Float64Array,
) -> Finding:
    """Share of tiles above the bar."""
    real, synthetic = sides
    if no_bar:
        why = undefined(no_bar, n=int(np.isfinite(null).sum()))
        return Finding("suspected_copies", why, "zero")
    return Finding(
        "suspected_copies",
        share_over(
            _above(scores["synthetic"], bar),
            synthetic.patients,
            seed=seed,
        ),
        "zero",
        share_over(
            _above(scores["real"], bar),
            real.patients,
            seed=seed,
        ),
        note=f"share of tiles that correlate above {bar:.2f} with a training tile",
    )


def _scores(sample: Sample) -> Float64Array:
    if not len(sample):
        return np.zeros(0)
    found = sample.stack("copy/match")[:, 0]
    return np.where(found > NOT_SEARCHED, found, np.nan)


def _above(scores: Float64Array, bar: float) -> Float64Array:
    """1 where a score is above the bar, 0 where not, nan where there is no score."""
    return np.asarray(
        np.where(
            np.isfinite(scores),
            scores > bar,
            np.nan,
        ),
        np.float64,
    )


def _percentile(
    values: Float64Array,
    sample: Sample,
    rank: float,
    seed: int,
) -> Estimate:
    kept = np.isfinite(values)
    names = [name for name, keep in zip(sample.patients, kept, strict=True) if keep]

    def percentile(replicate: Float64Array) -> float:
        return float(np.percentile(replicate, rank))

    return statistic_over(
        percentile,
        (values[kept], names),
        seed=seed,
    )


def _verdict(
    suspected: int,
    synthetic: Sample,
    scores: Float64Array,
    bar: float,
) -> str:
    measured = int(np.isfinite(scores).sum())
    if not measured:
        return (
            f"No verdict on copies: none of {len(scores)} synthetic tiles could be searched for, "
            "because they have no contrast or the training tiles are smaller than a quarter of "
            "them."
        )
    not_searched = ""
    if measured < len(scores):
        not_searched = f" {len(scores) - measured} more could not be searched for."
    if suspected:
        highest_first = np.argsort(-np.nan_to_num(scores, nan=-1))[:3]
        names = [synthetic.tiles[row].name for row in highest_first][:suspected]
        return (
            f"{suspected} of {measured} synthetic tiles are suspected copies of training tissue "
            f"(correlation above {bar:.2f}), first {', '.join(names)}: compare the pairs below."
            + not_searched
        )
    largest = float(np.nanmax(scores))
    return (
        f"None of {measured} synthetic tiles is a suspected copy: the largest correlation with "
        f"training tissue is {largest:.2f}, the bar {bar:.2f}." + not_searched
    )


def _gaps(sample: Sample, crops: Float64Array) -> Float64Array:
    """(N,) distance of each tile to the nearest training crop, in features."""
    if not len(sample):
        return np.zeros(0)
    distances, _ = nearest_rows(sample.stack("embed/features"), crops)
    return distances[:, 0]


def _authentic(
    synthetic: Sample,
    crops: Float64Array,
    owners: list[str],
) -> Float64Array:
    """(M,) 1 where a tile is farther from its nearest crop than that is from its own nearest.

    A training crop's own nearest is of another patient, as unseen tissue is. nan where there is
    none, or where it is the same crop: then only a copy, 0, can be distinguished.
    """
    rounding = rounding_distance(crops)
    gaps, rows = nearest_rows(synthetic.stack("embed/features"), crops)
    nearest_crops = np.unique(rows[:, 0])
    crop_owners = [owners[i] for i in nearest_crops]
    own, _ = nearest_rows(
        crops[nearest_crops],
        crops,
        owners=(crop_owners, owners),
    )
    radius = dict(
        zip(
            nearest_crops.tolist(),
            own[:, 0].tolist(),
            strict=True,
        )
    )
    farther = []
    for gap, row in zip(gaps[:, 0], rows[:, 0], strict=True):
        own_gap = radius[int(row)]
        is_usable = rounding < own_gap < math.inf
        is_known = is_usable or gap <= rounding
        farther.append(float(gap > own_gap and is_usable) if is_known else math.nan)
    return np.array(farther)


def _by_features(
    gaps: Mapping[str, Float64Array],
    real: Sample,
    synthetic: Sample,
    authentic: Float64Array,
    seed: int,
    *,
    rounding: float,
) -> list[Finding]:
    """Is the set nearer to training than unseen real tissue? By distances in features.

    Distances up to `rounding` are those of copies.
    """
    n = len(real)
    if n < MIN_SCORES:
        why = undefined(f"nearness needs {MIN_SCORES} held-out real tiles; there are {n}", n=n)
        return [Finding(name, why, "real") for name in ("nearer_than_5th", "C_T", "AuthPct")]
    sides = ((gaps["synthetic"], synthetic.patients), (gaps["real"], real.patients))

    def nearer_than_5th(of_synthetic: Float64Array, of_real: Float64Array) -> float:
        return float((of_synthetic < np.percentile(of_real, 5)).mean())

    if np.percentile(gaps["real"], 5) > rounding:
        nearer = statistic_over(nearer_than_5th, *sides, seed=seed)
        statistic = statistic_over(
            copying_statistic,
            *sides,
            replicates=400,
            seed=seed,
        )
    else:
        copies = int((gaps["real"] <= rounding).sum())
        nearer = statistic = undefined(
            f"{copies} of {n} held-out real tiles have the features of a training crop, so that "
            "they do not show how far unseen tissue is; leave them out of one side",
            n=n,
        )
    authenticity = share_over(authentic, synthetic.patients, seed=seed)
    if not np.isfinite(authentic).any():
        authenticity = undefined(
            "the nearest training crops have no crop of another patient, or are the same as one, "
            "so that they do not show how far unseen tissue is",
            n=len(synthetic),
        )
    return [
        Finding(
            "nearer_than_5th",
            nearer,
            "real",
            Estimate(0.05, 0.05, 0.05, n, "by definition"),
            note="share below the 5th percentile of real tissue",
        ),
        Finding(
            "C_T",
            statistic,
            "real",
            Estimate(0.0, 0.0, 0.0, n, "by definition"),
            note="standard deviations under chance; below -3: nearer to training than unseen real "
            "tissue",
        ),
        Finding(
            "AuthPct",
            authenticity,
            "high",
            note="share farther from its nearest training crop than that is from other patients'",
        ),
    ]


def _plot(
    title: str,
    axis: str,
    values: Mapping[str, Float64Array],
    bar: float = math.nan,
) -> Plot:
    series = []
    for side, (role, label) in _SERIES.items():
        if side in values and len(values[side]):
            finite = values[side][np.isfinite(values[side])]
            series.append(Series(role, label, finite.tolist()))
    return Plot(
        title,
        axis,
        "",
        tuple(series),
        "density",
        (bar, "bar") if math.isfinite(bar) else None,
    )
