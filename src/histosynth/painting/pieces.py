"""Doing one piece of work, in any process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.geometry import Box
from ..core.tile import Pixels
from ..engine.threads import one_thread
from ..slides.writing import SlideParts, has_block, write_block
from .latents import LatentFiles, paint_window, window_file
from .opened import open_scene
from .part_files import has_array, read_array, write_array
from .pixels import PLOT_PX, paint_plot
from .scene import Scene
from .work_list import Area, Finished, PaintPiece, WorkList, whole_plot


@dataclass(frozen=True, eq=False)
class Painting:
    """A scene, the part of it that is written, and the folder of its parts.

    Attributes:
        scene: what is painted.
        area: which part is written.
        parts: of the written file; latents lie in the same folder.
        phases: of the solver.
    """

    scene: Scene
    area: Area
    parts: SlideParts
    phases: int

    @property
    def folder(self) -> Path:
        """Of the parts."""
        return self.parts.folder

    @property
    def slide(self) -> Box:
        """All pixels of the slide."""
        return Box(
            0,
            0,
            *self.scene.size,
        )

    def file_of(self, piece: PaintPiece) -> Path | None:
        """The file that others read a piece's result from; None: it stays in the parts."""
        if piece.step < self.phases:
            return window_file(
                self.folder,
                piece.step,
                piece.column,
                piece.row,
            )
        if piece.step == self.phases:
            return self._plot_file(piece.column, piece.row)
        return None

    def _plot_file(self, column: int, row: int) -> Path:
        return self.folder / "plots" / f"{row:06d}" / f"{column:06d}.rgb"

    def finished(self) -> Finished:
        """What an earlier run has finished."""
        files = self._latents()
        return Finished(
            block=lambda column, row: has_block(
                self.parts,
                column,
                row,
            ),
            plot=lambda column, row: has_array(
                self._plot_file(column, row),
                self._plot_shape(column, row),
                np.uint8,
            ),
            window=files.has,
        )

    def do(self, piece: PaintPiece) -> None:
        """Do a piece of work and write its result, whole or not at all."""
        if piece.step == self.phases + 1 and not self.area.is_aligned:
            self._assemble_block(piece.column, piece.row)
            return
        files = self._latents()
        with one_thread():
            if piece.step < self.phases:
                paint_window(
                    files,
                    piece.step,
                    piece.column,
                    piece.row,
                )
            elif piece.step == self.phases:
                self._write_plot(
                    files,
                    piece.column,
                    piece.row,
                )
            else:
                self._write_block(
                    files,
                    piece.column,
                    piece.row,
                )

    def _latents(self) -> LatentFiles:
        return LatentFiles(open_scene(self.scene), self.folder)

    def _plot_shape(self, column: int, row: int) -> tuple[int, int, int]:
        height, width = whole_plot(
            column,
            row,
            self.slide,
        ).size.shape
        return height, width, 3

    def _write_plot(self, files: LatentFiles, column: int, row: int) -> None:
        pixels = paint_plot(
            files,
            whole_plot(
                column,
                row,
                self.slide,
            ),
        )
        write_array(self._plot_file(column, row), pixels)

    def _write_block(self, files: LatentFiles, column: int, row: int) -> None:
        """A block that is one plot, or the part of it that is written."""
        box = self.area.block_box(column, row)
        plot = whole_plot(
            box.x // PLOT_PX,
            box.y // PLOT_PX,
            self.slide,
        )
        pixels = paint_plot(files, plot)
        inside = box.shift(-plot.x, -plot.y).slices
        write_block(
            self.parts,
            column,
            row,
            pixels[inside],
        )

    def _assemble_block(self, column: int, row: int) -> None:
        """A block from the pixels of the plots that it lies on."""
        box = self.area.block_box(column, row)
        pixels: Pixels = np.empty((*box.size.shape, 3), np.uint8)
        for place in self.area.plots(box):
            plot = whole_plot(*place, self.slide)
            common = plot.intersect(box)
            if common is None:
                continue
            values = read_array(
                self._plot_file(*place),
                self._plot_shape(*place),
                np.uint8,
            )
            inside = common.shift(-plot.x, -plot.y).slices
            pixels[common.shift(-box.x, -box.y).slices] = values[inside]
        write_block(
            self.parts,
            column,
            row,
            pixels,
        )


def remaining_readers(work: WorkList) -> list[int]:
    """For each piece, how many others of the list read its result."""
    counts = [0] * len(work.pieces)
    for needs in work.after:
        for index in needs:
            counts[index] += 1
    return counts
