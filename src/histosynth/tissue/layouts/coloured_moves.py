"""Nuclei of any window of an endless plane that follow densities and the forces between them.

The plane is divided into squares of four colours. The nuclei of all squares of a colour move while
the others rest, and stay in their square; so squares of a colour do not act on each other, and what
becomes of one depends on a ring of squares around it alone. Each nucleus draws its moves from a
hash of the place where it first lay. Inside a square, moves run in a finer lattice of four colours
with the reach of the forces as its side (Anderson et al. 2013, arXiv:1211.1646), shifted from round
to round. Positions, energies and logarithms are whole numbers: sums do not depend on their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import BoolArray, Float64Array, IndexArray
from ..position_hash import Words, hashed_at, mixed_words
from .crowds import DENSITY_UNITS, MAX_EXPECTED, Crowd, Ground
from .model import CELL_UM, STEP_UM
from .move_lattice import (
    CELL_UNITS,
    UNITS,
    AxisParts,
    IntArray,
    MoveTurn,
    NearNuclei,
    disjoint_sets,
    part_overlap,
)

_ENERGY_UNITS = 1 << 12
_NEVER = np.int32(-(1 << 28))
_FINE_CELLS = 2
"""Sides of the lattice that make the side of a coloured square."""
_ORDER = (0, 1, 3, 2)
"""Of the colours: in it a sweep depends on three squares to each side, and no more."""
_RING_SQUARES = 3
FIXED_KEY = np.uint64(0)
"""Of a nucleus that stays where it is."""
_SHORT_STEP = 5 * UNITS
_DISTANCE_SHIFT = 8
"""Squared distances are looked up in units of (1/4 um)^2."""


@dataclass(frozen=True)
class MoveSchedule:
    """How long nuclei move.

    Attributes:
        sweeps: passes over the four colours; the squares are shifted by half a side in every other.
        rounds: lattices in a visit of a colour.
        repeats: moves of each nucleus in a round.
    """

    sweeps: int = 2
    rounds: int = 3
    repeats: int = 3


def ring_um(reach_um: float, schedule: MoveSchedule) -> float:
    """Width of the ring around a window on which its nuclei depend."""
    squares = schedule.sweeps * (_RING_SQUARES + 0.5) + 0.5
    return squares * _square_side(reach_um) / UNITS


def scatter_crowd(ground: Ground, seed: int) -> Crowd:
    """Nuclei at random, by density alone (Poisson), in row-major order of their cells."""
    classes, rows, columns = ground.amounts.shape
    left, top = ground.corner
    words = hashed_at(
        seed,
        left,
        top,
        width=columns,
        height=rows,
        count=classes,
    )
    counts = (
        _poisson(ground.amounts, words)
        .transpose(
            1,
            2,
            0,
        )
        .ravel()
    )
    number = int(counts.sum())
    places = np.repeat(np.arange(len(counts)), counts)
    firsts = np.cumsum(counts) - counts
    ranks = np.arange(number) - firsts[places]
    of_places = words.transpose(
        1,
        2,
        0,
    ).ravel()[places]
    keys = _key(of_places, ranks + 1)
    cells, class_ids = np.divmod(places, classes)
    row, column = np.divmod(cells, columns)
    first_words = _key(keys, np.zeros(number, np.intp))
    x = column * CELL_UNITS + _scaled(
        first_words,
        0,
        CELL_UNITS,
    )
    y = row * CELL_UNITS + _scaled(
        first_words,
        20,
        CELL_UNITS,
    )
    return Crowd(
        x.astype(np.int32),
        y.astype(np.int32),
        class_ids.astype(np.int32),
        keys,
    )


def move_crowd(
    crowd: Crowd,
    ground: Ground,
    forces: Float64Array,
    seed: int,
    *,
    schedule: MoveSchedule,
) -> Crowd:
    """Nuclei after their moves, in another order.

    Args:
        crowd: is changed; nuclei whose key is `FIXED_KEY` stay, and act on the others.
        ground: densities; nuclei lie in its cells.
        forces: (K, K, R) energies by distance, see `LayoutModel`.
        seed: of the lattices' shifts.
        schedule: how long.
    """
    mover = _Mover(
        crowd,
        ground,
        forces,
        seed,
    )
    if not len(crowd.x) or not forces.any():
        return crowd
    for sweep in range(schedule.sweeps):
        for colour in _ORDER:
            for number in range(schedule.rounds):
                mover.round(
                    sweep,
                    colour,
                    number,
                    schedule.repeats,
                )
    return mover.crowd


class _Mover:
    """Moves of the nuclei of one window."""

    def __init__(
        self,
        crowd: Crowd,
        ground: Ground,
        forces: Float64Array,
        seed: int,
    ) -> None:
        self.crowd = crowd
        self._ground = ground
        self._seed = seed
        reach_um = forces.shape[2] * STEP_UM
        self._fine = _fine_side(reach_um)
        self._square = _square_side(reach_um)
        self._energies = _energy_table(forces)
        self._far = np.int32(len(self._energies) // len(forces) ** 2)
        self._classes, self._rows, self._columns = ground.amounts.shape
        self._logs = _LOGS[ground.amounts].ravel()
        self._cells = ground.amounts[0].size

    def round(
        self,
        sweep: int,
        colour: int,
        number: int,
        repeats: int,
    ) -> None:
        """Move the nuclei of the squares of one colour, in one lattice."""
        left, top = self._ground.corner
        shift = sweep % 2 * (self._square // 2)
        across = AxisParts(left * CELL_UNITS - shift, self._square)
        down = AxisParts(top * CELL_UNITS - shift, self._square)
        words = hashed_at(
            self._seed,
            sweep * 1000 + number,
            colour,
            width=1,
            height=1,
            count=2,
        ).ravel()
        shift_x, shift_y = (int(word % np.uint64(self._fine)) for word in words)
        fine_across = AxisParts(left * CELL_UNITS - shift_x, self._fine)
        fine_down = AxisParts(top * CELL_UNITS - shift_y, self._fine)
        column = fine_across.index(self.crowd.x)
        row = fine_down.index(self.crowd.y)
        columns = int(column.max()) + 3
        bins = (row + 1) * columns + column + 1
        order = np.argsort(bins, kind="stable")
        self.crowd = self.crowd.take(order)
        bins = bins[order]
        starts = np.searchsorted(
            bins,
            np.arange((int(row.max()) + 3) * columns + 1),
        )
        crowd = self.crowd
        of_colour = across.parity(crowd.x) + 2 * down.parity(crowd.y)
        active = np.flatnonzero((of_colour == colour) & (crowd.keys != FIXED_KEY))
        if not len(active):
            return
        fine_colour = fine_across.parity(crowd.x[active]) + 2 * fine_down.parity(crowd.y[active])
        order, ends = disjoint_sets(fine_colour, active - starts[bins[active]])
        active = active[order]
        boxes = np.stack(
            [
                part_overlap(
                    across,
                    fine_across,
                    crowd.x[active],
                    self._columns,
                ),
                part_overlap(
                    down,
                    fine_down,
                    crowd.y[active],
                    self._rows,
                ),
            ]
        )
        around = NearNuclei.of(
            bins[active],
            columns,
            starts,
        )
        turn = MoveTurn(
            active,
            ends,
            boxes[:, 0],
            boxes[:, 1],
            around,
            self._pair_rows(active, around),
        )
        for repeat in range(repeats):
            step = ((sweep * 4 + colour) * 1000 + number) * 100 + repeat + 1
            self._repeat(turn, _key(crowd.keys[active], np.full(len(active), step)))

    def _pair_rows(self, active: IndexArray, around: NearNuclei) -> IntArray:
        """(P,) where the energies of each pair of classes begin."""
        class_ids = self.crowd.class_ids
        rows = np.repeat(class_ids[active] * np.int32(self._classes), around.repeats)
        rows += class_ids[around.others]
        return np.asarray(rows * self._far)

    def _repeat(self, turn: MoveTurn, words: Words) -> None:
        """One move of each nucleus of a turn."""
        is_short = (words >> np.uint64(40) & np.uint64(1)).astype(np.bool_)
        chances = _LOG_CHANCES[(words >> np.uint64(41) & np.uint64(0xFFFF)).astype(np.intp)]
        span = np.where(
            is_short,
            np.int32(2 * _SHORT_STEP + 1),
            turn.extents,
        )
        draws = np.stack(
            [
                _scaled(
                    words,
                    0,
                    span[0],
                ),
                _scaled(
                    words,
                    20,
                    span[1],
                ),
            ]
        )
        starts = np.where(
            is_short,
            np.int32(-_SHORT_STEP),
            turn.lows,
        )
        steps = starts + draws.astype(np.int32)
        begin = 0
        for end in turn.ends:
            part = slice(begin, end)
            self._step(
                turn,
                part,
                steps[:, part],
                is_short[part],
                chances[part],
            )
            begin = end

    def _step(
        self,
        turn: MoveTurn,
        part: slice,
        steps: IntArray,
        is_short: BoolArray,
        chances: IntArray,
    ) -> None:
        """Moves of nuclei that do not act on each other."""
        crowd = self.crowd
        moved = turn.active[part]
        places = np.stack([crowd.x[moved], crowd.y[moved]])
        lows = turn.lows[:, part]
        new = steps + places * is_short
        inside = (new >= lows) & (new < lows + turn.extents[:, part])
        inside = inside[0] & inside[1]
        new = np.where(
            inside,
            new,
            places,
        )
        class_ids = crowd.class_ids[moved]
        cells = class_ids * self._cells
        both = np.stack([places, new])
        at = both // np.int32(CELL_UNITS)
        logs = self._logs.take(cells + at[:, 1] * self._columns + at[:, 0])
        gain = logs[1] - logs[0]
        gain += self._difference(
            turn,
            part,
            both,
            class_ids,
        )
        taken = inside & (chances < gain)
        chosen = moved[taken]
        crowd.x[chosen] = new[0, taken]
        crowd.y[chosen] = new[1, taken]

    def _difference(
        self,
        turn: MoveTurn,
        part: slice,
        both: IntArray,
        class_ids: IntArray,
    ) -> IntArray:
        """(M,) energy at the old places less that at the new ones; `both` is (2, 2, M)."""
        crowd = self.crowd
        around = turn.around
        first = int(around.firsts[part.start])
        last = int(around.firsts[part.stop - 1] + around.repeats[part.stop - 1])
        others = around.others[first:last]
        apart = both.repeat(around.repeats[part], axis=2)
        apart[:, 0] -= crowd.x[others]
        apart[:, 1] -= crowd.y[others]
        apart *= apart
        squared = apart[:, 0] + apart[:, 1]
        squared >>= _DISTANCE_SHIFT
        np.minimum(
            squared,
            self._far - 1,
            out=squared,
        )
        squared += turn.rows[first:last]
        energies = self._energies.take(squared)
        total = energies[0] - energies[1]
        sums = np.add.reduceat(total, around.firsts[part] - first)
        # each nucleus is among its own neighbours: at the old place at no distance
        own = class_ids * np.int32((self._classes + 1) * self._far)
        gaps = both[1] - both[0]
        gaps *= gaps
        far = gaps[0] + gaps[1] >> _DISTANCE_SHIFT
        itself = self._energies[own] - self._energies[own + np.minimum(far, self._far - 1)]
        return np.asarray(sums - itself)


def _scaled(
    words: Words,
    bit: int,
    span: int | IntArray,
) -> NDArray[np.int64]:
    """Whole numbers in [0, span) of 20 bits of words."""
    bits = (words >> np.uint64(bit) & np.uint64(0xFFFFF)).astype(np.int64)
    return np.asarray(bits * span >> 20)


def _key(words: Words, numbers: IndexArray) -> Words:
    """Another word for each number."""
    with np.errstate(over="ignore"):
        return mixed_words(words + numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _poisson(amounts: IntArray, words: Words) -> IndexArray:
    """Poisson numbers of these means, by inversion."""
    uniform = (words >> np.uint64(11)).astype(np.float64) / 2.0**53
    chance = _NONE[amounts]
    mean = amounts / DENSITY_UNITS
    below = chance.copy()
    counts = np.zeros(amounts.shape, np.intp)
    for number in range(1, 6 * MAX_EXPECTED):
        more = uniform >= below
        if not more.any():
            break
        counts += more
        chance = chance * mean / number
        below += chance
    return counts


def _fine_side(reach_um: float) -> int:
    return int(np.ceil(max(reach_um, 2 * CELL_UM))) * UNITS


def _square_side(reach_um: float) -> int:
    return _FINE_CELLS * _fine_side(reach_um)


def _energy_table(forces: Float64Array) -> IntArray:
    """(K * K * D) energies of pairs of classes by squared distance; the last of each pair is 0."""
    bins = forces.shape[2]
    reach = bins * STEP_UM * UNITS
    far = int(reach * reach) >> _DISTANCE_SHIFT
    squared = np.arange(far, dtype=np.float64) * 2**_DISTANCE_SHIFT
    of_distance = (np.sqrt(squared) / (UNITS * STEP_UM)).astype(np.intp)
    table = np.zeros((*forces.shape[:2], far + 1))
    table[:, :, :far] = forces[:, :, of_distance]
    energies: IntArray = np.rint(table * _ENERGY_UNITS).astype(np.int32).ravel()
    return energies


def _log_table() -> IntArray:
    amounts = np.arange(MAX_EXPECTED * DENSITY_UNITS)
    logs = np.log(np.maximum(amounts, 1) / DENSITY_UNITS) * _ENERGY_UNITS
    table: IntArray = np.rint(logs).astype(np.int32)
    table[0] = _NEVER
    return table


_LOGS = _log_table()
_NONE = np.exp(-np.arange(MAX_EXPECTED * DENSITY_UNITS) / DENSITY_UNITS)
_LOG_CHANCES = np.rint(
    np.log((np.arange(1 << 16) + 0.5) / (1 << 16)) * _ENERGY_UNITS,
).astype(np.int32)
