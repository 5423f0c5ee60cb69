"""The verdict on copying."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import Estimate, undefined
from ..finding import Finding, Plot, Section, Series
from ..intervals import share_over, statistic_over
from ..neighbours import copying_statistic, nearest
from ..sample import Sample

FALSE_ALARMS = 0.001
"""Chance that unseen real tissue is suspected, per tile, by the fit of its scores."""
LEAST_SCORES = 16
"""Real tiles that a bar needs."""
SHOWN = 8
ABOUT = (
    "Each made tile is looked up in the training tissue: the largest correlation of a quarter "
    "of it with any "
    "place of any training tile, turned, mirrored, moved, in any stain. Real tissue of "
    "patients who are not "
    "in the training set says how alike two tissues are by chance, and sets the bar. Nearness "
    "in the "
    "encoder's features says whether the set as a whole keeps nearer to training than unseen "
    "tissue does."
)


@dataclass(frozen=True)
class Pair:
    """A tile and the place of the training tissue that is most like it.

    Attributes:
        row: of the made tiles.
        tile: which training tile.
        score: correlation.
        pose: how the made tile is turned for it.
        x, y: corner of the turned made tile in the training tile, um.
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
    """Suspected copies, and whether the set keeps too near to training.

    Args:
        real: held-out real tiles, with `copy/match` and `embed/features`.
        synthetic: synthetic ones, likewise.
        left_out: some training tiles, each looked up among the other patients'.
        crops: (C, D) features of the training tissue in crops of the tiles' size.
        owners: (C) patient of each crop.
        seed: of the intervals.
    """
    scores = {
        name: _scores(side)
        for name, side in (("real", real), ("synthetic", synthetic), ("left out", left_out))
    }
    null = (
        scores["left out"]
        if np.isfinite(scores["left out"]).sum() >= LEAST_SCORES
        else scores["real"]
    )
    findings = []
    facts = {}
    verdict = ""
    bar = bar_of(null)
    if math.isfinite(bar):
        suspected = _over(scores["synthetic"], bar)
        findings.append(
            Finding(
                "suspected_copies",
                share_over(suspected, synthetic.patients, seed=seed),
                "zero",
                share_over(_over(scores["real"], bar), real.patients, seed=seed),
                note=f"share of tiles that correlate above {bar:.2f} with a training tile",
            )
        )
        count = int(np.nansum(suspected))
        facts = {
            "bar": round(bar, 4),
            "bar_from": int(np.isfinite(null).sum()),
            "suspected": count,
        }
        verdict = _verdict(count, synthetic, scores, bar)
    else:
        why = undefined(
            f"the bar needs {LEAST_SCORES} real tiles with contrast", n=int(np.isfinite(null).sum())
        )
        findings.append(Finding("suspected_copies", why, "zero"))
    findings.append(
        Finding(
            "correlation_95th",
            _percentile(scores["synthetic"], synthetic, 95, seed),
            "low",
            _percentile(scores["real"], real, 95, seed),
            note="95th percentile of the largest correlation",
        )
    )
    gaps = {name: _gaps(side, crops) for name, side in (("real", real), ("synthetic", synthetic))}
    findings += _by_features(
        gaps,
        real,
        synthetic,
        _authentic(synthetic, crops, owners),
        seed=seed,
    )
    plots = (
        _plot(
            "Largest correlation with training tissue",
            "correlation",
            scores,
            (bar, "bar"),
        ),
        _plot(
            "Distance to the nearest training crop",
            "distance in features",
            gaps,
            None,
        ),
    )
    return Section(
        "copying",
        "Copying",
        ABOUT,
        tuple(findings),
        facts,
        plots,
        (),
        verdict,
    )


def bar_of(null: Float64Array) -> float:
    """The score above which unseen real tissue comes by a chance of 0.001.

    The largest of many correlations follows a Gumbel law (Fisher & Tippett 1928), fitted by
    moments; the bar is never below the largest score that real tissue was seen to have.
    """
    kept = null[np.isfinite(null)]
    if len(kept) < LEAST_SCORES:
        return math.nan
    scale = float(kept.std(ddof=1)) * math.sqrt(6) / math.pi
    place = float(kept.mean()) - 0.5772156649 * scale
    return max(place - scale * math.log(-math.log1p(-FALSE_ALARMS)), float(kept.max()))


def nearest_pairs(synthetic: Sample, most: int = SHOWN) -> list[Pair]:
    """The most alike pairs, for people to look at."""
    rows = [
        Pair(
            row,
            int(match[1]),
            float(match[0]),
            int(match[2]),
            float(match[3]),
            float(match[4]),
        )
        for row, match in enumerate(synthetic.each("copy/match"))
        if math.isfinite(float(match[0]))
    ]
    return sorted(rows, key=lambda pair: -pair.score)[:most]


