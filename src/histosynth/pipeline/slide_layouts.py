"""Layouts of whole slides: drawn from a model, and written as files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..annotation.field_files import DensityField
from ..annotation.layout_empty import empty_path_of
from ..annotation.layout_files import LAYOUT_SUFFIX, FileLayout, write_layout
from ..annotation.layout_geojson import write_layout_geojson
from ..annotation.regions import Region, regions_geojson
from ..annotation.slide_nuclei import MAX_COORDINATE_PX
from ..core.arrays import Float64Array
from ..core.errors import BadOption, NotWritable
from ..core.folder_lock import share_folder
from ..core.geometry import Box, Size
from ..core.marking import save_options
from ..core.own_files import OwnFiles
from ..core.progress import ProgressCallback, ignore_progress
from ..core.sheet import class_colour
from ..core.tile import Pixels
from ..tissue.layouts.drawn_layout import LIKENESSES, DrawnLayout, Likeness
from ..tissue.layouts.given_fields import GivenDensities
from ..tissue.layouts.ground_fields import without_tissue_at
from ..tissue.layouts.model import CELL_UM, SHIPPED_LAYOUTS, LayoutModel, read_layouts
from ..tissue.layouts.outlines import empty_outlines
from ..tissue.layouts.position_noise import Places
from ..tissue.layouts.slide_rows import HUNDREDTHS, SlideRows
from ..tissue.layouts.trained_densities import DensityTally, density_warnings
from .layout_fields import given_field, held_field

MAX_REACH_UM = 60.0
"""Of the forces: moves in lattices of a longer one would take minutes a window."""
MPP_RANGE = (0.1, 4.0)
_PART_CELLS = 400
"""A side of what is drawn at once: 4 mm."""
_ROUNDING = 1e-6
_THUMBNAIL_PX = 1024
_TISSUE = (247, 226, 235)
_GLASS = (255, 255, 255)


@dataclass(frozen=True)
class LayoutFiles:
    """What `sample_layout` wrote.

    Attributes:
        out: Parquet file of the nuclei.
        empty: GeoJSON of the regions without tissue; None: there are none.
        thumbnail: PNG of the nuclei as dots.
        geojson: nuclei for QuPath; None: not wanted.
        nuclei: how many of each class.
        warnings: sentences on places denser than what the network in the package was trained on.
    """

    out: Path
    empty: Path | None
    thumbnail: Path
    geojson: Path | None
    nuclei: dict[str, int]
    warnings: tuple[str, ...] = ()


def draw_slide_layout(
    size: tuple[int, int] | None = None,
    *,
    mpp: float = 0.5,
    seed: int = 0,
    like: Likeness = "slide",
    model: Path | str | LayoutModel = SHIPPED_LAYOUTS,
    field: Path | str | DensityField | None = None,
) -> DrawnLayout:
    """Nuclei of a slide of any size, drawn a window at a time.

    Each window is the crop of the whole, bit for bit, and costs the same wherever it is.

    Args:
        size: (width, height) px; None: what a field in TIFF covers.
        mpp: micrometres per pixel, 0.1 to 4.
        seed: source of all randomness.
        like: "slide": tissue on glass, regions of millimetres, glands; "model": the model's
            densities alone, everywhere.
        model: of the layouts, or its file; by default the one in the package, of breast.
        field: density maps in place of drawn ones: TIFF of `read_field`, or .npz of
            `read_densities`.

    Raises:
        BadOption: a size, scale, or likeness that cannot be drawn.
        BadLayouts: the file is no model.
        BadField: the maps cannot be used, or are not of this slide.
    """
    _check_options(mpp, like)
    if size is None:
        field = held_field(field)
        size = _size_of(field, mpp)
    _check_size(size)
    if not isinstance(model, LayoutModel):
        model = read_layouts(Path(model))
    if model.reach_um > MAX_REACH_UM:
        raise BadOption(
            "--model",
            f"of a reach of {model.reach_um:g} um",
            f"a model of which forces reach {MAX_REACH_UM:g} um at most",
        )
    densities = None
    digest_of_maps = ""
    if field is not None:
        found = given_field(
            field,
            model,
            (size[0] * mpp, size[1] * mpp),
        )
        densities = GivenDensities(*found)
        digest_of_maps = hashlib.sha256(found[0].tobytes() + repr(found[1]).encode()).hexdigest()
    return DrawnLayout(
        model,
        size,
        mpp=mpp,
        seed=seed,
        like=like,
        densities=densities,
        densities_digest=digest_of_maps,
    )


def sample_layout(
    layout: DrawnLayout,
    out: Path,
    *,
    geojson: bool = False,
    on_progress: ProgressCallback = ignore_progress,
) -> LayoutFiles:
    """Draw a whole slide's nuclei into files next to each other, in flat memory.

    Args:
        layout: see `draw_slide_layout`.
        out: `NAME.parquet`; `NAME.png` shows it, `NAME.empty.geojson` holds the regions without
            tissue.
        geojson: also write `NAME.geojson`, nuclei for QuPath.
        on_progress: called with parts of the slide.

    Raises:
        BadOption: `out` does not end in .parquet.
        NotWritable: files cannot be written, or regions of another layout are in the way.
    """
    if out.suffix != LAYOUT_SUFFIX:
        raise BadOption("--out", out.name, f"a name that ends in {LAYOUT_SUFFIX}")
    thumbnail_path = out.with_suffix(".png")
    empty_path = empty_path_of(out)
    geojson_path = out.with_suffix(".geojson") if geojson else None
    names = [out.name, thumbnail_path.name, empty_path.name]
    if geojson_path:
        names.append(geojson_path.name)
    regions = _regions_of(layout)
    with share_folder(out.parent, names):
        own = OwnFiles(out.parent)
        own.refuse_foreign(names)

        def writing(path: Path) -> AbstractContextManager[Path]:
            return own.writing(path.name)

        if not regions and empty_path.exists():
            raise NotWritable(empty_path, "it holds regions of another layout, and this has none")
        picture = _Thumbnail(layout)
        write_layout(
            out,
            _parts(
                layout,
                picture,
                on_progress,
            ),
            classes=layout.classes,
            size=layout.size,
            mpp=layout.mpp,
            facts=_facts(layout),
            writing=writing,
        )
        if regions:
            own.write_texts({empty_path.name: regions_geojson(regions)})
        with writing(thumbnail_path) as temporary:
            _save_png(
                temporary,
                picture.pixels(),
                layout,
            )
        if geojson_path:
            written = FileLayout(out)
            write_layout_geojson(
                geojson_path,
                (written.group(number) for number in range(written.groups)),
                classes=layout.classes,
                colours=_colours(layout.classes),
                writing=writing,
            )
    return LayoutFiles(
        out,
        empty_path if regions else None,
        thumbnail_path,
        geojson_path,
        dict(
            zip(
                layout.classes,
                picture.totals.tolist(),
                strict=True,
            )
        ),
        density_warnings(picture.tally, layout.classes),
    )


def _size_of(field: Path | str | DensityField | None, mpp: float) -> tuple[int, int]:
    """Whole pixels that a field covers."""
    if not isinstance(field, DensityField):
        raise BadOption("--size", "missing", "W or WxH px: a --field in TIFF alone states its own")
    width, height = (int(side / mpp + _ROUNDING) for side in field.size_um)
    return width, height


def _check_size(size: tuple[int, int]) -> None:
    for side in size:
        if not 1 <= side < MAX_COORDINATE_PX:
            raise BadOption("--size", f"{size[0]}x{size[1]}", f"sides of 1 to {MAX_COORDINATE_PX}")


def _check_options(mpp: float, like: str) -> None:
    least, most = MPP_RANGE
    if not least <= mpp <= most:
        raise BadOption("--mpp", f"{mpp:g}", f"{least:g} to {most:g} um/px")
    if like not in LIKENESSES:
        raise BadOption(
            "--like",
            like,
            " or ".join(LIKENESSES),
        )


def _colours(classes: tuple[str, ...]) -> dict[str, tuple[int, int, int]]:
    return {name: class_colour(class_id) for class_id, name in enumerate(classes)}


def _facts(layout: DrawnLayout) -> dict[str, Any]:
    return {
        "synthetic": True,
        "seed": layout.seed,
        "like": layout.like,
        "layout": layout.digest,
    }


def _parts(
    layout: DrawnLayout,
    picture: _Thumbnail,
    on_progress: ProgressCallback,
) -> Iterator[SlideRows]:
    """Nuclei of squares of the slide, row by row."""
    slide = Box(
        0,
        0,
        *layout.size,
    )
    columns, rows = (int(np.ceil(side * layout.mpp / CELL_UM)) for side in layout.size)
    places = []
    for row in range(
        0,
        rows,
        _PART_CELLS,
    ):
        for column in range(
            0,
            columns,
            _PART_CELLS,
        ):
            places.append((column, row))
    for done, (column, row) in enumerate(places):
        on_progress(done, len(places))
        shape = (min(_PART_CELLS, rows - row), min(_PART_CELLS, columns - column))
        part = layout.rows((column, row), shape).inside(slide)
        picture.add(part)
        yield part
    on_progress(len(places), len(places))


def _regions_of(layout: DrawnLayout) -> list[Region]:
    regions = []
    for outline in empty_outlines(layout):
        rings = [tuple(map(tuple, ring.tolist())) for ring in outline.rings]
        name = "lumen" if outline.is_lumen else "glass"
        regions.append(
            Region(
                name,
                rings[0],
                tuple(rings[1:]),
            )
        )
    return regions


class _Thumbnail:
    """A picture of dots that grows with the parts of a layout."""

    def __init__(self, layout: DrawnLayout) -> None:
        self._layout = layout
        self._step = max(1.0, max(layout.size) / _THUMBNAIL_PX)
        width, height = (int(np.ceil(side / self._step)) for side in layout.size)
        self._size = Size(width, height)
        self._counts = np.zeros((len(layout.classes), height, width), np.int32)
        self.tally = DensityTally(
            layout.classes,
            layout.size,
            layout.mpp,
        )

    @property
    def totals(self) -> Float64Array:
        """(K,) nuclei of each class."""
        return np.asarray(self._counts.sum(axis=(1, 2)))

    def add(self, rows: SlideRows) -> None:
        """Count the nuclei of a part."""
        self.tally.add_rows(rows)
        width, height = self._size
        x = ((rows.x / HUNDREDTHS + 0.5) / self._step).astype(np.intp).clip(0, width - 1)
        y = ((rows.y / HUNDREDTHS + 0.5) / self._step).astype(np.intp).clip(0, height - 1)
        np.add.at(
            self._counts,
            (rows.class_ids, y, x),
            1,
        )

    def pixels(self) -> Pixels:
        """(H, W, 3): tissue, and the mean colour of the nuclei of each pixel."""
        width, height = self._size
        ground = np.tile(np.array(_TISSUE, np.float64), (height, width, 1))
        step_um = self._step * self._layout.mpp
        places = Places.of_cells(
            (0, 0),
            (height, width),
            step_um,
        )
        values = without_tissue_at(self._layout.densities, places)
        if values is not None:
            ground[values > 0] = _GLASS
        total = self._counts.sum(axis=0)
        mixed = np.zeros_like(ground)
        for class_id, counts in enumerate(self._counts):
            mixed += counts[:, :, None] * np.array(class_colour(class_id))
        dense = max(1.0, 3000e-6 * (self._step * self._layout.mpp) ** 2)
        share = (total / dense).clip(0, 1)[:, :, None]
        mixed /= np.maximum(total, 1)[:, :, None]
        pixels: Pixels = (ground * (1 - share) + mixed * share).astype(np.uint8)
        return pixels


def _save_png(path: Path, pixels: Pixels, layout: DrawnLayout) -> None:
    step = layout.size.width / pixels.shape[1]
    recipe = {**_facts(layout), "mpp": layout.mpp * step}
    Image.fromarray(pixels).save(
        path,
        "PNG",
        **save_options("PNG", recipe),
    )
