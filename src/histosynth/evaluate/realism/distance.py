"""Frechet and kernel distances with their floors and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ...core.estimate import Estimate, untold
from ..distances import KernelSums, extrapolated, frechet_distance, kernel_distance
from ..finding import Finding
from ..intervals import DRAWS, group_index, times_drawn, with_interval
from .sides import Floats, Rows, Sides, over_groups, rows_of, some_rows

ENOUGH = 2048
"""Below so many tiles a Frechet distance is printed with a warning and beside its extrapolation."""
LEAST = 16
"""Tiles of a side below which no distance is told: it would be noise."""
LEAST_EXTRAPOLATED = 64


def all_distances(sides: Sides, encoder: str, *, seed: int) -> list[Finding]:
    """FD, KID and, for few tiles, FD extrapolated."""
    out = [frechet(sides, f"FD_{encoder}", seed=seed), kernel(sides, f"KID_{encoder}", seed=seed)]
    n = min(len(sides.real), len(sides.made))
    if LEAST <= n < ENOUGH:
        out.append(_unending(sides, f"FD_infinity_{encoder}", seed=seed))
    return out


def _too_few(sides: Sides) -> Estimate | None:
    n = min(len(sides.real), len(sides.made))
    if n >= LEAST:
        return None
    return untold(f"{n} tiles of one side cannot support a distance; give at least {LEAST} of each", n=n)


def frechet(sides: Sides, name: str, *, label: str = "", seed: int = 0) -> Finding:
    """Frechet distance with its floor; `draws` are fewer where one costs more."""
    if few := _too_few(sides):
        return Finding(name, few, "low", label=label)
    n = len(sides.made)
    small = min(n, len(sides.real))
    note = ""
    if small < ENOUGH:
        note = f"n = {small} is below {ENOUGH:,}: its bias is large, read the ratio and not the distance"
    # what a singular value decomposition of the smaller matrix costs decides how often it can be done
    draws = int(np.clip(4e9 / min(small, sides.real.shape[1]) ** 3, 20, 300))
    return _with_floor(sides, name, frechet_distance, draws=draws, label=label, note=note, seed=seed)


def _with_floor(
    sides: Sides,
    name: str,
    distance: Callable[[Floats, Floats], float],
    *,
    draws: int,
    label: str,
    note: str,
    seed: int,
) -> Finding:
    """A distance, its floor and their ratio, patients of all sides drawn again in every draw."""
    value = distance(sides.made, sides.real)
    pairs = sides.floors(len(sides.made), seed=seed)
    usable = [pair for pair in pairs if min(map(len, pair)) >= LEAST // 2]
    drawn, ratios = [], []
    floors = [distance(*pair) for pair in usable]
    floor = float(np.mean(floors)) if floors else math.nan
    # at equal n: made tiles cut as the floor's are
    size = len(usable[0][0]) if usable else 0
    random = np.random.default_rng(seed + 1)
    matched = value if sides.other is not None and abs(size - len(sides.made)) <= 0.1 * size else math.nan
    if usable and not math.isfinite(matched):
        rows = rows_of(sides.patients[1])
        matched = float(
            np.mean([distance(sides.made[some_rows(random, rows, size)], pair[1]) for pair in usable])
        )
    for mine, theirs in sides.draws(draws, seed):
        again = distance(sides.made[theirs], sides.real[mine])
        drawn.append(again)
        if usable and (below := _floor_again(sides, mine, size, distance, random)) > 0:
            ratios.append(again / below)
    low_high = _recentred(value, drawn)
    count = len(set(sides.patients[1]))
    estimate = with_interval(value, low_high, len(sides.made), count)
    if not usable:
        why = untold(f"the floor needs {LEAST // 2} real tiles of other patients", n=len(sides.real))
        return Finding(name, estimate, "low", why, None, label, note)
    real = over_groups(floors, size, sides)
    if not floor > 0:
        same = untold("real tissue is at distance 0 from real tissue: its features never vary", n=size)
        return Finding(name, estimate, "low", real, same, label, note)
    ratio = with_interval(matched / floor, _recentred(matched / floor, ratios), len(sides.made), count)
    return Finding(name, estimate, "low", real, ratio, label, note)


def _floor_again(
    sides: Sides,
    mine: Rows,
    size: int,
    distance: Callable[[Floats, Floats], float],
    random: np.random.Generator,
) -> float:
    if sides.other is not None:
        return distance(sides.other[some_rows(random, rows_of(sides.patients[2]), size)], sides.real[mine])
    one, two = sides.floors(size, 1, int(random.integers(1 << 31)))[0]
    return distance(one, two)


def _recentred(value: float, drawn: Sequence[float]) -> Floats:
    """Draws hold tiles twice, which moves a distance: take the move off, as a factor."""
    values = np.asarray(drawn, np.float64)
    kept = values[np.isfinite(values) & (values > 0)]
    if not len(kept) or not value > 0:
        return values
    return np.asarray(kept / np.exp(np.log(kept).mean()) * value)


def kernel(sides: Sides, name: str, *, label: str = "", seed: int = 0) -> Finding:
    """Kernel distance; its bootstrap is a product with sums over pairs of patients."""
    if few := _too_few(sides):
        return Finding(name, few, "low", label=label)
    patients = sides.patients
    shared = list(dict.fromkeys([*patients[0], *patients[1]])) if sides.paired else []
    groups = [group_index([*shared, *side])[len(shared) :] for side in patients[:2]]
    sums = KernelSums.of(sides.real, groups[0], sides.made, groups[1])
    many = [len(side) for side in sums.within]
    times = [times_drawn(count, DRAWS, seed + side) for side, count in enumerate(many)]
    if sides.paired:
        times[1] = times[0][:, : many[1]] if many[1] <= many[0] else times[1]
    value = kernel_distance(sides.made, sides.real)
    drawn = sums.distances(times[0], times[1], paired=sides.paired)
    count = len(set(patients[1]))
    estimate = with_interval(value, drawn, len(sides.made), count)
    pairs = sides.floors(len(sides.made), seed=seed)
    floors = [kernel_distance(*pair) for pair in pairs if min(map(len, pair)) > 2]
    if not floors:
        return Finding(name, estimate, "low", untold("no real tiles of other patients"), None, label)
    floor = over_groups(floors, len(sides.made), sides)
    if floor.value <= 0:
        why = "the floor is not above 0, so there is no ratio to it; read both beside each other"
        return Finding(name, estimate, "low", floor, untold(why, n=len(sides.made)), label)
    random = np.random.default_rng(seed)
    below = random.choice(np.array(floors), len(drawn))
    ratios = drawn / np.where(below > 0, below, np.nan)
    ratio = with_interval(value / floor.value, ratios, len(sides.made), count)
    return Finding(name, estimate, "low", floor, ratio, label, "unbiased, of all pairs of tiles")


def _unending(sides: Sides, name: str, *, seed: int) -> Finding:
    """FD extrapolated to n without end, with its floor."""
    n = min(len(sides.real), len(sides.made))
    if n < LEAST_EXTRAPOLATED:
        reason = f"{n} tiles cannot support it; give at least {LEAST_EXTRAPOLATED} of each side"
        return Finding(name, untold(reason, n=n), "low")
    sizes = np.unique(np.linspace(n // 4, n, 8).astype(int))

    def unbiased(one: Floats, two: Floats) -> float:
        few = min(len(one), len(two))
        cut = sizes[sizes <= few] if (sizes <= few).sum() > 2 else np.linspace(few // 4, few, 6).astype(int)
        return extrapolated(one, two, sizes=cut.tolist(), draws=4, seed=seed)

    value = unbiased(sides.made, sides.real)
    drawn = np.array(
        [unbiased(sides.made[theirs], sides.real[mine]) for mine, theirs in sides.draws(40, seed)]
    )
    drawn = drawn - drawn.mean() + value
    floors = np.array([unbiased(*pair) for pair in sides.floors(len(sides.made), seed=seed)])
    count = len(set(sides.patients[1]))
    floor = over_groups(floors, n, sides)
    note = "a line through FD over 1/n, read at 0; few tiles make it coarse"
    estimate = with_interval(value, drawn, n, count)
    if not floor.value > 0:
        return Finding(name, estimate, "low", floor, untold("the floor is not above 0", n=n), note=note)
    ratio = with_interval(value / floor.value, drawn / floor.value, n, count)
    return Finding(name, estimate, "low", floor, ratio, note=note)
