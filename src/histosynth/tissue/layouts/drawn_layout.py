"""Nuclei of a slide of any size that a model draws, a window at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...core.arrays import Float64Array, IndexArray
from ...core.geometry import Box
from ...core.nuclei import Nuclei
from ...core.slide_layout import FramedLayout
from ...core.store import digest
from ...core.tile import Mask
from .coloured_moves import MoveSchedule, move_crowd, ring_um, scatter_crowd
from .crowds import Crowd, Ground
from .ground_fields import Densities, ModelDensities
from .model import CELL_UM, LayoutModel
from .move_lattice import CELL_UNITS, UNITS, IntArray
from .position_noise import Places, seed_for
from .slide_rows import HUNDREDTHS, HundredthArray, SlideRows, joined_rows, on_slide
from .slide_structure import SlideDensities

Likeness = Literal["model", "slide"]
LIKENESSES: tuple[Likeness, ...] = ("slide", "model")
_BLOCK_CELLS = 20
_BLOCKS_AT_ONCE = 8
"""Blocks along each side that are drawn together: four times as fast as one by one."""
_BLOCKS_KEPT = 4096
"""Blocks of nuclei that are kept for the windows to come: two rows of a slide of 100,000 px."""
_LATTICE_UM = 4.0
"""Step at which outlines of regions without tissue are computed; between, they are straight."""
_SCATTER = 1
_MOVES = 2
_VERSION = 2
BlockPlace = tuple[int, int]


class DrawnLayout(FramedLayout):
    """Nuclei of a slide, each window of which is the crop of the whole, bit for bit.

    Nothing is stored: nuclei of a window and of a ring around it are drawn when they are needed.

    Args:
        model: of the layouts.
        size: (width, height) px.
        mpp: micrometres per pixel.
        seed: source of all randomness.
        like: "slide": tissue on glass with regions and glands; "model": the model's fields alone,
            everywhere.
        densities: in place of those that `like` names.
        densities_digest: hex digest of what decides `densities`.
    """

    def __init__(
        self,
        model: LayoutModel,
        size: tuple[int, int],
        *,
        mpp: float,
        seed: int = 0,
        like: Likeness = "slide",
        densities: Densities | None = None,
        densities_digest: str = "",
    ) -> None:
        super().__init__(
            model.classes,
            size,
            mpp,
        )
        self._model = model
        self._seed = seed
        self._like = like
        self._schedule = MoveSchedule()
        size_um = (size[0] * mpp, size[1] * mpp)
        if densities is None:
            densities = densities_like(
                like,
                model,
                seed,
                size_um,
            )
        self._densities = densities
        self._densities_digest = densities_digest
        self._blocks: OrderedDict[BlockPlace, SlideRows] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """What other processes receive: what is kept in memory stays here."""
        return self.__dict__ | {"_blocks": OrderedDict()}

    @property
    def seed(self) -> int:
        """Source of all randomness."""
        return self._seed

    @property
    def like(self) -> Likeness:
        """What the densities are like."""
        return self._like

    @property
    def densities(self) -> Densities:
        """Where nuclei are how dense."""
        return self._densities

    @property
    def digest(self) -> str:
        """Hex digest of all that decides where the nuclei are."""
        return digest(
            {
                "version": _VERSION,
                "model": self._model.sha256,
                "size": list(self._size),
                "mpp": self._mpp,
                "seed": self._seed,
                "like": self._like,
                "densities": self._densities_digest,
            }
        )

    def window(self, box: Box) -> Nuclei:
        """The nuclei inside a box, in its frame; see `SlideLayout`."""
        inner = on_slide(box, self._size)
        if inner is None:
            return Nuclei.none(
                box.size,
                self._mpp,
                self.classes,
            )
        places = self._places(inner)
        missing = [place for place in places if place not in self._blocks]
        if missing:
            self._fill(missing)
        parts = [self._blocks[place] for place in places]
        for place in places:
            self._blocks.move_to_end(place)
        while len(self._blocks) > max(_BLOCKS_KEPT, len(places)):
            self._blocks.popitem(last=False)
        return (
            joined_rows(parts)
            .inside(inner)
            .nuclei(
                box,
                classes=self.classes,
                mpp=self._mpp,
            )
        )

    def empty(self, box: Box) -> Mask | None:
        """Pixels of a box that show no tissue: glass around it, and lumina.

        Returns:
            (H, W) bool; None: there are none on this slide.
        """
        first_x, across = _lattice(
            box.x,
            box.width,
            self._mpp,
        )
        first_y, down = _lattice(
            box.y,
            box.height,
            self._mpp,
        )
        places = Places.of_steps(
            (first_x, first_y),
            (int(down[-1]) + 2, int(across[-1]) + 2),
            _LATTICE_UM,
        )
        values = self._densities.without_tissue(places, step_um=_LATTICE_UM)
        if values is None:
            return None
        return np.asarray(
            _between(
                values,
                across,
                down,
            )
            > 0
        )

    def rows(self, first: BlockPlace, shape: tuple[int, int]) -> SlideRows:
        """Nuclei of some cells of `CELL_UM`, for those who go through a whole slide.

        Those that would lie outside the slide are among them.

        Args:
            first: column and row of the first cell.
            shape: rows and columns.
        """
        return self._rows_of(self._drawn(first, shape), first)

    def _drawn(self, first: BlockPlace, shape: tuple[int, int]) -> Crowd:
        """Nuclei of some cells, from the corner of the first one."""
        ring = int(np.ceil(ring_um(self._model.reach_um, self._schedule) / CELL_UM))
        corner = (first[0] - ring, first[1] - ring)
        outer = (shape[0] + 2 * ring, shape[1] + 2 * ring)
        ground = Ground.of(
            self._densities.per_mm2(corner, outer),
            corner,
        )
        crowd = move_crowd(
            scatter_crowd(ground, seed_for(self._seed, _SCATTER)),
            ground,
            self._model.forces,
            seed_for(self._seed, _MOVES),
            schedule=self._schedule,
        )
        return crowd.inside(ring, shape)

    def _rows_of(self, crowd: Crowd, first: BlockPlace) -> SlideRows:
        return SlideRows(
            _hundredths(
                crowd.x,
                first[0],
                self._mpp,
            ),
            _hundredths(
                crowd.y,
                first[1],
                self._mpp,
            ),
            crowd.class_ids.astype(np.uint8),
        )

    def _places(self, box: Box) -> list[BlockPlace]:
        """Blocks that hold the nuclei of a box."""
        # one pixel more: nuclei are rounded to hundredths of a pixel
        columns = range(self._block_at(box.x - 1), self._block_at(box.right + 1) + 1)
        rows = range(self._block_at(box.y - 1), self._block_at(box.bottom + 1) + 1)
        return [(column, row) for row in rows for column in columns]

    def _fill(self, missing: Sequence[BlockPlace]) -> None:
        """Draw the squares of blocks that missing ones lie in, and keep them."""
        # blocks begin at -1, where a nucleus may be rounded into the slide
        groups = {((x + 1) // _BLOCKS_AT_ONCE, (y + 1) // _BLOCKS_AT_ONCE) for x, y in missing}
        for group in sorted(groups):
            self._fill_group(*group)

    def _fill_group(self, column: int, row: int) -> None:
        """Draw a square of blocks, or what of it may lie on the slide."""
        left, right = self._blocks_along(column, self._size.width)
        top, bottom = self._blocks_along(row, self._size.height)
        first = (left * _BLOCK_CELLS, top * _BLOCK_CELLS)
        crowd = self._drawn(
            first,
            ((bottom - top) * _BLOCK_CELLS, (right - left) * _BLOCK_CELLS),
        )
        drawn = self._rows_of(crowd, first)
        # by positions before they are rounded: a nucleus is in one block, whatever is drawn with it
        side = _BLOCK_CELLS * CELL_UNITS
        numbers = crowd.y // side * (right - left) + crowd.x // side
        for number, which in enumerate(_groups(numbers, (right - left) * (bottom - top))):
            down, across = divmod(number, right - left)
            self._blocks[left + across, top + down] = drawn.take(which)

    def _blocks_along(self, group: int, side_px: int) -> tuple[int, int]:
        """First block of a group along one side of the slide, and the one after its last."""
        last = self._block_at(side_px + 1)
        first = group * _BLOCKS_AT_ONCE - 1
        return first, min(first + _BLOCKS_AT_ONCE, last + 1)

    def _block_at(self, px: int) -> int:
        """The block that a position along the slide lies in."""
        return int(px // (_BLOCK_CELLS * CELL_UM / self._mpp))


def densities_like(
    like: Likeness,
    model: LayoutModel,
    seed: int,
    size_um: tuple[float, float],
) -> Densities:
    """Drawn densities: a section on glass, or the model's fields everywhere."""
    if like == "model":
        return ModelDensities(model, seed)
    return SlideDensities(
        model,
        seed,
        size_um,
    )


