"""Pieces painted on any engine: the bytes are the same for any number of workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..annotation.regions import Region
from ..core.arrays import Float64Array
from ..core.geometry import Box
from ..core.progress import ProgressCallback
from ..core.slide_layout import SlideLayout
from ..engine import Engine
from ..engine.local import LocalEngine
from ..engine.threads import one_thread
from ..model.bundle import Bundle
from ..model.opening import open_same_bundle
from ..sampling.painter import SamplingSettings
from ..slides import Slide, open_slide
from ..tensors.device import dtype_name
from .patches import PatchedSlide, PatchFiles, PatchPlace, patch_path, read_patch, write_patch
from .pieces import PieceWork, canvas_box, paint_piece, painted_scale
from .plan import MendPiece, MendPlan

LEAST_ENGINE_PX = 3_000_000
"""Less tissue, px of the bundle's scale, is painted before other processes have begun."""
_opened: dict[PiecePlaces, tuple[Slide, Bundle]] = {}
"""At most one: the slide and the networks that this process works on."""


@dataclass(frozen=True)
class PiecePlaces:
    """Where a process finds what it paints with.

    Attributes:
        slide: the file.
        mpp: of the slide.
        bundle: folder of the networks.
        sha256: of the bundle, so that no worker uses another one.
        device: where to compute.
        dtype: number type.
    """

    slide: Path
    mpp: float
    bundle: Path
    sha256: str
    device: str
    dtype: str

    def opened(self) -> tuple[Slide, Bundle]:
        """The slide and the networks, opened once in a process.

        Raises:
            BadWeights: the bundle is no longer the one that the run began with.
        """
        if self not in _opened:
            bundle = open_same_bundle(
                self.bundle,
                self.sha256,
                device=self.device,
                dtype=self.dtype,
            )
            self.keep(open_slide(self.slide, mpp=self.mpp), bundle)
        return _opened[self]

    def keep(self, slide: Slide, bundle: Bundle) -> None:
        """Take these, opened from there."""
        _opened.clear()
        _opened[self] = (slide, bundle)


@dataclass(frozen=True, eq=False)
class PieceItem:
    """A piece to paint, with all of the plan that it depends on. Other processes receive it.

    Attributes:
        number: of the piece.
        piece: what to paint.
        plan: its regions alone are those that reach into the canvas of the piece.
        before: patches of earlier pieces that reach into it.
    """

    number: int
    piece: MendPiece
    plan: MendPlan
    before: tuple[PatchPlace, ...]


@dataclass(frozen=True, eq=False)
class PiecePainting:
    """Paints pieces, each to its file.

    Attributes:
        places: of slide and networks.
        folder: of the patches.
        settings: how to sample.
        seed: of all that is drawn.
        nuclei: given ones of the slide; None: they are drawn.
    """

    places: PiecePlaces
    folder: Path
    settings: SamplingSettings
    seed: int
    nuclei: SlideLayout | None

    def do(self, item: PieceItem) -> None:
        """Paint a piece and write its patch, whole or not at all.

        Raises:
            BadRegions: too little known tissue is around.
        """
        slide, bundle = self.places.opened()
        work = PieceWork(
            item.plan,
            bundle,
            self.settings,
            self.seed,
            self.nuclei,
        )
        with one_thread():
            patch = paint_piece(
                work,
                PatchedSlide(slide, PatchFiles(item.before)),
                item.piece,
            )
        write_patch(patch_path(self.folder, item.number), patch)


