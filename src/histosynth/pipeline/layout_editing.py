"""Layouts of slides changed: nuclei of a class added, thinned or removed in a region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..annotation.layout_empty import SlideEmptyRegions, empty_path_of
from ..annotation.layout_files import LAYOUT_SUFFIX, FileLayout, write_layout
from ..annotation.layout_geojson import HeldLayout
from ..annotation.regions import regions_geojson
from ..core.arrays import BoolArray, Float64Array
from ..core.errors import BadOption, NotWritable
from ..core.folder_lock import share_folder
from ..core.geometry import Box
from ..core.own_files import OwnFiles
from ..core.paths import real_path
from ..core.progress import ProgressCallback, ignore_progress
from ..core.slide_layout import origin_of
from ..tissue.layouts.added_nuclei import added_rows, cells_around, local_per_mm2, near_border
from ..tissue.layouts.model import CELL_UM, LayoutModel, read_layouts
from ..tissue.layouts.slide_rows import HUNDREDTHS, SlideRows, joined_rows
from ..tissue.layouts.slide_structure import lining_class
from ..tissue.layouts.trained_densities import DensityTally, density_warnings
from ..tissue.position_hash import hashed_places
from .layout_edits import LayoutEdit, check_edits, check_on_slide
from .layout_fields import layout_parts

_PART_CELLS = 200
_DENSE_EPITHELIUM = 1000.0
"""Nuclei per mm2 from which on ground counts as epithelium."""
_THIN = 23
FileOrHeld = FileLayout | HeldLayout


@dataclass(frozen=True)
class EditedLayout:
    """What `edit_layout` wrote.

    Attributes:
        out: Parquet file.
        added: nuclei that were added, by class.
        removed: nuclei that were removed, by class.
        nuclei: number of nuclei in the file.
        warnings: sentences on places denser than what the network in the package was trained on.
    """

    out: Path
    added: dict[str, int]
    removed: dict[str, int]
    nuclei: int
    warnings: tuple[str, ...]


def edit_layout(
    layout: FileOrHeld,
    out: Path,
    edits: Sequence[LayoutEdit],
    *,
    region: SlideEmptyRegions | None = None,
    border_um: float | None = None,
    model: LayoutModel | None = None,
    seed: int = 0,
    on_progress: ProgressCallback = ignore_progress,
) -> EditedLayout:
    """Change the nuclei of a slide; those outside the region stay as they are.

    Nuclei are removed by a hash of seed and position, and added ones are laid by density and moved
    by the model's forces among the others, which stay.

    Args:
        layout: of the slide.
        out: `NAME.parquet`.
        edits: all of them are of the densities that the layout has before.
        region: polygons inside which nuclei change; None: everywhere.
        border_um: only so near to the border of dense epithelium; None: not limited.
        model: of the forces; None: the one in the package.
        seed: source of all randomness.
        on_progress: called with parts of the slide.

    Raises:
        BadOption, UnknownClasses: an edit that cannot be made.
        NotWritable: files cannot be written, or regions of another layout are in the way.
    """
    if out.suffix != LAYOUT_SUFFIX:
        raise BadOption(
            "--out",
            out.name,
            f"a name that ends in {LAYOUT_SUFFIX}",
        )
    if isinstance(layout, FileLayout) and real_path(out) == real_path(layout.path):
        raise BadOption("--out", out.name, "another file than the layout that is edited")
    if region is not None:
        check_on_slide(
            region,
            layout.size,
        )
    model = model or read_layouts()
    editor = _Editor(
        layout,
        model,
        tuple(edits),
        region=region,
        border_um=border_um,
        seed=seed,
    )
    empty_path = empty_path_of(out)
    empty = layout.empty_regions
    with share_folder(
        out.parent,
        [out.name, empty_path.name],
    ):
        own = OwnFiles(out.parent)
        own.refuse_foreign([out.name, empty_path.name])
        if empty is None and empty_path.exists():
            raise NotWritable(
                empty_path,
                "it holds regions of another layout, and this has none",
            )
        total = write_layout(
            out,
            editor.parts(on_progress),
            classes=layout.classes,
            size=layout.size,
            mpp=layout.mpp,
            facts={
                "synthetic": True,
                "edited_from": layout.digest,
                "origin": origin_of(layout),
                "edits": [[each.action, each.name, each.factor] for each in edits],
                "seed": seed,
            },
            writing=lambda path: own.writing(path.name),
        )
        if empty is not None:
            own.write_texts({empty_path.name: regions_geojson(empty.regions)})
    return EditedLayout(
        out,
        editor.added,
        editor.removed,
        total,
        density_warnings(
            editor.tally,
            layout.classes,
        ),
    )


class _Editor:
    """Goes through a slide in parts."""

    def __init__(
        self,
        layout: FileOrHeld,
        model: LayoutModel,
        edits: tuple[LayoutEdit, ...],
        *,
        region: SlideEmptyRegions | None,
        border_um: float | None,
        seed: int,
    ) -> None:
        check_edits(
            edits,
            layout.classes,
            model,
            border_um,
        )
        self._adds = [edit for edit in edits if edit.action != "thin"]
        self._thins = [edit for edit in edits if edit.action == "thin"]
        self._layout = layout
        self._model = model.of_classes(layout.classes) if self._adds else model
        self._region = region
        self._border_um = border_um
        self._seed = seed
        self._means = self._mean_per_mm2() if self._adds else np.zeros(len(layout.classes))
        self.added = dict.fromkeys(
            layout.classes,
            0,
        )
        self.removed = dict.fromkeys(
            layout.classes,
            0,
        )
        self.tally = DensityTally(
            layout.classes,
            layout.size,
            layout.mpp,
        )

    def parts(self, on_progress: ProgressCallback) -> Iterator[SlideRows]:
        """The nuclei of the changed slide, a rectangle at a time."""
        width, height = (
            int(np.ceil(side * self._layout.mpp / CELL_UM)) for side in self._layout.size
        )
        places = []
        for row in range(
            0,
            height,
            _PART_CELLS,
        ):
            for column in range(
                0,
                width,
                _PART_CELLS,
            ):
                places.append((column, row))
        for done, first in enumerate(places):
            on_progress(
                done,
                len(places),
            )
            part = self._part(first)
            self.tally.add_rows(part)
            yield part
        on_progress(
            len(places),
            len(places),
        )

    def _part(self, first: tuple[int, int]) -> SlideRows:
        box = self._box(
            first,
            (_PART_CELLS, _PART_CELLS),
        )
        before = self._rows(box)
        if self._region is not None and not self._region.touches(box):
            return before
        kept = self._thinned(
            before,
            box,
        )
        if not self._adds:
            return kept
        new = self._added(
            first,
            box,
        )
        if not len(new):
            return kept
        if before.shapes is not None:
            shapes = np.full(
                (len(new), 3),
                np.nan,
                np.float32,
            )
            new = SlideRows(
                new.x,
                new.y,
                new.class_ids,
                shapes,
            )
        return joined_rows([kept, new])

    def _thinned(self, rows: SlideRows, box: Box) -> SlideRows:
        keep = np.ones(
            len(rows),
            np.bool_,
        )
        for edit in self._thins:
            class_id = self._layout.classes.index(edit.name)
            words = hashed_places(
                self._seed + _THIN,
                rows.x,
                rows.y,
                count=1,
            )[0]
            drawn = (words >> np.uint64(11)).astype(np.float64) / 2.0**53
            keep &= ~(
                (rows.class_ids == class_id)
                & (drawn >= edit.factor)
                & self._inside(
                    rows,
                    box,
                )
            )
        if self._border_um is not None and not keep.all():
            keep |= ~self._is_near(
                rows,
                box,
            )
        self._count(
            self.removed,
            rows.take(~keep),
        )
        return rows.take(keep)

    def _added(self, first: tuple[int, int], box: Box) -> SlideRows:
        around = cells_around(self._model)
        corner = (first[0] - around, first[1] - around)
        side = _PART_CELLS + 2 * around
        outer = self._box(
            corner,
            (side, side),
        )
        present = self._rows(outer)
        kept = present
        per_mm2 = self._densities(
            kept,
            corner,
            side,
        )
        if not per_mm2.any():
            return SlideRows.none()
        new = added_rows(
            self._model,
            per_mm2,
            corner,
            present,
            mpp=self._layout.mpp,
            seed=self._seed,
        ).inside(box)
        new = new.take(
            self._inside(
                new,
                box,
            )
        )
        self._count(
            self.added,
            new,
        )
        return new

    def _densities(
        self,
        rows: SlideRows,
        corner: tuple[int, int],
        side: int,
    ) -> Float64Array:
        """(K, side, side) of what is added."""
        classes = self._layout.classes
        local = local_per_mm2(
            rows,
            len(classes),
            corner,
            (side, side),
            self._layout.mpp,
        )
        out = np.zeros_like(local)
        for edit in self._adds:
            class_id = classes.index(edit.name)
            base = local[class_id] if edit.action == "raise" else self._means[class_id]
            out[class_id] += (edit.factor - 1) * base
        out *= self._cells_inside(
            corner,
            side,
        )
        if self._border_um is not None:
            lining = local[lining_class(classes) or 0]
            out *= near_border(
                lining,
                least_per_mm2=_DENSE_EPITHELIUM,
                within_um=self._border_um,
            )
        return out

    def _cells_inside(self, corner: tuple[int, int], side: int) -> BoolArray:
        """(side, side) cells whose centre is on the slide, in the region, and on tissue."""
        px = CELL_UM / self._layout.mpp
        centres_x = (np.arange(side) + corner[0] + 0.5) * px
        centres_y = (np.arange(side) + corner[1] + 0.5) * px
        width, height = self._layout.size
        inside = ((centres_y >= 0) & (centres_y < height))[:, None]
        inside = inside & ((centres_x >= 0) & (centres_x < width))
        left, top = corner[0] * px, corner[1] * px
        if self._region is not None:
            inside &= self._region.cells(
                (left, top),
                (side, side),
                px,
            )
        empty = self._layout.empty_regions
        if empty is not None:
            inside &= ~empty.cells(
                (left, top),
                (side, side),
                px,
            )
        return np.asarray(inside)

    def _inside(self, rows: SlideRows, box: Box) -> BoolArray:
        """(N,) whether nuclei lie in the region, to a pixel, and not in places without tissue."""
        column = (np.rint(rows.x / HUNDREDTHS).astype(np.intp) - box.x).clip(
            0,
            box.width - 1,
        )
        row = (np.rint(rows.y / HUNDREDTHS).astype(np.intp) - box.y).clip(
            0,
            box.height - 1,
        )
        inside = np.ones(
            len(rows),
            np.bool_,
        )
        if self._region is not None and len(rows):
            inside &= self._region.inside(box)[row, column]
        empty = self._layout.empty_regions
        if empty is not None and empty.touches(box) and len(rows):
            inside &= ~empty.inside(box)[row, column]
        return inside

    def _is_near(self, rows: SlideRows, box: Box) -> BoolArray:
        """(N,) whether nuclei lie near the border of epithelium."""
        px = CELL_UM / self._layout.mpp
        margin = int(np.ceil((self._border_um or 0.0) / CELL_UM)) + 8
        corner = (int(box.x // px) - margin, int(box.y // px) - margin)
        side = _PART_CELLS + 2 * margin
        local = local_per_mm2(
            self._rows(
                self._box(
                    corner,
                    (side, side),
                )
            ),
            len(self._layout.classes),
            corner,
            (side, side),
            self._layout.mpp,
        )
        near = near_border(
            local[lining_class(self._layout.classes) or 0],
            least_per_mm2=_DENSE_EPITHELIUM,
            within_um=self._border_um or 0.0,
        )
        column = ((rows.x / HUNDREDTHS + 0.5) / px).astype(np.intp) - corner[0]
        row = ((rows.y / HUNDREDTHS + 0.5) / px).astype(np.intp) - corner[1]
        return np.asarray(
            near[
                row.clip(
                    0,
                    side - 1,
                ),
                column.clip(
                    0,
                    side - 1,
                ),
            ]
        )

    def _rows(self, box: Box) -> SlideRows:
        return self._layout.rows_inside(box)

    def _box(self, first: tuple[int, int], shape: tuple[int, int]) -> Box:
        """Pixels of some cells; every pixel is in one part."""
        px = CELL_UM / self._layout.mpp
        left, top = (round(place * px) for place in first)
        right = round((first[0] + shape[1]) * px)
        bottom = round((first[1] + shape[0]) * px)
        return Box(
            left,
            top,
            right - left,
            bottom - top,
        )

    def _mean_per_mm2(self) -> Float64Array:
        """(K,) over squares of the slide that hold nuclei: over tissue."""
        classes = len(self._layout.classes)
        counts = np.zeros(classes + 1)
        squares = set()
        side = 100.0 / self._layout.mpp
        for rows in layout_parts(self._layout):
            ids = np.minimum(
                rows.class_ids,
                classes,
            )
            counts += np.bincount(
                ids,
                minlength=classes + 1,
            )
            column = (rows.x / HUNDREDTHS // side).astype(np.int64)
            row = (rows.y / HUNDREDTHS // side).astype(np.int64)
            squares.update(np.unique(row << 32 | column & 0xFFFFFFFF).tolist())
        area_mm2 = (
            max(
                len(squares),
                1,
            )
            * 0.01
        )
        return np.asarray(counts[:-1] / area_mm2)

    def _count(self, counts: dict[str, int], rows: SlideRows) -> None:
        known = rows.class_ids[rows.class_ids < len(self._layout.classes)]
        numbers = np.bincount(
            known,
            minlength=len(self._layout.classes),
        )
        for name, number in zip(
            self._layout.classes,
            numbers.tolist(),
            strict=True,
        ):
            counts[name] += number