def _groups(numbers: IndexArray, count: int) -> list[IndexArray]:
    """Indices of the rows of each number from 0 to `count` - 1."""
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(1, count))
    return np.split(order, ends)


def _hundredths(
    steps: IntArray,
    corner: int,
    mpp: float,
) -> HundredthArray:
    """Steps from a window's corner (a cell) as hundredths of a pixel of the slide."""
    absolute = steps.astype(np.int64) + corner * CELL_UNITS
    pixels = absolute / (UNITS * mpp)
    return np.rint((pixels - 0.5) * HUNDREDTHS).astype(np.int64)


def _lattice(
    first: int,
    count: int,
    mpp: float,
) -> tuple[int, Float64Array]:
    """The lattice's node before a window's first pixel; and centres of its pixels, in steps from
    there.
    """
    steps = (np.arange(first, first + count) + 0.5) * (mpp / _LATTICE_UM)
    node = int(np.floor(steps[0]))
    return node, (steps - node).astype(np.float64)


def _between(
    values: Float64Array,
    across: Float64Array,
    down: Float64Array,
) -> Float64Array:
    """(H, W) values between the nodes of a lattice (R, C), linear along both axes."""
    columns = across.astype(np.intp)
    share = across - columns
    wide = values[:, columns] * (1 - share) + values[:, columns + 1] * share
    rows = down.astype(np.intp)
    share = (down - rows)[:, None]
    return np.asarray(wide[rows] * (1 - share) + wide[rows + 1] * share)
