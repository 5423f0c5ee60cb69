"""The report section on copying."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...core.arrays import BoolArray, Float64Array
from ...core.estimate import Estimate, undefined
from ...core.number_format import counted
from ..finding import Finding, Plot, Section, Series
from ..intervals import share_over, statistic_over
from ..sample import Sample
from ..titles import with_titles
from .nearness import Crops, Nearness, nearness_findings
from .register import NOT_SEARCHED
from .search import MATCH, TISSUE_MATCH
from .suspects import MIN_SCORES, Bars, Scores, why_no_bar
from .words import COPYING_TITLES, suspected_copies

MAX_PAIRS = 8
"""Most alike pairs that are shown."""
_ABOUT = (
    "Each synthetic tile is searched for in the training tissue: the largest correlation of a "
    "quarter of it with any place of any training tile, rotated, mirrored, shifted, in any stain. "
    "Real tissue of patients who are not in the training set shows how alike two tissues are by "
    "chance, and sets the bar. The most alike places are then turned by small angles, enlarged and "
    "sheared to fit, and compared beyond the places of nuclei: a tile that was given nuclei is "
    "alike to the tile they come from because of them, and is suspected only if more is alike. "
    "Distances in the encoder's features show whether the set as a whole is nearer to training "
    "than unseen tissue is."
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
        aligned: correlation once the training tile was turned and enlarged to fit; nan where it is
            not known.
        beyond_layout: likewise, beyond the places of nuclei.
    """

    row: int
    tile: int
    score: float
    pose: int
    x: float
    y: float
    aligned: float = math.nan
    beyond_layout: float = math.nan


@dataclass(frozen=True, eq=False)
class _Searched:
    """Correlations of all sides, and the bars that real tissue sets.

    Attributes:
        scores: of real, synthetic and left-out tiles, by side.
        null: the side that sets the bars.
        bars: what a suspected copy exceeds.
        no_bar: why nothing can be suspected; "" where it can.
    """

    scores: Mapping[str, Scores]
    null: Scores
    bars: Bars
    no_bar: str

    @classmethod
    def of(
        cls,
        real: Sample,
        synthetic: Sample,
        left_out: Sample,
    ) -> _Searched:
        scores = {
            "real": Scores.of(real),
            "synthetic": Scores.of(synthetic),
            "left out": Scores.of(left_out),
        }
        null = scores["left out"]
        if np.isfinite(null.correlation).sum() < MIN_SCORES:
            null = scores["real"]
        bars = Bars.of(null)
        no_bar = why_no_bar(bars.correlation, null.correlation)
        return cls(scores, null, bars, no_bar)

    @property
    def synthetic(self) -> Scores:
        return self.scores["synthetic"]

    @property
    def is_aligned(self) -> bool:
        """Whether any synthetic tile was compared beyond the layout of nuclei."""
        return bool(np.isfinite(self.synthetic.tissue).any())

    @property
    def suspected(self) -> Float64Array:
        """(M,) of the synthetic tiles: 1, 0 or nan."""
        return self.bars.suspected(self.synthetic)

    @property
    def on_training_layout(self) -> BoolArray:
        """(M,) synthetic tiles that are alike to a training tile by given nuclei alone."""
        if self.no_bar:
            return np.zeros(len(self.synthetic.given), bool)
        return self.bars.on_training_layout(self.synthetic)


def conclude_copying(
    real: Sample,
    synthetic: Sample,
    left_out: Sample,
    crops: Float64Array,
    owners: list[str],
    *,
    seed: int = 0,
    sources: Sequence[str] = (),
) -> Section:
    """Suspected copies, and whether the set as a whole is too near to training tissue.

    Args:
        real: held-out real tiles, with `copy/match` and `embed/features`.
        synthetic: synthetic ones, likewise.
        left_out: some training tiles, each searched for in the other patients' tissue.
        crops: (C, D) features of the training tissue in crops of the tiles' size.
        owners: (C) patient of each crop.
        seed: of the intervals.
        sources: patient of each training tile that was searched, for tiles that were given its
            nuclei.
    """
    searched = _Searched.of(real, synthetic, left_out)
    findings = [
        _suspected(searched, real, synthetic, seed),
        Finding(
            "correlation_95th",
            _percentile(searched.synthetic.correlation, synthetic, 95, seed),
            "low",
            _percentile(searched.scores["real"].correlation, real, 95, seed),
            note="95th percentile of the largest correlation",
        ),
    ]
    if searched.is_aligned:
        findings.append(_beyond_layout(searched, real, synthetic, seed))
    training = Crops(crops, owners)
    given_by = _given_by(searched, synthetic, owners, sources)
    real_nearness = Nearness.of(real, training)
    nearness = Nearness.of(synthetic, training, given_by)
    findings += nearness_findings(
        real_nearness,
        nearness,
        training,
        seed,
        _left_out_note(given_by),
    )
    correlations = {name: scores.correlation for name, scores in searched.scores.items()}
    bar = math.nan if searched.no_bar else searched.bars.correlation
    return Section(
        "copying",
        "Copying",
        _ABOUT,
        with_titles(findings, COPYING_TITLES.items()),
        _facts(searched),
        (
            _plot("Largest correlation with training tissue", "correlation", correlations, bar),
            _plot(
                "Distance to the nearest training crop",
                "distance in features",
                {"real": real_nearness.gaps, "synthetic": nearness.gaps},
            ),
        ),
        verdict=_verdict(searched, synthetic),
    )


