"""Nuclei of any window of an endless plane that follow densities and the forces between them.

The plane is divided into squares of four colours. The nuclei of all squares of a colour move while
the others rest, and stay in their square; so squares of a colour do not act on each other, and what
becomes of one depends on a ring of squares around it alone. Each nucleus draws its moves from a
hash of the place where it first lay. Inside a square, moves run in a finer lattice of four colours
with the reach of the forces as its side (Anderson et al. 2013, arXiv:1211.1646), shifted from round
to round. Positions, energies and logarithms are whole numbers: sums do not depend on their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import BoolArray, Float64Array, IndexArray
from ..position_hash import Words, hashed_at, mixed_words
from .model import CELL_UM, STEP_UM

UNITS = 64
"""Of a micrometre: whole steps of a position."""
CELL_UNITS = int(CELL_UM) * UNITS
DENSITY_UNITS = 1 << 14
"""Of one nucleus in a cell of `CELL_UM`."""
_MAX_EXPECTED = 8
"""Most nuclei expected in a cell of `CELL_UM`: 80,000 per mm2."""
_ENERGY_UNITS = 1 << 12
_NEVER = np.int32(-(1 << 28))
_FINE_CELLS = 2
"""Sides of the lattice that make the side of a coloured square."""
_ORDER = (0, 1, 3, 2)
"""Of the colours: in it a sweep depends on three squares to each side, and no more."""
_RING_SQUARES = 3
_SHORT_STEP = 5 * UNITS
_DISTANCE_SHIFT = 8
"""Squared distances are looked up in units of (1/4 um)^2."""
IntArray = NDArray[np.int32]


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
    repeats: int = 2


@dataclass(eq=False)
class Crowd:
    """Nuclei of a window in whole steps from its corner; `move_crowd` changes the positions.

    Attributes:
        x: (N,) int32, in units of 1 / `UNITS` um.
        y: (N,) int32.
        class_ids: (N,) int32.
        keys: (N,) uint64, source of each nucleus's moves.
    """

    x: IntArray
    y: IntArray
    class_ids: IntArray
    keys: Words

    def take(self, order: IndexArray | BoolArray) -> Crowd:
        """The nuclei of these indices."""
        return Crowd(
            self.x[order],
            self.y[order],
            self.class_ids[order],
            self.keys[order],
        )

    def inside(self, ring: int, shape: tuple[int, int]) -> Crowd:
        """Those of the cells (rows, columns) that a ring of `ring` cells goes around, from the
        corner of the first one.
        """
        rows, columns = shape
        x = self.x - np.int32(ring * CELL_UNITS)
        y = self.y - np.int32(ring * CELL_UNITS)
        is_in = (x >= 0) & (x < columns * CELL_UNITS)
        is_in &= (y >= 0) & (y < rows * CELL_UNITS)
        inner = self.take(is_in)
        return Crowd(
            x[is_in],
            y[is_in],
            inner.class_ids,
            inner.keys,
        )


@dataclass(frozen=True, eq=False)
class Ground:
    """Densities of a window.

    Attributes:
        amounts: (K, rows, columns) int32 nuclei expected in cells of `CELL_UM`, in units of 1 /
            `DENSITY_UNITS`.
        corner: column and row of the first cell on the plane.
    """

    amounts: IntArray
    corner: tuple[int, int]

    @classmethod
    def of(
        cls,
        per_mm2: Float64Array,
        corner: tuple[int, int],
    ) -> Ground:
        """Ground of densities (K, rows, columns) per mm2."""
        expected = per_mm2 * (CELL_UM**2 / 1e6)
        amounts = np.rint(expected * DENSITY_UNITS)
        most = _MAX_EXPECTED * DENSITY_UNITS - 1
        return cls(
            amounts.clip(0, most).astype(np.int32),
            corner,
        )


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
        crowd: is changed.
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
        across = _Lines(left * CELL_UNITS - shift, self._square)
        down = _Lines(top * CELL_UNITS - shift, self._square)
        words = hashed_at(
            self._seed,
            sweep * 1000 + number,
            colour,
            width=1,
            height=1,
            count=2,
        ).ravel()
        shift_x, shift_y = (int(word % np.uint64(self._fine)) for word in words)
        fine_across = _Lines(left * CELL_UNITS - shift_x, self._fine)
        fine_down = _Lines(top * CELL_UNITS - shift_y, self._fine)
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
        active = np.flatnonzero(of_colour == colour)
        if not len(active):
            return
        fine_colour = fine_across.parity(crowd.x[active]) + 2 * fine_down.parity(crowd.y[active])
        order, ends = _disjoint_sets(fine_colour, active - starts[bins[active]])
        active = active[order]
        boxes = np.stack(
            [
                _overlap(
                    across,
                    fine_across,
                    crowd.x[active],
                    self._columns,
                ),
                _overlap(
                    down,
                    fine_down,
                    crowd.y[active],
                    self._rows,
                ),
            ]
        )
        around = _Around.of(
            bins[active],
            columns,
            starts,
        )
        turn = _Turn(
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

    def _pair_rows(self, active: IndexArray, around: _Around) -> IntArray:
        """(P,) where the energies of each pair of classes begin."""
        class_ids = self.crowd.class_ids
        rows = np.repeat(class_ids[active] * np.int32(self._classes), around.repeats)
        rows += class_ids[around.others]
        return np.asarray(rows * self._far)

    def _repeat(self, turn: _Turn, words: Words) -> None:
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
        turn: _Turn,
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
        turn: _Turn,
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


@dataclass(frozen=True)
class _Lines:
    """Division of an axis into equal parts, seen from a window.

    Attributes:
        origin: of the window, counted from where the parts begin.
        side: of a part.
    """

    origin: int
    side: int

    def index(self, values: IntArray) -> IntArray:
        """Part of each position, counted from that of the window's corner."""
        return (values + np.int32(self.origin % self.side)) // np.int32(self.side)

    def parity(self, values: IntArray) -> IntArray:
        """0 or 1: whether the part is an odd one on the whole axis."""
        odd = np.int32(self.origin // self.side % 2)
        return (self.index(values) + odd) & np.int32(1)

    def lower(self, values: IntArray) -> IntArray:
        """Where each position's part begins."""
        return self.index(values) * np.int32(self.side) - np.int32(self.origin % self.side)


@dataclass(frozen=True, eq=False)
class _Around:
    """Nuclei in the 3 x 3 cells of the lattice around each of M nuclei, itself among them.

    Attributes:
        repeats: (M,) how many.
        firsts: (M,) where those of each begin.
        others: (P,) their indices.
    """

    repeats: IndexArray
    firsts: IndexArray
    others: IndexArray

    @classmethod
    def of(
        cls,
        own: IndexArray,
        columns: int,
        starts: IndexArray,
    ) -> _Around:
        """Around cells `own` (M) of a lattice in rows of `columns`."""
        rows = own[:, None] + np.array([-columns, 0, columns])
        firsts = starts[rows - 1]
        counts = starts[rows + 2] - firsts
        flat = counts.ravel()
        before = np.cumsum(flat) - flat
        others = np.arange(int(flat.sum()))
        others += np.repeat(firsts.ravel() - before, flat)
        repeats = counts.sum(axis=1)
        return cls(
            repeats,
            np.cumsum(repeats) - repeats,
            others,
        )


@dataclass(frozen=True, eq=False)
class _Turn:
    """Nuclei of the squares of one colour, set by set of those that move at once.

    Attributes:
        active: (M,) indices.
        ends: where each set ends.
        lows: (2, M) least position of where each may go, across and down.
        extents: (2, M) of where each may go.
        around: nuclei near each.
        rows: (P,) where the energies of their pair of classes begin.
    """

    active: IndexArray
    ends: list[int]
    lows: IntArray
    extents: IntArray
    around: _Around
    rows: IntArray


def _disjoint_sets(fine_colour: IntArray, ranks: IndexArray) -> tuple[IndexArray, list[int]]:
    """An order of nuclei, and where each set of those ends that move at once: of one colour of the
    lattice, one in each cell.
    """
    width = int(ranks.max()) + 1
    group = fine_colour * width + ranks
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order])) + 1
    return order, [*ends.tolist(), len(order)]


