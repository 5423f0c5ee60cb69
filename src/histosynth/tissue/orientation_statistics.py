"""What is typical of how fibres run, measured on training tiles.

Fibres run alike over hundreds of micrometres. Their axes, as complex numbers of twice the angle,
are close to a random Gaussian field whose strength depends on which nuclei are near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize

from ..core.arrays import Float64Array
from ..core.nuclei import Nuclei
from ..core.orientation import ORIENTATION_CELL, FibreOrientation, orientation_cells
from .alignment import ClassAlignment, measure_alignment
from .orientation import GATHERED_UM

LENGTHS_UM = (17.0, 34.0, 68.0, 136.0)
"""Standard deviations of the Gaussians that covariances are made of; the first is that of white
noise as `find_orientation` gathers it. What is left of the variance is the same on a whole tile."""
LIMIT = 12.0
"""Of logarithms of squared strengths."""
_ROUNDING = 1e-3
_LEAST_SQUARE = 1e-4
"""Of strengths, below which there is no orientation."""
_MAX_LAG = 64
_ROUNDS = 25
_DIGITS = 4
_DENSITY_UM2 = 1000.0


@dataclass(frozen=True)
class OrientationStatistics:
    """Of the fibres of training tiles.

    Attributes:
        shares: of the variance at each of `LENGTHS_UM`; what they lack of 1 is the same on a whole
            tile.
        strengths: logarithm of the mean squared strength without nuclei, then what one nucleus of
            each class per 1,000 um2 adds to it.
        spread: standard deviation between tiles of the logarithm of the squared strength.
        alignment: of the nuclei of each class with fibres.
    """

    shares: tuple[float, ...]
    strengths: tuple[float, ...]
    spread: float
    alignment: tuple[ClassAlignment, ...]

    def __post_init__(self) -> None:
        count = len(LENGTHS_UM)
        in_range = all(0 <= share <= 1 for share in self.shares)
        if len(self.shares) != count or not in_range or sum(self.shares) > 1 + _ROUNDING:
            raise ValueError(f"shares must be {count}, each at least 0, of 1 together")
        if not self.strengths or not all(abs(each) <= LIMIT for each in self.strengths):
            raise ValueError(f"strengths must be within -{LIMIT:g}..{LIMIT:g}")
        if not 0 <= self.spread <= LIMIT:
            raise ValueError(f"spread must be from 0 to {LIMIT:g}")
        if len(self.alignment) != len(self.strengths) - 1:
            raise ValueError("alignment and strengths must be of the same classes")

    @property
    def constant_share(self) -> float:
        """Share of the variance that is the same on a whole tile."""
        return max(
            1 - sum(self.shares),
            0.0,
        )


def measure_orientation_statistics(
    orientations: Sequence[FibreOrientation],
    nuclei: Sequence[Nuclei],
) -> OrientationStatistics:
    """Statistics of tiles of one scale.

    Args:
        orientations: of each tile, known everywhere.
        nuclei: of the same tiles, with shapes.
    """
    axes = [each.axes.astype(np.float64) for each in orientations]
    densities = [nucleus_densities(each) for each in nuclei]
    squares = [(each**2).sum(axis=2) for each in axes]
    strengths = _fit_strengths(
        squares,
        densities,
    )
    even = []
    for each, density in zip(
        axes,
        densities,
        strict=True,
    ):
        log_square = log_mean_square(density, strengths)
        amplitude = np.exp(log_square / 2)
        even.append(each / amplitude[..., None])
    pairs = zip(
        nuclei,
        orientations,
        strict=True,
    )
    first = nuclei[0]
    shares = _fit_shares(even, first.mpp)
    return OrientationStatistics(
        tuple(shares.round(_DIGITS).tolist()),
        tuple(strengths.round(_DIGITS).tolist()),
        round(_spread(even), _DIGITS),
        measure_alignment(pairs, first.classes),
    )


def nucleus_densities(nuclei: Nuclei) -> Float64Array:
    """(K, h, w) nuclei of each class per 1,000 um2 around each cell of the map."""
    rows, columns = orientation_cells(nuclei.size)
    counts = np.zeros((len(nuclei.classes), rows, columns))
    has_class = nuclei.class_ids < len(nuclei.classes)
    cells = np.floor((nuclei.xy + 0.5) / ORIENTATION_CELL)
    x, y = cells.astype(int)[has_class].T
    np.add.at(
        counts,
        (nuclei.class_ids[has_class], y, x),
        1,
    )
    cell_um = ORIENTATION_CELL * nuclei.mpp
    sigma = GATHERED_UM / cell_um
    smooth = ndimage.gaussian_filter(
        counts,
        (0, sigma, sigma),
    )
    return np.asarray(smooth * (_DENSITY_UM2 / cell_um**2))


def log_mean_square(densities: Float64Array, strengths: Float64Array) -> Float64Array:
    """(h, w) logarithm of the mean squared strength among nuclei of densities (K, h, w)."""
    of_nuclei = np.tensordot(
        strengths[1:],
        densities,
        axes=1,
    )
    return np.asarray(strengths[0] + of_nuclei)


def _fit_strengths(
    squares: Sequence[Float64Array],
    densities: Sequence[Float64Array],
) -> Float64Array:
    """(K + 1,) of a log-linear model of squared strengths, whose errors are in proportion to them.

    Iteratively reweighted least squares of a gamma distribution: all weights are 1.
    """
    square = np.concatenate([each.ravel() for each in squares])
    flat = [each.reshape(len(each), -1) for each in densities]
    density = np.concatenate(
        flat,
        axis=1,
    )
    ones = np.ones((1, len(square)))
    design = np.concatenate([ones, density]).T
    fitted = np.zeros(design.shape[1])
    fitted[0] = np.log(square.mean() + _LEAST_SQUARE)
    for _ in range(_ROUNDS):
        log_mean = design @ fitted
        mean = np.exp(log_mean.clip(-LIMIT, 0))
        change, *_ = np.linalg.lstsq(
            design,
            square / mean - 1,
            rcond=None,
        )
        fitted = fitted + change
    return np.asarray(fitted.clip(-LIMIT, LIMIT))


def _spread(even: Sequence[Float64Array]) -> float:
    """See `OrientationStatistics`: from how far squares reach beyond those of a Gaussian field.

    A complex Gaussian's squared length has twice its squared mean as mean square.
    """
    squares = [(each**2).sum(axis=2).ravel() for each in even]
    square = np.concatenate(squares)
    fourth = (square**2).mean()
    excess = fourth / max(2 * square.mean() ** 2, _LEAST_SQUARE**2)
    variance = np.log(max(excess, 1.0))
    return float(np.sqrt(variance))


def _fit_shares(even: Sequence[Float64Array], mpp: float) -> Float64Array:
    """Shares of the variance at each of `LENGTHS_UM`."""
    lags = []
    correlations = []
    longest = max(max(each.shape[:2]) for each in even)
    most = min(_MAX_LAG, longest)
    for lag in range(most):
        lags.append(lag * ORIENTATION_CELL * mpp)
        correlations.append(_correlation(even, lag))
    of_lengths = np.array(lags)[:, None] / np.array(LENGTHS_UM)
    constant = np.ones((len(lags), 1))
    basis = np.concatenate(
        [np.exp(-(of_lengths**2) / 2), constant],
        axis=1,
    )
    found, _ = optimize.nnls(
        basis,
        np.array(correlations),
    )
    shares = found / max(found.sum(), _LEAST_SQUARE)
    return np.asarray(shares[:-1])


def _correlation(even: Sequence[Float64Array], lag: int) -> float:
    """Mean product of the axes of cells that lie so far apart, along rows and columns."""
    total = 0.0
    count = 0
    for axes in even:
        across = axes.swapaxes(0, 1)
        for turned in (axes, across):
            distant = turned[lag:]
            near = turned[: len(distant)]
            total += float((distant * near).sum())
            count += distant.shape[0] * distant.shape[1]
    return total / max(count, 1)