@dataclass(eq=False)
class PieceItems:
    """All pieces of a plan as items.

    Attributes:
        plan: of the slide.
        folder: of the patches.
        factor: level-0 pixels per pixel that is painted.
    """

    plan: MendPlan
    folder: Path
    factor: float
    _canvases: list[Box] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._canvases = [
            canvas_box(
                piece.box,
                self.plan,
                self.factor,
            )
            for piece in self.plan.pieces
        ]

    def places(self) -> list[PatchPlace]:
        """Where the patches of all pieces lie."""
        return [
            PatchPlace(patch_path(self.folder, number), piece.box)
            for number, piece in enumerate(self.plan.pieces)
        ]

    def before(self) -> list[list[int]]:
        """For each piece the earlier ones that it shows as known tissue."""
        boxes = _corners([piece.box for piece in self.plan.pieces])
        found = []
        for number, canvas in enumerate(self._canvases):
            earlier = _meeting(boxes[:number], canvas)
            found.append(earlier)
        return found

    def canvas_px(self, numbers: Sequence[int]) -> float:
        """What is read and painted for some pieces, px of the bundle's scale."""
        areas = [self._canvases[number].width * self._canvases[number].height for number in numbers]
        return sum(areas) / self.factor**2

    def items(self, numbers: Sequence[int]) -> Iterator[PieceItem]:
        """Those of some pieces."""
        places = self.places()
        before = self.before()
        bounds = _bounds(self.plan.regions)
        for number in numbers:
            canvas = self._canvases[number]
            near = [self.plan.regions[index] for index in _meeting(bounds, canvas)]
            plan = replace(
                self.plan,
                regions=tuple(near),
                pieces=(),
            )
            yield PieceItem(
                number,
                self.plan.pieces[number],
                plan,
                tuple(places[index] for index in before[number]),
            )


def _corners(boxes: Sequence[Box]) -> Float64Array:
    """(N, 4) left, top, right and bottom."""
    rows = [(box.x, box.y, box.right, box.bottom) for box in boxes]
    return np.array(rows, np.float64).reshape(-1, 4)


def _bounds(regions: Sequence[Region]) -> Float64Array:
    """(N, 4) left, top, right and bottom of polygons, a pixel added."""
    rows: list[Any] = []
    for region in regions:
        outline = np.array(region.outline, np.float64)
        rows.append([*(outline.min(axis=0) - 1), *(outline.max(axis=0) + 1)])
    return np.array(rows, np.float64).reshape(-1, 4)


def _meeting(corners: Float64Array, box: Box) -> list[int]:
    """Rows of corners that share something with a box."""
    left, top, right, bottom = corners.T
    is_near = (left < box.right) & (right > box.x) & (top < box.bottom) & (bottom > box.y)
    return [int(index) for index in np.flatnonzero(is_near)]


def piece_painting(
    work: PieceWork,
    slide: Slide,
    folder: Path,
    bundle: Path,
) -> PiecePainting:
    """The painting of a run; this process goes on with what it has opened.

    Args:
        work: what all pieces share.
        slide: the original.
        folder: of the patches.
        bundle: folder of the networks.
    """
    places = PiecePlaces(
        slide.path.absolute(),
        slide.mpp,
        bundle.absolute(),
        work.bundle.info.sha256,
        str(work.bundle.device),
        dtype_name(work.bundle.unet.dtype),
    )
    places.keep(slide, work.bundle)
    return PiecePainting(
        places,
        folder,
        work.settings,
        work.seed,
        work.nuclei,
    )


def paint_pieces(
    painting: PiecePainting,
    plan: MendPlan,
    engine: Engine,
    on_progress: ProgressCallback,
) -> PatchFiles:
    """The patches of all pieces; those that an earlier run wrote are kept.

    Args:
        painting: how to paint.
        plan: of the slide.
        engine: where the work is done.
        on_progress: called with (done, all) pieces.
    """
    slide, bundle = painting.places.opened()
    items = PieceItems(
        plan,
        painting.folder,
        painted_scale(slide.mpp, bundle.info.mpp),
    )
    places = items.places()
    missing = [
        number for number, place in enumerate(places) if read_patch(place.path, place.box) is None
    ]
    order = {number: index for index, number in enumerate(missing)}
    before = items.before()
    after = [[order[each] for each in before[number] if each in order] for number in missing]
    done = len(places) - len(missing)
    on_progress(done, len(places))
    is_little = len(missing) < 2 or items.canvas_px(missing) < LEAST_ENGINE_PX
    chosen = LocalEngine() if is_little else engine
    for _ in chosen.map(
        painting.do,
        list(items.items(missing)),
        after=after,
    ):
        done += 1
        on_progress(done, len(places))
    return PatchFiles(places)