def _overlap(
    coarse: _Lines,
    fine: _Lines,
    values: IntArray,
    cells: int,
) -> IntArray:
    """(2, N) least position and extent of where parts of both divisions overlap in the window."""
    coarse_low = coarse.lower(values)
    fine_low = fine.lower(values)
    low = np.maximum(coarse_low, fine_low)
    high = np.minimum(
        coarse_low + np.int32(coarse.side),
        fine_low + np.int32(fine.side),
    )
    low = np.maximum(low, 0)
    high = np.minimum(high, np.int32(cells * CELL_UNITS))
    return np.stack([low, high - low])


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
    for number in range(1, 6 * _MAX_EXPECTED):
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
    amounts = np.arange(_MAX_EXPECTED * DENSITY_UNITS)
    logs = np.log(np.maximum(amounts, 1) / DENSITY_UNITS) * _ENERGY_UNITS
    table: IntArray = np.rint(logs).astype(np.int32)
    table[0] = _NEVER
    return table


_LOGS = _log_table()
_NONE = np.exp(-np.arange(_MAX_EXPECTED * DENSITY_UNITS) / DENSITY_UNITS)
_LOG_CHANCES = np.rint(
    np.log((np.arange(1 << 16) + 0.5) / (1 << 16)) * _ENERGY_UNITS,
).astype(np.int32)
