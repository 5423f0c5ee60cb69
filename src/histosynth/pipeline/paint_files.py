"""`paint` on files: a layout from a file, or drawn and written beside the slide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..annotation.layout_empty import read_slide_empty
from ..annotation.layout_files import LAYOUT_SUFFIX
from ..core.errors import BadOption
from ..core.geometry import Box, Size
from ..core.progress import ProgressCallback, ignore_progress
from ..core.slide_layout import SlideLayout
from ..core.units import check_mpp_option
from ..slides.writing import WRITTEN_SUFFIXES, Encoding, check_slide_format
from ..tissue.layouts.drawn_layout import DrawnLayout
from .layout_source import open_layout_file
from .layout_warnings import LayoutSurvey
from .paint import Painted, PaintOptions, paint
from .painted_tiles import TileCutting
from .slide_layouts import LayoutFiles, draw_slide_layout, sample_layout

DEFAULT_MPP = 0.5
_SCALE_SHARE = 1e-3


def _ignore_size(width: int, height: int) -> None:
    """Do nothing."""


def _ignore_warning(sentence: str) -> None:
    """Say nothing."""


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
        if self.regions is not None and self.nuclei.suffix.lower() == LAYOUT_SUFFIX:
            raise BadOption(
                "--regions",
                self.regions,
                f"left out: those of {self.nuclei.name} are in the .empty.geojson beside it",
            )
        return open_layout_file(
            self.nuclei,
            size=self.size,
            mpp=self.mpp,
            class_map=self.classes,
            empty=None if self.regions is None else read_slide_empty(self.regions),
        )

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


@dataclass(frozen=True)
class PaintedFiles:
    """A slide, and the layout that was drawn for it.

    Attributes:
        painted: the slide.
        layout: files of the layout; None: it was given, or only a region was painted.
        warnings: sentences on what is unlike training, or not there at all.
    """

    painted: Painted
    layout: LayoutFiles | None
    warnings: tuple[str, ...] = ()


def paint_files(
    source: LayoutSource,
    out: Path,
    *,
    appearance: str | None = None,
    options: PaintOptions | None = None,
    bundle: Path | None = None,
    on_size: Callable[[int, int], None] = _ignore_size,
    on_drawn: ProgressCallback = ignore_progress,
    on_painted: ProgressCallback = ignore_progress,
    on_written: ProgressCallback = ignore_progress,
    on_cut: ProgressCallback = ignore_progress,
    on_warning: Callable[[str], None] = _ignore_warning,
) -> PaintedFiles:
    """Paint a slide from files; a layout that is drawn is written beside it, less of a region.

    Args:
        source: of the nuclei.
        out: `NAME.ome.tiff` or `NAME.dicom`; a drawn layout is `NAME.parquet`, with its picture,
            its regions without tissue and GeoJSON for QuPath.
        appearance: a palette name or a reference picture.
        options: how to sample, what to write, and where.
        bundle: its folder; None: the compact one.
        on_size: called with width and height of what is painted, px, before it begins.
        on_drawn: called with parts of the layout.
        on_painted: called with (done, all) pieces of work.
        on_written: called with (done, all) blocks of the file.
        on_cut: called with (done, all) blocks of tiles.
        on_warning: called with sentences on the layout, those of a given one before it is painted.

    Raises:
        HistosynthError: see `paint` and `LayoutSource.open`.
    """
    options = options or PaintOptions()
    check_slide_format(out, Encoding(options.codec, options.quality))
    seeded = replace(source, seed=options.sampling.seed)
    layout = seeded.open()
    found: tuple[str, ...] = ()
    if not isinstance(layout, DrawnLayout):
        survey = LayoutSurvey(layout, options.region)
        found = survey.warnings(of_shipped_bundle=bundle is None)
    for sentence in found:
        on_warning(sentence)
    area = options.region or Box(0, 0, *layout.size)
    on_size(area.width, area.height)
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
        for sentence in files.warnings:
            on_warning(sentence)
        found = files.warnings
    return PaintedFiles(
        painted,
        files,
        found,
    )


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
