"""The grain of an autoencoder, from tissue and from what is decoded of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.arrays import Float32Array, Float64Array
from .appearance import is_tissue, measure_extremes
from .density import optical_density
from .grain_patches import (
    BEFORE_PX,
    GRAIN_CELL_PX,
    GRAIN_PATCH_PX,
    UNIT,
    GrainPatches,
    looks_of,
)
from .grain_table import Grain, GrainTable, NumberRow, NumberRows
from .tile_noise import measure_noise

MIN_FIT_TILES = 8
"""Tiles below which nothing is fitted."""
PATCHES = 3400
"""Patches that are kept, of some 285,000 in 82 tiles: 1.6 MB (docs/log.md)."""
PUT_BACK = 0.82
"""Share of the strength of what is lost that is put back: with all of it pictures are told from
real ones by the encoder of photographs, with less by chromatin (docs/log.md)."""
_MIN_STRENGTH = 0.3
_MAX_STEP = 127
_RIDGE = 0.1
"""Grey levels squared: with less, gains get opposite signs and err more on other patients."""
_DECIMALS = 5


@dataclass(frozen=True, eq=False)
class _Loss:
    """A tile in canonical stain (H, W, 3), what is lost of it, its noise (2, 3) and extremes
    (4,).
    """

    decoded: Float32Array
    lost: Float32Array
    noise: Float32Array
    extremes: Float32Array

    @property
    def inner_cells(self) -> tuple[int, int]:
        """Rows and columns of latent cells that have cells on all sides."""
        height, width = self.lost.shape[:2]
        return max(height // GRAIN_CELL_PX - 2, 0), max(width // GRAIN_CELL_PX - 2, 0)


def fit_grain(
    pairs: Sequence[tuple[Float32Array, Float32Array]],
    *,
    patches: int = PATCHES,
) -> Grain:
    """What an autoencoder loses.

    Args:
        pairs: tiles (H, W, 3) float32 in [0, 255] in canonical stain, each with what is decoded of
            its latents.
        patches: that are kept, drawn at random from all.

    Raises:
        ValueError: fewer than `MIN_FIT_TILES` tiles hold tissue.
    """
    losses = []
    for real, decoded in pairs:
        loss = _loss_of(real, decoded)
        if loss is not None:
            losses.append(loss)
    if len(losses) < MIN_FIT_TILES:
        raise ValueError(f"grain needs {MIN_FIT_TILES} tiles of tissue, not {len(losses)}")
    noise = np.stack([loss.noise for loss in losses])
    extremes = np.stack([loss.extremes for loss in losses])
    table = GrainTable(
        strength=_rows(_strength(losses)),
        noise=_rows(np.median(noise, axis=0)),
        extremes=_row(np.median(extremes, axis=0)),
        patches_sha256="0" * 64,
    )
    found = _patches(losses, table, patches)
    return Grain(
        replace(
            table,
            strength=_rows(PUT_BACK * np.array(table.strength)),
            patches_sha256=found.sha256,
        ),
        found,
    )


def _loss_of(real: Float32Array, decoded: Float32Array) -> _Loss | None:
    density = optical_density(real)
    noise = measure_noise(real, is_tissue(density))
    extremes = measure_extremes(real.reshape(-1, 3))
    if noise is None or extremes is None:
        return None
    return _Loss(
        decoded,
        real - decoded,
        noise,
        extremes,
    )


def _strength(losses: Sequence[_Loss]) -> Float64Array:
    """(3, 3) constant and gains that lead from the noise of tiles to what is lost of them."""
    spread = np.stack([loss.lost.std(axis=(0, 1)) for loss in losses])
    noise = np.stack([loss.noise for loss in losses])
    fitted = [
        _plane(
            noise[:, :, channel].astype(np.float64),
            spread[:, channel].astype(np.float64),
        )
        for channel in range(3)
    ]
    return np.stack(fitted)


def _plane(noise: Float64Array, spread: Float64Array) -> Float64Array:
    """Constant and two gains by least squares, with a ridge: both noises are nearly alike."""
    mean_noise = noise.mean(axis=0)
    mean_spread = spread.mean()
    centred = noise - mean_noise
    ridge = _RIDGE * len(spread) * np.eye(2)
    gains = np.linalg.solve(
        centred.T @ centred + ridge,
        centred.T @ (spread - mean_spread),
    )
    constant = mean_spread - gains @ mean_noise
    return np.array([constant, *gains])


def _patches(
    losses: Sequence[_Loss],
    table: GrainTable,
    count: int,
) -> GrainPatches:
    """Patches of inner cells, drawn at random from all tiles."""
    counts = [np.prod(loss.inner_cells) for loss in losses]
    ends = np.cumsum(counts)
    random = np.random.default_rng(0)
    chosen = np.sort(random.permutation(int(ends[-1]))[:count])
    lost = []
    looks = []
    for loss, first, end in zip(
        losses,
        ends - counts,
        ends,
        strict=True,
    ):
        of_tile = chosen[(chosen >= first) & (chosen < end)] - first
        rows, columns = np.divmod(of_tile, max(loss.inner_cells[1], 1))
        strength = table.strength_of(loss.noise).clip(min=_MIN_STRENGTH)
        seen = _looks(loss)
        for row, column in zip(
            rows.tolist(),
            columns.tolist(),
            strict=True,
        ):
            looks.append(seen[row, column])
            lost.append(_steps(loss.lost, row, column) / (UNIT * strength))
    steps = np.rint(np.stack(lost)).clip(-_MAX_STEP, _MAX_STEP)
    return GrainPatches(
        steps.astype(np.int8),
        np.stack(looks).astype(np.int8),
    )


def _looks(loss: _Loss) -> Float32Array:
    """(rows, columns, 6, 6) of the inner cells of a tile."""
    rows, columns = loss.inner_cells
    first = GRAIN_CELL_PX - BEFORE_PX
    bottom = GRAIN_CELL_PX * (rows + 1) + BEFORE_PX
    right = GRAIN_CELL_PX * (columns + 1) + BEFORE_PX
    return looks_of(loss.decoded[first:bottom, first:right])


def _steps(lost: Float32Array, row: int, column: int) -> Float32Array:
    """(12, 12, 3) of an inner cell."""
    y = GRAIN_CELL_PX * (row + 1) - BEFORE_PX
    x = GRAIN_CELL_PX * (column + 1) - BEFORE_PX
    return lost[y : y + GRAIN_PATCH_PX, x : x + GRAIN_PATCH_PX]


def _row(values: Float64Array) -> NumberRow:
    return tuple(round(float(value), _DECIMALS) for value in values)


def _rows(values: Float64Array) -> NumberRows:
    return tuple(_row(row) for row in values)
