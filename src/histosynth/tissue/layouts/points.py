"""Nuclei that follow densities and the forces between them: Metropolis moves of one at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ...core.arrays import Float64Array, IndexArray
from .model import CELL_UM, STEP_UM

_SHORT_STEP_UM = 4.0
"""Standard deviation of a short move; every other move is a jump to anywhere."""
_UM2_PER_MM2 = 1e6


@dataclass(eq=False)
class Points:
    """Nuclei of one window, which `move` changes.

    Attributes:
        xy: (N, 2) um from the window's corner.
        class_ids: (N) index of the classes.
    """

    xy: Float64Array
    class_ids: IndexArray


@dataclass(
    frozen=True,
    eq=False,
)
class Surface:
    """Densities of a window, from which positions are drawn.

    Attributes:
        per_mm2: (K, rows, columns) on cells of `CELL_UM`.
        window: width and height, um, covered by the cells.
    """

    per_mm2: Float64Array
    window: tuple[float, float]

    def expected(self) -> Float64Array:
        """(K) mean numbers of nuclei in the window."""
        areas = self._cell_areas()
        counts = (self.per_mm2 * areas).sum(axis=(1, 2)) / _UM2_PER_MM2
        return np.asarray(counts)

    def draw(
        self,
        class_id: int,
        count: int,
        random: Generator,
    ) -> Float64Array:
        """(count, 2) positions of a class, without regard to other nuclei; um."""
        rows, columns = self.per_mm2.shape[1:]
        weights = (self.per_mm2[class_id] * self._cell_areas()).ravel()
        if not weights.sum() > 0:
            weights = self._cell_areas().ravel()
        steps = np.cumsum(weights)
        picked = np.searchsorted(
            steps,
            random.random(count) * steps[-1],
            side="right",
        )
        picked = picked.clip(
            0,
            rows * columns - 1,
        )
        row, column = np.divmod(
            picked,
            columns,
        )
        width, height = self.window
        left = column * CELL_UM
        top = row * CELL_UM
        x = left + random.random(count) * (
            np.minimum(
                left + CELL_UM,
                width,
            )
            - left
        )
        y = top + random.random(count) * (
            np.minimum(
                top + CELL_UM,
                height,
            )
            - top
        )
        return np.stack(
            [x, y],
            1,
        )

    def at(
        self,
        class_id: int,
        x: float,
        y: float,
    ) -> float:
        """Density of a class at a position inside the window."""
        rows, columns = self.per_mm2.shape[1:]
        row = min(
            int(y / CELL_UM),
            rows - 1,
        )
        column = min(
            int(x / CELL_UM),
            columns - 1,
        )
        return float(self.per_mm2[class_id, row, column])

    def _cell_areas(self) -> Float64Array:
        """(rows, columns) um2 of each cell that lies in the window."""
        rows, columns = self.per_mm2.shape[1:]
        width, height = self.window
        across = np.minimum(
            CELL_UM,
            width - np.arange(columns) * CELL_UM,
        )
        down = np.minimum(
            CELL_UM,
            height - np.arange(rows) * CELL_UM,
        )
        return np.asarray(down[:, None] * across)


def grid_shape(window: tuple[float, float]) -> tuple[int, int]:
    """Rows and columns of cells that cover a window (width, height) um."""
    width, height = window
    return int(np.ceil(height / CELL_UM)), int(np.ceil(width / CELL_UM))


def scatter(
    surface: Surface,
    counts: IndexArray,
    random: Generator,
) -> Points:
    """Nuclei of each class (K counts) at random, by density alone."""
    parts = [np.zeros((0, 2))]
    for class_id, count in enumerate(counts):
        parts.append(
            surface.draw(
                class_id,
                int(count),
                random,
            )
        )
    class_ids = np.repeat(
        np.arange(len(counts)),
        counts,
    )
    return Points(
        np.concatenate(parts),
        class_ids,
    )


def move(
    points: Points,
    surface: Surface,
    forces: Float64Array,
    random: Generator,
    *,
    sweeps: int,
) -> None:
    """Move each nucleus `sweeps` times in the mean, so that pairs follow the forces.

    Metropolis et al. 1953. Jumps are drawn from the densities, so that forces alone decide on them;
    short moves count the densities at both ends.

    Args:
        points: are changed.
        surface: densities.
        forces: (K, K, R) energies by distance, see `LayoutModel`.
        random: source of all randomness.
        sweeps: moves of each nucleus.
    """
    count = len(points.xy)
    if count < 2:
        return
    # from the last bin on there is no force
    energies = np.concatenate(
        [forces, np.zeros((*forces.shape[:2], 1))],
        axis=2,
    )
    tries = count * sweeps
    picked = random.integers(
        count,
        size=tries,
    )
    is_jump = random.random(tries) < 0.5
    steps = random.normal(
        0,
        _SHORT_STEP_UM,
        (tries, 2),
    )
    chances = np.log(random.random(tries))
    jumps = np.empty((tries, 2))
    for class_id in range(len(forces)):
        of_class = points.class_ids[picked] == class_id
        jumps[of_class] = surface.draw(
            class_id,
            int(of_class.sum()),
            random,
        )
    for index, jumps_now, step, jump, chance in zip(
        picked.tolist(),
        is_jump.tolist(),
        steps,
        jumps,
        chances.tolist(),
        strict=True,
    ):
        target = jump if jumps_now else points.xy[index] + step
        gain = _gain(
            points,
            surface,
            energies,
            index,
            target,
            is_jump=jumps_now,
        )
        if chance < gain:
            points.xy[index] = target


def _gain(
    points: Points,
    surface: Surface,
    energies: Float64Array,
    index: int,
    target: Float64Array,
    *,
    is_jump: bool,
) -> float:
    """Logarithm of the chance that a move is taken; -inf outside the window."""
    width, height = surface.window
    x, y = float(target[0]), float(target[1])
    if not (0 <= x < width and 0 <= y < height):
        return -np.inf
    class_id = int(points.class_ids[index])
    of_class = energies[class_id]
    before = points.xy[index]
    ends = np.array([before, target])
    gaps = ends[:, None] - points.xy
    bins = np.sqrt(np.square(gaps).sum(axis=2)) / STEP_UM
    bins = np.minimum(
        bins,
        energies.shape[2] - 1,
    ).astype(np.intp)
    found = of_class[points.class_ids, bins]
    found[:, index] = 0
    now, then = found.sum(axis=1)
    gain = float(now - then)
    if is_jump:
        return gain
    old = surface.at(
        class_id,
        float(before[0]),
        float(before[1]),
    )
    new = surface.at(
        class_id,
        x,
        y,
    )
    if new <= 0:
        return -np.inf
    return gain + float(
        np.log(new)
        - np.log(
            max(
                old,
                1e-12,
            )
        )
    )
