"""Frechet and kernel distances with their floors and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import Estimate, undefined
from ..distances import KernelSums, extrapolated, frechet_distance, kernel_distance
from ..finding import Finding
from ..intervals import REPLICATES, bootstrap_counts, group_index, with_interval
from .baseline import compare_with_baseline, recentred
from .sides import Sides

ENOUGH = 2048
"""Below so many tiles a Frechet distance is printed with a warning and beside its extrapolation."""
LEAST = 16
"""Tiles of a side below which no distance is told: it would be noise."""
LEAST_EXTRAPOLATED = 64


def all_distances(sides: Sides, encoder: str, *, seed: int) -> list[Finding]:
    """FD, KID and, for few tiles, FD extrapolated."""
    out = [frechet(sides, f"FD_{encoder}", seed=seed), kernel(sides, f"KID_{encoder}", seed=seed)]
    n = min(len(sides.real), len(sides.synthetic))
    if LEAST <= n < ENOUGH:
        out.append(_unending(sides, f"FD_infinity_{encoder}", seed=seed))
    return out


def _too_few(sides: Sides) -> Estimate | None:
    n = min(len(sides.real), len(sides.synthetic))
    if n >= LEAST:
        return None
    return undefined(
        f"{n} tiles of one side cannot support a distance; give at least {LEAST} of each", n=n
    )


def frechet(
    sides: Sides,
    name: str,
    *,
    label: str = "",
    seed: int = 0,
) -> Finding:
    """Frechet distance with its floor; `replicates` are fewer where one costs more."""
    if few := _too_few(sides):
        return Finding(name, few, "low", label=label)
    n = len(sides.synthetic)
    small = min(n, len(sides.real))
    note = ""
    if small < ENOUGH:
        note = (
            f"n = {small} is below {ENOUGH:,}: its bias is large, read the ratio and not "
            "the distance"
        )
    # what a singular value decomposition of the smaller matrix costs decides how often it can be
    # done
    replicates = int(np.clip(4e9 / min(small, sides.real.shape[1]) ** 3, 20, 300))
    return _with_floor(
        sides,
        name,
        frechet_distance,
        replicates=replicates,
        label=label,
        note=note,
        seed=seed,
    )


def _with_floor(
    sides: Sides,
    name: str,
    distance: Callable[[Float64Array, Float64Array], float],
    *,
    replicates: int,
    label: str,
    note: str,
    seed: int,
) -> Finding:
    """A distance at the n that there is, and its floor and ratio at equal patients and tiles."""
    value = distance(sides.synthetic, sides.real)
    drawn = np.array(
        [
            distance(sides.synthetic[theirs], sides.real[mine])
            for mine, theirs in sides.replicates(replicates, seed)
        ]
    )
    estimate = with_interval(
        value,
        recentred(value, drawn),
        len(sides.synthetic),
        len(set(sides.patients[1])),
    )
    (told,) = compare_with_baseline(
        sides,
        lambda one, two: np.array([distance(one, two)]),
        replicates=replicates,
        seed=seed,
    )
    note = "; ".join(each for each in (note, told.words) if each)
    return Finding(
        name,
        estimate,
        "low",
        told.baseline,
        told.ratio,
        label,
        note,
    )


def kernel(
    sides: Sides,
    name: str,
    *,
    label: str = "",
    seed: int = 0,
) -> Finding:
    """Kernel distance; its bootstrap is a product with sums over pairs of patients."""
    if few := _too_few(sides):
        return Finding(name, few, "low", label=label)
    patients = sides.patients
    shared = list(dict.fromkeys([*patients[0], *patients[1]])) if sides.paired else []
    groups = [group_index([*shared, *side])[len(shared) :] for side in patients[:2]]
    sums = KernelSums.of(sides.real, groups[0], sides.synthetic, groups[1])
    many = [len(side) for side in sums.within]
    times = [bootstrap_counts(count, REPLICATES, seed + side) for side, count in enumerate(many)]
    if sides.paired:
        times[1] = times[0][:, : many[1]] if many[1] <= many[0] else times[1]
    value = kernel_distance(sides.synthetic, sides.real)
    drawn = sums.distances(times[0], times[1], paired=sides.paired)
    count = len(set(patients[1]))
    estimate = with_interval(value, drawn, len(sides.synthetic), count)
    again = int(np.clip(4e10 / (len(sides.real) ** 2 * sides.real.shape[1]), 20, 300))
    (told,) = compare_with_baseline(
        sides,
        lambda one, two: np.array([kernel_distance(one, two)]),
        replicates=again,
        seed=seed,
    )
    note = "; ".join(each for each in ("unbiased, of all pairs of tiles", told.words) if each)
    return Finding(
        name,
        estimate,
        "low",
        told.baseline,
        told.ratio,
        label,
        note,
    )


def _unending(sides: Sides, name: str, *, seed: int) -> Finding:
    """FD extrapolated to n without end, with its floor."""
    n = min(len(sides.real), len(sides.synthetic))
    if n < LEAST_EXTRAPOLATED:
        reason = f"{n} tiles cannot support it; give at least {LEAST_EXTRAPOLATED} of each side"
        return Finding(name, undefined(reason, n=n), "low")

    def unbiased(one: Float64Array, two: Float64Array) -> float:
        few = min(len(one), len(two))
        sizes = np.unique(np.linspace(max(few // 4, 4), few, 8).astype(int)).tolist()
        return (
            extrapolated(
                one,
                two,
                sizes=sizes,
                replicates=4,
                seed=seed,
            )
            if len(sizes) > 2
            else math.nan
        )

    note = "a line through FD over 1/n, read at 0; few tiles make it coarse"
    return _with_floor(
        sides,
        name,
        unbiased,
        replicates=40,
        label="",
        note=note,
        seed=seed,
    )
