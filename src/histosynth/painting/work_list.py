"""The pieces of work of a slide, or of a part of it, and which of them wait for which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..core.geometry import Box
from .lattice import Lattice
from .pixels import PLOT_PX, needed_cells


class PaintPiece(NamedTuple):
    """One piece of work. Pieces sort in the order in which a sweep down the slide does them.

    Attributes:
        wave: rows of windows above which everything is done by then.
        step: a phase, from 0; then plots; then blocks of the written slide.
        row: of the window, the plot or the block.
        column: of the same.
    """

    wave: int
    step: int
    row: int
    column: int


@dataclass(frozen=True)
class Area:
    """The part of a slide that is written.

    Attributes:
        box: its pixels; the whole slide as a rule.
        block_px: side of a block of the written file.
    """

    box: Box
    block_px: int

    @property
    def is_aligned(self) -> bool:
        """Whether each block is one plot."""
        on_grid = self.box.x % PLOT_PX == 0 and self.box.y % PLOT_PX == 0
        return on_grid and self.block_px == PLOT_PX

    @property
    def blocks(self) -> tuple[int, int]:
        """Numbers of blocks (across, down)."""
        return -(-self.box.width // self.block_px), -(-self.box.height // self.block_px)

    def block_box(self, column: int, row: int) -> Box:
        """The pixels of a block, on the slide."""
        x = self.box.x + column * self.block_px
        y = self.box.y + row * self.block_px
        return Box(
            x,
            y,
            min(self.block_px, self.box.right - x),
            min(self.block_px, self.box.bottom - y),
        )

    def plots(self, box: Box) -> Iterator[tuple[int, int]]:
        """(column, row) of the plots that hold pixels of a box."""
        for row in range(box.y // PLOT_PX, -(-box.bottom // PLOT_PX)):
            for column in range(box.x // PLOT_PX, -(-box.right // PLOT_PX)):
                yield column, row


@dataclass(frozen=True)
class Finished:
    """What an earlier run has finished.

    Attributes:
        block: whether a block (column, row) is written.
        plot: whether the pixels of a plot (column, row) are kept.
        window: whether the latents of (phase, column, row) are kept.
    """

    block: Callable[[int, int], bool]
    plot: Callable[[int, int], bool]
    window: Callable[[int, int, int], bool]


@dataclass(frozen=True)
class WorkList:
    """Pieces in order, and for each the indices of those that it waits for.

    Attributes:
        pieces: to do.
        after: indices of earlier ones.
        phases: steps below this are phases of windows.
    """

    pieces: list[PaintPiece]
    after: list[list[int]]
    phases: int

    @property
    def plots_step(self) -> int:
        """The step of plots."""
        return self.phases

    @property
    def blocks_step(self) -> int:
        """The step of blocks."""
        return self.phases + 1


def list_work(
    lattice: Lattice,
    area: Area,
    phases: int,
    finished: Finished,
    slide: Box,
) -> WorkList:
    """What is to be done, found backwards from the blocks that are missing.

    Args:
        lattice: of the windows.
        area: what is written.
        phases: of the solver.
        finished: what is there.
        slide: all pixels of the slide.
    """
    planner = _Planner(
        lattice,
        area,
        phases,
        finished,
        slide,
    )
    across, down = area.blocks
    for row in range(down):
        for column in range(across):
            planner.block(column, row)
    return planner.listed()


class _Planner:
    def __init__(
        self,
        lattice: Lattice,
        area: Area,
        phases: int,
        finished: Finished,
        slide: Box,
    ) -> None:
        self._lattice = lattice
        self._area = area
        self._phases = phases
        self._finished = finished
        self._slide = slide
        self._needs: dict[PaintPiece, list[PaintPiece]] = {}
        self._known: dict[tuple[int, int, int], PaintPiece | None] = {}

    def listed(self) -> WorkList:
        """The pieces found, in order."""
        pieces = sorted(self._needs)
        index_of = {piece: index for index, piece in enumerate(pieces)}
        after = [sorted(index_of[need] for need in self._needs[piece]) for piece in pieces]
        return WorkList(
            pieces,
            after,
            self._phases,
        )

    def block(self, column: int, row: int) -> None:
        """Note a block that is missing, and all that it waits for."""
        if self._finished.block(column, row):
            return
        box = self._area.block_box(column, row)
        if self._area.is_aligned:
            self._add(
                self._phases + 1,
                column,
                row,
                self._windows_of(box),
            )
            return
        needs = []
        for plot in self._area.plots(box):
            piece = self._plot(*plot)
            if piece is not None:
                needs.append(piece)
        self._add(
            self._phases + 1,
            column,
            row,
            needs,
        )

    def _plot(self, column: int, row: int) -> PaintPiece | None:
        key = (self._phases, column, row)
        if key not in self._known:
            self._known[key] = None
            if not self._finished.plot(column, row):
                box = whole_plot(
                    column,
                    row,
                    self._slide,
                )
                needs = self._windows_of(box)
                self._known[key] = self._add(
                    self._phases,
                    column,
                    row,
                    needs,
                )
        return self._known[key]

    def _windows_of(self, box: Box) -> list[PaintPiece]:
        """Windows of the last phase that a box of pixels is decoded from."""
        plot = whole_plot(
            box.x // PLOT_PX,
            box.y // PLOT_PX,
            self._slide,
        )
        _, cells = needed_cells(plot, self._lattice.canvas)
        return self._windows(self._phases - 1, cells)

    def _windows(self, phase: int, cells: Box) -> list[PaintPiece]:
        found = []
        for column, row in self._lattice.covering(cells):
            piece = self._window(
                phase,
                column,
                row,
            )
            if piece is not None:
                found.append(piece)
        return found

    def _window(self, phase: int, column: int, row: int) -> PaintPiece | None:
        key = (phase, column, row)
        if key in self._known:
            return self._known[key]
        self._known[key] = None
        if not self._finished.window(
            phase,
            column,
            row,
        ):
            cells = self._lattice.window(column, row).intersect(self._lattice.canvas)
            needs: list[PaintPiece] = []
            if cells is not None:
                for earlier in range(phase):
                    needs += self._windows(earlier, cells)
            self._known[key] = self._add(
                phase,
                column,
                row,
                needs,
            )
        return self._known[key]

    def _add(self, step: int, column: int, row: int, needs: list[PaintPiece]) -> PaintPiece:
        wave = max((need.wave for need in needs), default=row)
        if step < self._phases:
            wave = max(wave, row)
        piece = PaintPiece(
            wave,
            step,
            row,
            column,
        )
        self._needs[piece] = needs
        return piece


def whole_plot(column: int, row: int, slide: Box) -> Box:
    """The pixels of a plot, cut off at the slide's edges."""
    box = Box(
        column * PLOT_PX,
        row * PLOT_PX,
        PLOT_PX,
        PLOT_PX,
    ).intersect(slide)
    if box is None:
        raise ValueError(f"plot {column}, {row} is not on the slide")
    return box
