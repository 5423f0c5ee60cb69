"""`paint`: nuclei of a whole slide in, or none; a pyramidal slide out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import BadOption, UnknownClasses
from ..core.geometry import Box, Size
from ..core.line_of_facts import line_of_facts
from ..core.paths import real_path
from ..core.pictures import PictureInput
from ..core.progress import ProgressCallback, ignore_progress
from ..core.seeds import check_seed
from ..core.slide_layout import LayoutOfClasses, SlideLayout, origin_of
from ..core.version import __version__
from ..engine import EngineOptions
from ..sampling.options import SamplingOptions
from ..tissue.appearance import Appearance
from ..tissue.layouts.drawn_layout import DrawnLayout
from .layout_warnings import LayoutSurvey
from .painted_tiles import PaintedTiles, TileCutting, TilesOfSlide, write_painted_tiles

if TYPE_CHECKING:
    from ..model.bundle import Bundle
    from ..painting.scene import Scene
    from ..slides.writing import Encoding

DEFAULT_ENGINE = EngineOptions("pool")


@dataclass(frozen=True)
class PaintOptions:
    """How a slide is painted and written.

    Attributes:
        sampling: label, seed, steps, guidance, solver, grain, device and dtype.
        region: the part that is written, px of the slide; None: all of it.
        codec: of the tiles, see `slides.writing.CODECS`.
        quality: of JPEG.
        engine: where the work is done.
        tiles: a tile set of the slide to write when it is painted; None: none.
    """

    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    region: Box | None = None
    codec: str = "jpeg"
    quality: int = 90
    engine: EngineOptions = DEFAULT_ENGINE
    tiles: TileCutting | None = None


@dataclass(frozen=True)
class Painted:
    """The result of `paint`.

    Attributes:
        path: of the slide.
        size: of it, px.
        mpp: of it, micrometres per pixel.
        was_there: an earlier run had finished it.
        seconds: that this run took.
        recipe: plain values that paint it again.
        tiles: the tile set that was cut from it; None: none.
    """

    path: Path
    size: Size
    mpp: float
    was_there: bool
    seconds: float
    recipe: Mapping[str, Any]
    tiles: PaintedTiles | None = None

    def __repr__(self) -> str:
        width, height = self.size
        facts = [f"{width:,} x {height:,} px", f"{self.mpp:g} um/px", f"file {str(self.path)!r}"]
        return line_of_facts("Painted", facts)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "out": str(self.path),
            "size": list(self.size),
            "mpp": self.mpp,
            "was_there": self.was_there,
            "seconds": round(self.seconds, 3),
            "recipe": dict(self.recipe),
            "tiles": None if self.tiles is None else self.tiles.as_dict(),
        }


def paint(
    layout: SlideLayout,
    out: Path | str,
    *,
    appearance: PictureInput | Appearance | None = None,
    options: PaintOptions | None = None,
    bundle: Path | str | None = None,
    on_painted: ProgressCallback = ignore_progress,
    on_written: ProgressCallback = ignore_progress,
    on_cut: ProgressCallback = ignore_progress,
) -> Painted:
    """Paint a slide, or a region of it, as a tiled pyramid: OME-TIFF, or DICOM.

    A region holds the pixels of the same region of the whole slide, and costs what its own area
    costs. The pixels are the same on any engine, with any number of workers and after any stop.

    Args:
        layout: nuclei of the slide, and where there is no tissue: from `open_layout` or
            `draw_slide_layout`; its size and scale are the slide's.
        out: the file, `NAME.ome.tiff`, or `NAME.dicom` for a folder of DICOM files, one a level
            (`histosynth[dicom]`); its parts lie beside it until it is finished.
        appearance: whose stain and style to take, see `synthesize`.
        options: how to sample, what to write, and where.
        bundle: its folder; None: the compact one.
        on_painted: called with (done, all) pieces of work.
        on_written: called with (done, all) blocks of the file.
        on_cut: called with (done, all) blocks of tiles.

    Raises:
        BadOption: an option cannot be used.
        NeedsExtra: DICOM is wanted, and pydicom is not installed.
        UnknownClasses, ScaleMismatch, UnknownLabel: the nuclei or the label do not fit the bundle.
        NotWritable: `out` or the folder of tiles holds something else, cannot be written, or there
            is no room.
        ResumeMismatch: an earlier run began to paint something else there.
    """
    from ..core.store import digest
    from ..painting.hue_pilot import slide_appearance
    from ..painting.opened import open_scene
    from ..painting.phases import phased_plan
    from ..painting.pieces import Painting
    from ..painting.run import PaintProgress, paint_slide, parts_folder
    from ..painting.work_list import Area
    from ..slides.writing import (
        Encoding,
        Pyramid,
        SlideDescription,
        SlideParts,
        check_slide_format,
    )

    began = time.monotonic()
    options = options or PaintOptions()
    out = real_path(Path(out))
    encoding = Encoding(options.codec, options.quality)
    check_slide_format(out, encoding)
    area = _region_of(options.region, layout.size)
    options.engine.open()  # refuses what cannot be used before any work
    scene = scene_of(
        layout,
        appearance,
        options.sampling,
        bundle,
    )
    scene = _with_one_hue(scene, slide_appearance(open_scene(scene)))
    recipe = scene.recipe | {
        "region": [area.x, area.y, area.width, area.height],
        "encoding": _encoding_facts(encoding),
    }
    tiles = _tiles_of(options, out, layout, recipe)
    engine = engine_for(options.engine, scene.bundle.device).open()
    parts = SlideParts(
        parts_folder(out),
        Pyramid(area.size),
        encoding,
        digest(recipe),
    )
    painting = Painting(
        scene,
        Area(area, parts.pyramid.block_px),
        parts,
        phased_plan(scene.settings).count,
    )
    painted = paint_slide(
        painting,
        out,
        SlideDescription(layout.mpp, recipe),
        engine=engine,
        progress=PaintProgress(on_painted, on_written),
    )
    return Painted(
        out,
        area.size,
        layout.mpp,
        painted.was_there,
        time.monotonic() - began,
        recipe,
        None if tiles is None else write_painted_tiles(tiles, on_progress=on_cut),
    )


def _tiles_of(
    options: PaintOptions,
    out: Path,
    layout: SlideLayout,
    recipe: Mapping[str, Any],
) -> TilesOfSlide | None:
    """The tiles that are wanted of the slide, after a check that they can be written.

    Raises:
        BadOption, NotWritable: they cannot.
    """
    if options.tiles is None:
        return None
    tiles = TilesOfSlide(
        options.tiles,
        out,
        layout,
        recipe,
        options.sampling.label or "",
    )
    tiles.check()
    return tiles


def engine_for(wanted: EngineOptions, device: str) -> EngineOptions:
    """One process where nothing else is stated and a GPU works: a worker a core would fill it."""
    is_stated = wanted.name != DEFAULT_ENGINE.name or wanted.workers is not None
    if is_stated or device == "cpu":
        return wanted
    return EngineOptions("local")


def _region_of(region: Box | None, size: Size) -> Box:
    """The pixels to write.

    Raises:
        BadOption: they are not all on the slide.
    """
    whole = Box(
        0,
        0,
        *size,
    )
    if region is None:
        return whole
    if region.intersect(whole) != region:
        found = f"{region.x},{region.y},{region.width},{region.height}"
        raise BadOption(
            "--region",
            found,
            f"inside the slide of {size.width} x {size.height} px",
        )
    return region


def scene_of(
    layout: SlideLayout,
    appearance: PictureInput | Appearance | None,
    options: SamplingOptions,
    bundle: Path | str | None,
) -> Scene:
    """All that decides the slide's pixels, checked against the bundle.

    Raises:
        BadOption, UnknownClasses, ScaleMismatch, UnknownLabel: something does not fit.
    """
    from ..core.shipped import COMPACT
    from ..model.opening import open_bundle
    from ..painting.opened import keep_bundle
    from ..painting.scene import BundlePlace, Scene
    from ..sampling.few_steps import with_few_steps
    from ..sampling.provenance import adapter_of_verb, regions_adapter
    from ..sampling.settings import resolve_appearance, settings_for
    from ..tensors.device import dtype_name

    check_seed(options.seed)
    folder = COMPACT if bundle is None else Path(bundle)
    opened = open_bundle(
        folder,
        device=options.device,
        dtype=options.dtype,
    )
    _check_decoder(folder, opened)
    _check_unclassified(layout, opened)
    layout = _with_classes(layout, opened)
    opened.label_index(options.label)
    settings = settings_for(
        opened,
        "synthesize",
        options,
    )
    has_empty = (
        layout.empty(
            Box(
                0,
                0,
                1,
                1,
            )
        )
        is not None
    )
    wanted = regions_adapter(opened) if has_empty else adapter_of_verb("synthesize")
    adapter, settings = with_few_steps(
        opened,
        wanted,
        settings,
    )
    place = BundlePlace(
        folder,
        opened.info.sha256,
        adapter if adapter in opened.adapters else None,
        str(opened.device),
        dtype_name(opened.unet.dtype),
    )
    keep_bundle(place, opened)
    scene = Scene(
        place,
        settings,
        options.seed,
        layout.size,
        layout,
        resolve_appearance(appearance, opened),
        options.label,
        {},
    )
    return replace(scene, recipe=_recipe_of(scene, opened))


def _check_decoder(folder: Path, bundle: Bundle) -> None:
    """Refuse a decoder that looks at whole pictures: plots of a slide would differ in tone.

    Raises:
        BadOption: it does.
    """
    from ..model.inner_decoding import decoder_reach
    from ..painting.pixels import DECODER_REACH_CELLS

    reach = decoder_reach(bundle.autoencoder)
    if reach is None or reach > DECODER_REACH_CELLS:
        looks = "at whole pictures" if reach is None else f"{reach} latent cells far"
        raise BadOption(
            "--bundle",
            folder.name,
            f"one whose decoder looks at most {DECODER_REACH_CELLS} latent cells far, like that of "
            f"the compact bundle: this one looks {looks}, and parts of a slide would differ in "
            "tone",
        )


def _check_unclassified(layout: SlideLayout, bundle: Bundle) -> None:
    """Refuse nuclei without a class where the bundle has learnt none.

    Raises:
        UnknownClasses: there are some.
    """
    if bundle.info.any_class or isinstance(layout, DrawnLayout):
        return
    unknown = LayoutSurvey(layout).unknown_classes
    if unknown:
        raise UnknownClasses(unknown, bundle.info.classes)


def _with_classes(layout: SlideLayout, bundle: Bundle) -> SlideLayout:
    """The layout with the bundle's classes.

    Raises:
        UnknownClasses, ScaleMismatch: it does not fit the bundle.
    """
    from ..sampling.batches import check_scale

    check_scale(layout.mpp, bundle.info)
    if layout.classes == bundle.info.classes:
        return layout
    return LayoutOfClasses(layout, bundle.info.classes)


def _recipe_of(scene: Scene, bundle: Bundle) -> dict[str, Any]:
    """Plain values of all that decides the pixels, before the pilot tiles of the hue."""
    from ..painting.scene import FORMAT
    from ..sampling.provenance import appearance_facts, bundle_facts, settings_facts

    return {
        "histosynth": __version__,
        "verb": "paint",
        "synthetic": True,
        "extent": "slide",
        "format": FORMAT,
        "bundle": bundle_facts(bundle, scene.bundle.adapter),
        "seed": scene.seed,
        "settings": settings_facts(scene.settings, bundle.info),
        "slide_size": list(scene.size),
        "mpp": scene.layout.mpp,
        "label": scene.label,
        "layout": _layout_facts(scene.layout),
        "appearance": appearance_facts(scene.appearance),
    }


def _layout_facts(layout: SlideLayout) -> dict[str, str]:
    facts = {"sha256": layout.digest}
    origin = origin_of(layout)
    if origin != layout.digest:
        facts["origin"] = origin
    return facts


def _with_one_hue(scene: Scene, appearance: Appearance) -> Scene:
    """The scene with one change of hue for all of the slide, which its recipe states."""
    from ..sampling.provenance import rounded
    from ..tissue.hue import HueShift

    facts = None
    if isinstance(appearance.hue, HueShift):
        facts = {
            "top": appearance.hue.top,
            "shift": rounded(appearance.hue.shift.ravel()),
        }
    recipe = scene.recipe | {"hue_shift": facts}
    return replace(
        scene,
        appearance=appearance,
        recipe=recipe,
    )


def _encoding_facts(encoding: Encoding) -> dict[str, Any]:
    if encoding.is_lossless:
        return {"codec": encoding.codec}
    return {
        "codec": encoding.codec,
        "quality": encoding.quality,
        "chroma": encoding.chroma,
    }