def _scores(sample: Sample) -> Float64Array:
    return sample.stack("copy/match")[:, 0] if len(sample) else np.zeros(0)


def _over(scores: Float64Array, bar: float) -> Float64Array:
    return np.asarray(np.where(np.isfinite(scores), scores > bar, np.nan), np.float64)


def _percentile(
    values: Float64Array,
    sample: Sample,
    rank: float,
    seed: int,
) -> Estimate:
    kept = np.isfinite(values)
    names = [name for name, keep in zip(sample.patients, kept, strict=True) if keep]
    return statistic_over(
        lambda drawn: float(np.percentile(drawn, rank)),
        (values[kept], names),
        seed=seed,
    )


def _verdict(
    count: int,
    synthetic: Sample,
    scores: dict[str, Float64Array],
    bar: float,
) -> str:
    measured = int(np.isfinite(scores["synthetic"]).sum())
    if count:
        worst = [
            synthetic.tiles[row].name
            for row in np.argsort(-np.nan_to_num(scores["synthetic"], nan=-1))[:3]
        ]
        return (
            f"{count} of {measured} made tiles are suspected copies of training tissue "
            f"(correlation above {bar:.2f}), first {', '.join(worst[:count])}: look at the "
            "pairs below."
        )
    most = float(np.nanmax(scores["synthetic"])) if measured else math.nan
    return (
        f"None of {measured} made tiles is a suspected copy: the largest correlation with "
        "training tissue is "
        f"{most:.2f}, the bar {bar:.2f}."
    )


def _gaps(sample: Sample, crops: Float64Array) -> Float64Array:
    return nearest(sample.stack("embed/features"), crops)[0][:, 0] if len(sample) else np.zeros(0)


def _authentic(synthetic: Sample, crops: Float64Array, owners: list[str]) -> Float64Array:
    """(M,) AuthPct's mark; a training crop's own nearest is of another patient, as unseen tissue
    is.
    """
    gaps, rows = nearest(synthetic.stack("embed/features"), crops)
    wanted = np.unique(rows[:, 0])
    own, _ = nearest(crops[wanted], crops, owners=([owners[i] for i in wanted], owners))
    radius = dict(zip(wanted.tolist(), own[:, 0].tolist(), strict=True))
    return np.array(
        [float(gap > radius[int(row)]) for gap, row in zip(gaps[:, 0], rows[:, 0], strict=True)]
    )


def _by_features(
    gaps: dict[str, Float64Array],
    real: Sample,
    synthetic: Sample,
    authentic: Float64Array,
    *,
    seed: int,
) -> list[Finding]:
    if len(real) < LEAST_SCORES:
        why = undefined(
            f"nearness needs {LEAST_SCORES} held-out real tiles; there are {len(real)}", n=len(real)
        )
        return [Finding(name, why, "real") for name in ("nearer_than_5th", "C_T", "AuthPct")]
    sides = ((gaps["synthetic"], synthetic.patients), (gaps["real"], real.patients))
    near = statistic_over(
        lambda ours, bar: float((ours < np.percentile(bar, 5)).mean()),
        *sides,
        seed=seed,
    )
    expected, zero = (
        Estimate(each, each, each, len(real), "by definition") for each in (0.05, 0.0)
    )
    fifth = "share below the 5th percentile of real tissue"
    statistic = statistic_over(
        copying_statistic,
        *sides,
        replicates=400,
        seed=seed,
    )
    note = "standard deviations under chance; below -3: nearer to training than unseen real tissue"
    return [
        Finding(
            "nearer_than_5th",
            near,
            "real",
            expected,
            note=fifth,
        ),
        Finding("C_T", statistic, "real", zero, note=note),
        Finding(
            "AuthPct",
            share_over(authentic, synthetic.patients, seed=seed),
            "high",
            note="share farther from its nearest training crop than that is from other patients'",
        ),
    ]


def _plot(
    title: str,
    axis: str,
    values: dict[str, Float64Array],
    mark: tuple[float, str] | None,
) -> Plot:
    roles = {
        "left out": "reference",
        "real": "real",
        "synthetic": "synthetic",
    }
    words = {
        "left out": "training patients, each left out",
        "real": "held-out real",
        "synthetic": "synthetic",
    }
    series = tuple(
        Series(role, words[name], values[name][np.isfinite(values[name])].tolist())  # type: ignore[arg-type]
        for name, role in roles.items()
        if name in values and len(values[name])
    )
    return Plot(
        title,
        axis,
        "",
        series,
        "density",
        mark if mark and math.isfinite(mark[0]) else None,
    )