def most_alike_pairs(synthetic: Sample, count: int = MAX_PAIRS) -> list[AlikePair]:
    """The pairs of the highest correlation, to be shown to people."""
    name = TISSUE_MATCH if synthetic.has(TISSUE_MATCH) else MATCH
    pairs = []
    for row, match in enumerate(synthetic.each(name)):
        score, tile, pose, x, y = (float(value) for value in match[:5])
        aligned, beyond = match[6:] if len(match) > 6 else (math.nan, math.nan)
        if score > NOT_SEARCHED:
            pair = AlikePair(
                row,
                int(tile),
                score,
                int(pose),
                x,
                y,
                float(aligned),
                float(beyond),
            )
            pairs.append(pair)
    return sorted(pairs, key=_likeness, reverse=True)[:count]


def _likeness(pair: AlikePair) -> tuple[float, float]:
    """Tissue that is alike comes first, then correlation."""
    both = np.fmin(pair.aligned, pair.beyond_layout)
    return float(np.nan_to_num(both)), pair.score


def _suspected(
    searched: _Searched,
    real: Sample,
    synthetic: Sample,
    seed: int,
) -> Finding:
    """Share of suspected copies."""
    if searched.no_bar:
        n = int(np.isfinite(searched.null.correlation).sum())
        return Finding("suspected_copies", undefined(searched.no_bar, n=n), "zero")
    bars = searched.bars
    note = f"share of tiles that correlate above {bars.correlation:.2f} with a training tile"
    if searched.is_aligned:
        note += f", or above {bars.beyond_layout:.2f} beyond the layout of nuclei"
    if searched.synthetic.given.any():
        note += "; of tiles that were given nuclei, by the second alone"
    return Finding(
        "suspected_copies",
        share_over(searched.suspected, synthetic.patients, seed=seed),
        "zero",
        share_over(bars.suspected(searched.scores["real"]), real.patients, seed=seed),
        note=note,
    )


def _beyond_layout(
    searched: _Searched,
    real: Sample,
    synthetic: Sample,
    seed: int,
) -> Finding:
    """How alike tiles are beyond the layout."""
    return Finding(
        "beyond_layout_95th",
        _percentile(searched.synthetic.tissue, synthetic, 95, seed),
        "low",
        _percentile(searched.scores["real"].tissue, real, 95, seed),
        note="95th percentile of the largest correlation beyond the layout of nuclei, once turned "
        "and enlarged to fit",
    )


def _given_by(
    searched: _Searched,
    synthetic: Sample,
    owners: Sequence[str],
    sources: Sequence[str],
) -> list[str]:
    """(M) patient whose nuclei a tile was probably given; "" where it was given none.

    That is the tile's own patient, if the training set has it, else that of the most alike tile.
    """
    scores = searched.synthetic
    known = set(owners)
    # of a copy it is no matter what it states
    by_nuclei = scores.given & ~searched.bars.shares_tissue(scores)
    patients = []
    for given, patient, tile in zip(by_nuclei, synthetic.patients, scores.tile, strict=True):
        if not given:
            patients.append("")
        elif patient in known:
            patients.append(patient)
        else:
            is_found = 0 <= tile < len(sources)
            patients.append(sources[int(tile)] if is_found else "")
    return patients


def _left_out_note(given_by: Sequence[str]) -> str:
    """What nearness leaves out, for its notes."""
    count = sum(bool(patient) for patient in given_by)
    if not count:
        return ""
    return (
        f"; of {count} tiles that were given nuclei without the patient whose nuclei they are, or "
        "whose tissue is most alike"
    )


