"""Frechet and kernel distances with their real baselines and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import Estimate, undefined
from ..distances import KernelSums, extrapolated_frechet, frechet_distance, kernel_distance
from ..finding import Finding
from ..intervals import REPLICATES, bootstrap_counts, group_index, with_interval
from .baseline import compare_with_baseline, recentred
from .feature_sides import FeatureSides

MIN_TILES_FOR_FID = 2048
"""Below so many tiles a Frechet distance is reported with a warning and with its extrapolation."""
MIN_TILES_FOR_DISTANCE = 16
"""Tiles of a side below which no distance is reported: it would be noise."""
MIN_TILES_FOR_EXTRAPOLATION = 64
Distance = Callable[[Float64Array, Float64Array], float]


def all_distances(
    sides: FeatureSides,
    encoder: str,
    *,
    seed: int,
) -> list[Finding]:
    """FD, KID and, below `MIN_TILES_FOR_FID` tiles, the extrapolated FD."""
    findings = [
        frechet_finding(sides, f"FD_{encoder}", seed=seed),
        kernel_finding(sides, f"KID_{encoder}", seed=seed),
    ]
    if MIN_TILES_FOR_DISTANCE <= sides.smaller_count < MIN_TILES_FOR_FID:
        findings.append(
            _infinity_finding(
                sides,
                f"FD_infinity_{encoder}",
                seed=seed,
            )
        )
    return findings


def frechet_finding(
    sides: FeatureSides,
    name: str,
    *,
    label: str = "",
    seed: int = 0,
) -> Finding:
    """Frechet distance with its baseline; replicates are fewer where one costs more."""
    if sides.smaller_count < MIN_TILES_FOR_DISTANCE:
        return Finding(name, _too_few(sides), "low", label=label)
    n = sides.smaller_count
    note = ""
    if n < MIN_TILES_FOR_FID:
        note = (
            f"n = {n} is below {MIN_TILES_FOR_FID:,}: its bias is large, read the ratio and not "
            "the distance"
        )
    # the cost of a singular value decomposition of the smaller matrix limits the replicates
    cost = min(n, sides.real.shape[1]) ** 3
    return _finding_with_baseline(
        sides,
        name,
        frechet_distance,
        replicates=int(np.clip(4e9 / cost, 20, 300)),
        label=label,
        note=note,
        seed=seed,
    )


def _too_few(sides: FeatureSides) -> Estimate:
    n = sides.smaller_count
    reason = (
        f"{n} tiles of one side cannot support a distance; "
        f"give at least {MIN_TILES_FOR_DISTANCE} of each"
    )
    return undefined(reason, n=n)


def _finding_with_baseline(
    sides: FeatureSides,
    name: str,
    distance: Distance,
    *,
    replicates: int,
    label: str,
    note: str,
    seed: int,
) -> Finding:
    """A distance of all tiles, and its baseline and ratio at equal patients and tiles."""
    value = distance(sides.synthetic, sides.real)
    resampled = np.array(
        [
            distance(sides.synthetic[synthetic_rows], sides.real[real_rows])
            for real_rows, synthetic_rows in sides.replicates(replicates, seed)
        ]
    )
    estimate = with_interval(
        value,
        recentred(value, resampled),
        len(sides.synthetic),
        len(set(sides.synthetic_patients)),
    )
    return _with_baseline(
        sides,
        Finding(
            name,
            estimate,
            "low",
            label=label,
            note=note,
        ),
        distance,
        replicates=replicates,
        seed=seed,
    )


def _with_baseline(
    sides: FeatureSides,
    finding: Finding,
    distance: Distance,
    *,
    replicates: int,
    seed: int,
) -> Finding:
    """The finding with the baseline and the ratio of its distance."""

    def measure(first: Float64Array, second: Float64Array) -> Float64Array:
        return np.array([distance(first, second)])

    (compared,) = compare_with_baseline(
        sides,
        measure,
        replicates=replicates,
        seed=seed,
    )
    below_zero = _why_below_zero(finding.value, compared.baseline, compared.ratio)
    notes = [note for note in (finding.note, compared.note, below_zero) if note]
    return Finding(
        finding.name,
        finding.value,
        finding.better,
        compared.baseline,
        compared.ratio,
        finding.label,
        "; ".join(notes),
    )


def _why_below_zero(*estimates: Estimate) -> str:
    """What a distance, a ratio or an interval below 0 means; "" where none is."""
    if any(estimate.value < 0 for estimate in estimates):
        return (
            "a number below 0 is chance: tiles as alike as two samples of one tissue come out on "
            "either side of 0; read it as 0"
        )
    if any(estimate.low < 0 for estimate in estimates):
        return "an interval that reaches below 0 includes 0: no difference beyond chance is shown"
    return ""


def kernel_finding(
    sides: FeatureSides,
    name: str,
    *,
    label: str = "",
    seed: int = 0,
) -> Finding:
    """Kernel distance; its bootstrap is a product with sums over pairs of patients."""
    if sides.smaller_count < MIN_TILES_FOR_DISTANCE:
        return Finding(name, _too_few(sides), "low", label=label)
    value = kernel_distance(sides.synthetic, sides.real)
    patients = len(set(sides.synthetic_patients))
    estimate = with_interval(
        value,
        _kernel_replicates(sides, seed),
        len(sides.synthetic),
        patients,
    )
    cost = len(sides.real) ** 2 * sides.real.shape[1]
    note = "unbiased, of all pairs of tiles"
    return _with_baseline(
        sides,
        Finding(
            name,
            estimate,
            "low",
            label=label,
            note=note,
        ),
        kernel_distance,
        replicates=int(np.clip(4e10 / cost, 20, 300)),
        seed=seed,
    )


def _kernel_replicates(sides: FeatureSides, seed: int) -> Float64Array:
    """(REPLICATES,) kernel distances; paired patients are resampled jointly."""
    shared: list[str] = []
    if sides.paired:  # number the patients alike on both sides
        shared = list(dict.fromkeys([*sides.real_patients, *sides.synthetic_patients]))
    real_groups = group_index([*shared, *sides.real_patients])[len(shared) :]
    synthetic_groups = group_index([*shared, *sides.synthetic_patients])[len(shared) :]
    sums = KernelSums.of(
        sides.real,
        real_groups,
        sides.synthetic,
        synthetic_groups,
    )
    real_count = len(sums.within[0])
    synthetic_count = len(sums.within[1])
    real_counts = bootstrap_counts(real_count, REPLICATES, seed)
    synthetic_counts = bootstrap_counts(
        synthetic_count,
        REPLICATES,
        seed + 1,
    )
    if sides.paired and synthetic_count <= real_count:
        synthetic_counts = real_counts[:, :synthetic_count]
    return sums.distances(
        real_counts,
        synthetic_counts,
        paired=sides.paired,
    )


def _infinity_finding(
    sides: FeatureSides,
    name: str,
    *,
    seed: int,
) -> Finding:
    """FD extrapolated to an infinite number of tiles, with its baseline."""
    n = sides.smaller_count
    if n < MIN_TILES_FOR_EXTRAPOLATION:
        reason = (
            f"{n} tiles cannot support it; give at least {MIN_TILES_FOR_EXTRAPOLATION} of each side"
        )
        return Finding(name, undefined(reason, n=n), "low")

    def infinity(first: Float64Array, second: Float64Array) -> float:
        smaller = min(len(first), len(second))
        smallest = max(smaller // 4, 4)
        sizes = np.unique(np.linspace(smallest, smaller, 8).astype(int)).tolist()
        if len(sizes) <= 2:
            return math.nan
        return extrapolated_frechet(
            first,
            second,
            sizes=sizes,
            replicates=4,
            seed=seed,
        )

    return _finding_with_baseline(
        sides,
        name,
        infinity,
        replicates=40,
        label="",
        note="a line through FD over 1/n, read at 0; few tiles make it coarse",
        seed=seed,
    )
