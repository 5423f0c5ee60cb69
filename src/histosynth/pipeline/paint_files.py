"""`paint` on files: a layout from a file, or drawn and written beside the slide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..annotation.class_map import read_class_map
from ..annotation.layout_empty import SlideEmptyRegions, read_slide_empty
from ..annotation.layout_files import LAYOUT_SUFFIX, open_layout
from ..annotation.layout_geojson import read_layout
from ..core.errors import BadOption, MissingScale
from ..core.geometry import Size
from ..core.progress import ProgressCallback, ignore_progress
from ..core.slide_layout import SlideLayout
from ..core.units import check_mpp_option
from ..slides.writing import WRITTEN_SUFFIXES, Encoding, check_slide_format
from ..tissue.layouts.drawn_layout import DrawnLayout
from .paint import Painted, PaintOptions, paint
from .painted_tiles import TileCutting
from .slide_layouts import LayoutFiles, draw_slide_layout, sample_layout

DEFAULT_MPP = 0.5
_SCALE_SHARE = 1e-3


@dataclass(frozen=True)
class LayoutSource:
    """Where the nuclei of a slide come from.

    Attributes:
        nuclei: Parquet from `layout sample`, or any form of nuclei; None: they are drawn.
        size: of the slide, px; None: that of the Parquet file.
        mpp: of the slide; None: that of the Parquet file, or 0.5 um/px where nuclei are drawn.
        regions: GeoJSON of regions without tissue; None: those beside a Parquet file.
        classes: class map (TOML) for files of nuclei of other forms.
        like: of drawn nuclei, see `draw_slide_layout`.
        seed: of drawn nuclei.
    """

    nuclei: Path | None = None
    size: Size | None = None
    mpp: float | None = None
    regions: Path | None = None
    classes: Path | None = None
    like: Literal["slide", "model"] = "slide"
    seed: int = 0

    def open(self) -> SlideLayout:
        """The layout.

        Raises:
            BadOption, MissingScale: size or scale is missing, or not
                that of the file.
            BadNuclei, BadRegions: a file cannot be used.
        """
        if self.mpp is not None:
            check_mpp_option(self.mpp)
        if self.nuclei is None:
            return self._drawn()
        if self.nuclei.suffix.lower() == LAYOUT_SUFFIX:
            return self._from_parquet(self.nuclei)
        return self._from_nuclei(self.nuclei)

    def _drawn(self) -> DrawnLayout:
        if self.size is None:
            raise BadOption("--size", "missing", "WxH px where nuclei are drawn, e.g. 8192x8192")
        if self.regions is not None:
            raise BadOption("--regions", self.regions, "given together with --nuclei")
        return draw_slide_layout(
            self.size,
            mpp=self.mpp or DEFAULT_MPP,
            seed=self.seed,
            like=self.like,
        )

    def _from_parquet(self, path: Path) -> SlideLayout:
        if self.regions is not None:
            raise BadOption(
                "--regions",
                self.regions,
                f"left out: those of {path.name} are in the .empty.geojson beside it",
            )
        layout = open_layout(path)
        if self.size is not None and self.size != layout.size:
            wanted = f"{self.size.width}x{self.size.height}"
            found = f"{layout.size.width}x{layout.size.height}, as {path.name} states"
            raise BadOption("--size", wanted, found)
        if self.mpp is not None and abs(self.mpp / layout.mpp - 1) > _SCALE_SHARE:
            raise BadOption("--mpp", self.mpp, f"{layout.mpp:g}, as {path.name} states")
        return layout

    def _from_nuclei(self, path: Path) -> SlideLayout:
        if self.size is None:
            raise BadOption("--size", "missing", f"that of the slide of {path.name}, WxH px")
        if self.mpp is None:
            raise MissingScale(path.name)
        return read_layout(
            path,
            size=self.size,
            mpp=self.mpp,
            mapping=self._mapping(),
            empty=self._regions(),
        )

    def _mapping(self) -> Mapping[str, str] | None:
        return None if self.classes is None else read_class_map(self.classes)

    def _regions(self) -> SlideEmptyRegions | None:
        return None if self.regions is None else read_slide_empty(self.regions)


@dataclass(frozen=True)
class PaintedFiles:
    """A slide, and the layout that was drawn for it.

    Attributes:
        painted: the slide.
        layout: files of the layout; None: it was given, or only a region was painted.
    """

    painted: Painted
    layout: LayoutFiles | None


def paint_files(
    source: LayoutSource,
    out: Path,
    *,
    appearance: str | None = None,
    options: PaintOptions | None = None,
    bundle: Path | None = None,
    on_drawn: ProgressCallback = ignore_progress,
    on_painted: ProgressCallback = ignore_progress,
    on_written: ProgressCallback = ignore_progress,
    on_cut: ProgressCallback = ignore_progress,
) -> PaintedFiles:
    """Paint a slide from files; a layout that is drawn is written beside it, less of a region.

    Args:
        source: of the nuclei.
        out: `NAME.ome.tiff` or `NAME.dicom`; a drawn layout is `NAME.parquet`, with its picture,
            its regions without tissue and GeoJSON for QuPath.
        appearance: a palette name or a reference picture.
        options: how to sample, what to write, and where.
        bundle: its folder; None: the compact one.
        on_drawn: called with parts of the layout.
        on_painted: called with (done, all) pieces of work.
        on_written: called with (done, all) blocks of the file.
        on_cut: called with (done, all) blocks of tiles.

    Raises:
        HistosynthError: see `paint` and `LayoutSource.open`.
    """
    options = options or PaintOptions()
    check_slide_format(out, Encoding(options.codec, options.quality))
    seeded = replace(source, seed=options.sampling.seed)
    layout = seeded.open()
    painted = paint(
        layout,
        out,
        appearance=appearance,
        options=options,
        bundle=bundle,
        on_painted=on_painted,
        on_written=on_written,
        on_cut=on_cut,
    )
    files = None
    if isinstance(layout, DrawnLayout) and options.region is None:
        files = sample_layout(
            layout,
            layout_path(painted.path),
            geojson=True,
            on_progress=on_drawn,
        )
    return PaintedFiles(painted, files)


def tile_cutting(
    folder: Path | None,
    size: int | None,
    min_tissue: float | None,
    split: str | None = None,
) -> TileCutting | None:
    """How tiles are cut; values that are None are the defaults.

    Raises:
        BadOption: a value out of its range, or given without a folder.
    """
    given = {
        "--tile-size": size,
        "--tile-tissue": min_tissue,
        "--tile-split": split,
    }
    stated = [name for name, value in given.items() if value is not None]
    if folder is None:
        if stated:
            raise BadOption("--tiles", "missing", f"a folder where {stated[0]} is given")
        return None
    cutting = TileCutting(folder)
    if size is not None:
        cutting = replace(cutting, size=size)
    if min_tissue is not None:
        cutting = replace(cutting, min_tissue=min_tissue)
    if split is not None:
        cutting = replace(cutting, split=split)
    return cutting


def layout_path(out: Path) -> Path:
    """The file of a drawn layout beside its slide."""
    for suffix in WRITTEN_SUFFIXES:
        if out.name.lower().endswith(suffix):
            return out.with_name(out.name[: -len(suffix)] + LAYOUT_SUFFIX)
    return out.with_suffix(LAYOUT_SUFFIX)