def _facts(searched: _Searched) -> dict[str, Any]:
    """Plain numbers of the section."""
    if searched.no_bar:
        return {}
    facts: dict[str, Any] = {
        "bar": round(searched.bars.correlation, 4),
        "bar_from": int(np.isfinite(searched.null.correlation).sum()),
        "suspected": int(np.nansum(searched.suspected)),
    }
    if searched.is_aligned:
        facts["bar_beyond_layout"] = round(searched.bars.beyond_layout, 4)
    given = int(searched.synthetic.given.sum())
    if given:
        facts["given_nuclei"] = given
        facts["on_training_layout"] = int(searched.on_training_layout.sum())
    return facts


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


def _verdict(searched: _Searched, synthetic: Sample) -> str:
    """The conclusion in sentences; "" where too little tissue sets a bar."""
    if searched.no_bar:
        if not math.isfinite(searched.bars.correlation):
            return ""
        return f"No verdict on copies: {searched.no_bar}."
    scores = searched.synthetic.correlation
    measured = int(np.isfinite(scores).sum())
    if not measured:
        return (
            f"No verdict on copies: none of {len(scores)} synthetic tiles could be searched for, "
            "because they have no contrast or the training tiles are smaller than a quarter of "
            "them."
        )
    sentences = [_found(searched, synthetic, measured)]
    if measured < len(scores):
        sentences.append(f"{len(scores) - measured} more could not be searched for.")
    sentences.append(_given_in_words(searched))
    return " ".join(each for each in sentences if each)


def _found(searched: _Searched, synthetic: Sample, measured: int) -> str:
    scores = searched.synthetic
    bars = searched.bars
    suspected = searched.suspected
    count = int(np.nansum(suspected))
    if count:
        likeness = np.fmax(scores.correlation, scores.tissue)
        ranked = np.where(suspected > 0, likeness, -math.inf)
        highest_first = np.argsort(-ranked)[:3]
        names = [synthetic.tiles[row].name for row in highest_first][:count]
        return (
            f"{suspected_copies(count, measured, 'synthetic tile')} of training tissue "
            f"(correlation above {_bars_in_words(searched)}), first {', '.join(names)}: compare "
            "the pairs below."
        )
    if scores.given.all():
        return (
            f"None of {measured} synthetic tiles is a suspected copy: the largest correlation with "
            f"training tissue beyond the layout of nuclei is {_largest(scores.tissue)}, the bar "
            f"{bars.beyond_layout:.2f}."
        )
    without_given = scores.correlation[~scores.given]
    sentence = (
        f"None of {measured} synthetic tiles is a suspected copy: the largest correlation with "
        f"training tissue is {_largest(without_given)}, the bar {bars.correlation:.2f}"
    )
    if searched.is_aligned:
        sentence += (
            f"; beyond the layout of nuclei {_largest(scores.tissue)}, the bar "
            f"{bars.beyond_layout:.2f}"
        )
    return f"{sentence}."


def _bars_in_words(searched: _Searched) -> str:
    """The bars that decide, e.g. 0.49, or 0.45 beyond the layout of nuclei."""
    correlation = f"{searched.bars.correlation:.2f}"
    if not searched.is_aligned:
        return correlation
    beyond = f"{searched.bars.beyond_layout:.2f} beyond the layout of nuclei"
    given = searched.synthetic.given
    if given.all():
        return beyond
    if given.any():
        return f"{correlation} without given nuclei, or {beyond}"
    return f"{correlation}, or {beyond}"


def _largest(values: Float64Array) -> str:
    return f"{np.nanmax(values):.2f}" if np.isfinite(values).any() else "not known"


def _given_in_words(searched: _Searched) -> str:
    """What the tiles were given, and what that means for the verdict."""
    scores = searched.synthetic
    given = int(scores.given.sum())
    if not given:
        if not np.nansum(searched.suspected):
            return ""
        return (
            "No tile states the nuclei that it was given: tiles that were given the nuclei of "
            "training tiles are suspected for those; name their files with --conditions."
        )
    by_layout = int(searched.on_training_layout.sum())
    states = "states that it was" if given == 1 else "state that they were"
    tiles = f"{counted(given, 'tile')} {states} given nuclei"
    bar = f"{searched.bars.correlation:.2f}"
    if not by_layout:
        return f"{tiles}; none correlates above {bar} with a training tile by the layout alone."
    correlate, are = ("correlates", "is") if by_layout == 1 else ("correlate", "are")
    which = "it" if given == 1 else f"{by_layout} of them"
    return (
        f"{tiles}; {which} {correlate} above {bar} with a training tile by the layout of nuclei "
        f"alone, as tiles do that were given its nuclei, and {are} not suspected for that."
    )


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
