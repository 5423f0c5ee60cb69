"""Distances between two sets of layouts: pair correlations, nearest nuclei, counts, classes.

Sums are kept for each unit (a patient, a file, a window), so that units can be drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import wasserstein_distance

from ...core.arrays import Float64Array, IndexArray
from ...core.nuclei import Nuclei
from .patterns import RADII_UM, pair_sums

DISTANCES = {
    "pairs": "pair correlations g(r), 2 to 40 um: mean absolute logarithm of the ratio",
    "nearest_um": "distances to the nearest nucleus of a class: mean Wasserstein distance, um",
    "counts": "nuclei of a class in squares of 60 um: mean Wasserstein distance",
    "shares": "shares of classes: total variation",
    "density": "nuclei per mm2: absolute logarithm of the ratio",
}
"""Names of the distances, and what each is."""
BLOCK_UM = 60.0
FAR_UM = 60.0
"""Nuclei farther away count as so far."""
LAST_RADIUS_UM = 40.0
_LEAST_G = 0.02
_UM2_PER_MM2 = 1e6


@dataclass(
    frozen=True,
    eq=False,
)
class PatternSums:
    """What distances need of a unit, or of several together.

    Attributes:
        pairs: (P, R) sums of `pair_sums` times areas.
        products: (P,) numbers of pairs of nuclei without order, per um2.
        area: um2.
        numbers: (K,) nuclei.
        nearest: for each ordered pair of classes, um.
        counts: for each class, in squares of `BLOCK_UM`.
    """

    pairs: Float64Array
    products: Float64Array
    area: float
    numbers: Float64Array
    nearest: list[Float64Array]
    counts: list[Float64Array]

    @property
    def g(self) -> Float64Array:
        """(P, R) pair correlations up to `LAST_RADIUS_UM`; nan: no nuclei of a class."""
        with np.errstate(
            invalid="ignore",
            divide="ignore",
        ):
            return np.asarray(self.pairs / self.products[:, None])


def radii_um() -> Float64Array:
    """(R,) of the pair correlations."""
    return np.asarray(RADII_UM[RADII_UM <= LAST_RADIUS_UM])


def unordered_pairs(classes: int) -> list[tuple[int, int]]:
    """Unordered pairs, in the order of `PatternSums.pairs`."""
    return [
        (one, other)
        for one in range(classes)
        for other in range(
            one,
            classes,
        )
    ]


def pattern_sums(tiles: Sequence[Nuclei]) -> PatternSums:
    """Sums of a unit's tiles, all of the same classes; nuclei of no known class do not count."""
    return joined_sums([_sums_of(tile) for tile in tiles])


def joined_sums(units: Sequence[PatternSums]) -> PatternSums:
    """Sums of several units."""
    nearest = zip(
        *(unit.nearest for unit in units),
        strict=True,
    )
    counts = zip(
        *(unit.counts for unit in units),
        strict=True,
    )
    return PatternSums(
        np.sum(
            [unit.pairs for unit in units],
            axis=0,
        ),
        np.sum(
            [unit.products for unit in units],
            axis=0,
        ),
        sum(unit.area for unit in units),
        np.sum(
            [unit.numbers for unit in units],
            axis=0,
        ),
        [np.concatenate(each) for each in nearest],
        [np.concatenate(each) for each in counts],
    )


def pattern_distances(first: PatternSums, second: PatternSums) -> dict[str, float]:
    """Each of `DISTANCES` between two sets; nan where no class has enough nuclei."""
    logs = np.log(
        np.maximum(
            first.g,
            _LEAST_G,
        )
        / np.maximum(
            second.g,
            _LEAST_G,
        )
    )
    shares = [
        each.numbers
        / max(
            each.numbers.sum(),
            1.0,
        )
        for each in (first, second)
    ]
    densities = [
        max(
            each.numbers.sum(),
            1.0,
        )
        / each.area
        for each in (first, second)
    ]
    return {
        "pairs": _mean(np.abs(logs[np.isfinite(logs)])),
        "nearest_um": _mean_wasserstein(
            first.nearest,
            second.nearest,
        ),
        "counts": _mean_wasserstein(
            first.counts,
            second.counts,
        ),
        "shares": float(np.abs(shares[0] - shares[1]).sum() / 2),
        "density": float(abs(np.log(densities[0] / densities[1]))),
    }


def _mean(values: Float64Array) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _mean_wasserstein(
    first: Sequence[Float64Array],
    second: Sequence[Float64Array],
) -> float:
    found = []
    for one, other in zip(
        first,
        second,
        strict=True,
    ):
        if len(one) and len(other):
            found.append(
                wasserstein_distance(
                    one,
                    other,
                )
            )
    return _mean(np.array(found))


def _sums_of(tile: Nuclei) -> PatternSums:
    classes = len(tile.classes)
    known = tile.class_ids < classes
    xy = (tile.xy[known].astype(np.float64) + 0.5) * tile.mpp
    ids = tile.class_ids[known].astype(np.intp)
    window = (tile.size.width * tile.mpp, tile.size.height * tile.mpp)
    area = window[0] * window[1]
    numbers = np.bincount(
        ids,
        minlength=classes,
    ).astype(np.float64)
    near = RADII_UM <= LAST_RADIUS_UM
    sums = pair_sums(
        xy,
        ids,
        classes,
        window,
    )[1]
    products = [numbers[one] * numbers[other] / area for one, other in unordered_pairs(classes)]
    return PatternSums(
        sums[:-1, near] * area,
        np.array(products),
        area,
        numbers,
        _nearest(
            xy,
            ids,
            classes,
        ),
        _block_counts(
            xy,
            ids,
            classes,
            window,
        ),
    )


def _nearest(
    xy: Float64Array,
    ids: IndexArray,
    classes: int,
) -> list[Float64Array]:
    found = []
    for one in range(classes):
        for other in range(classes):
            own, others = xy[ids == one], xy[ids == other]
            least = 2 if one == other else 1
            if not len(own) or len(others) < least:
                found.append(np.zeros(0))
                continue
            tree = cKDTree(others)
            gaps = np.ravel(tree.query(own, k=[least])[0])
            found.append(
                np.minimum(
                    gaps,
                    FAR_UM,
                )
            )
    return found


def _block_counts(
    xy: Float64Array,
    ids: IndexArray,
    classes: int,
    window: tuple[float, float],
) -> list[Float64Array]:
    edges = [
        np.arange(
            0,
            side + 1e-6,
            BLOCK_UM,
        )
        for side in window
    ]
    if (
        min(
            map(
                len,
                edges,
            )
        )
        < 2
    ):
        return [np.zeros(0) for _ in range(classes)]
    found = []
    for class_id in range(classes):
        own = xy[ids == class_id]
        found.append(
            np.histogram2d(
                own[:, 0],
                own[:, 1],
                bins=edges,
            )[0].ravel()
        )
    return found
