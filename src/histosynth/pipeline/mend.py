"""`mend`: a slide with spoilt places in, the same slide with synthetic tissue there out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..annotation.regions import Region, regions_geojson
from ..core.errors import BadOption, BadRegions, ScaleMismatch
from ..core.geometry import Size
from ..core.line_of_facts import line_of_facts
from ..core.number_format import counted
from ..core.paths import real_path
from ..core.progress import ProgressCallback, ignore_progress
from ..core.seeds import check_seed
from ..core.slide_layout import LayoutOfClasses, SlideLayout
from ..core.store import sha256_of
from ..core.version import __version__
from ..engine import EngineOptions
from ..sampling.options import SamplingOptions
from .paint import engine_for
from .paint_files import LayoutSource
from .slide_artefacts import AUTO_ARTIFACTS, check_artefact_classes, regions_to_mend

if TYPE_CHECKING:
    from ..model.bundle import Bundle
    from ..patching.output import LevelProof
    from ..patching.pieces import PieceWork
    from ..patching.plan import MendPlan
    from ..sampling.painter import SamplingSettings
    from ..slides import Slide
    from ..slides.carrying import CarriedSlide

DRAWN_NUCLEI_TIME = 0.4
"""When places of drawn nuclei leave the tissue that a region starts from (docs/log.md)."""
_MOST_LISTED = 500
_APERIO = "aperio"


@dataclass(frozen=True)
class MendOptions:
    """How a slide is mended.

    Attributes:
        sampling: seed, steps, guidance, solver, exemplar, grain, device and dtype.
        only: classes of artefacts; empty: the usual ones, and all regions of a file.
        mpp: of the slide where it states none or a wrong one.
        rewrite: "": tiles are carried over; "deflate" or "zstd": all is written anew, without loss.
        nuclei: of the whole slide, as `paint` takes them; None: drawn as those around.
        classes: class map (TOML) for `nuclei`.
        engine: where regions are painted; the bytes are the same on any, with any number of
            workers.
    """

    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    only: tuple[str, ...] = ()
    mpp: float | None = None
    rewrite: str = ""
    nuclei: Path | None = None
    classes: Path | None = None
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class MendResult:
    """The result of `mend`.

    Attributes:
        path: of the slide.
        geojson: of the polygons of all that is synthetic.
        size: of the slide, px.
        mpp: of the slide, micrometres per pixel.
        regions: how many of each class were given or found.
        left_out: how many that were found are too wide to be painted.
        painted_px: pixels of level 0 that are synthetic.
        levels: what was compared on each level; empty where the slide was there.
        was_there: an earlier run had finished it.
        seconds: that this run took.
        recipe: plain values that say what was done.
    """

    path: Path
    geojson: Path
    size: Size
    mpp: float
    regions: Mapping[str, int]
    left_out: int
    painted_px: int
    levels: tuple[LevelProof, ...]
    was_there: bool
    seconds: float
    recipe: Mapping[str, Any]

    def __repr__(self) -> str:
        width, height = self.size
        facts = [
            f"{width:,} x {height:,} px",
            counted(sum(self.regions.values()), "region", "regions"),
            f"file {str(self.path)!r}",
        ]
        return line_of_facts("MendResult", facts)

    @property
    def needs_svs(self) -> bool:
        """Whether OpenSlide would open the slide in the form of an SVS only."""
        is_jpeg2000 = str(self.recipe["source"]["codec"]).startswith("JPEG 2000")
        is_carried = self.recipe["written"] == "carried"
        return is_carried and is_jpeg2000 and self.path.suffix.lower() != ".svs"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "out": str(self.path),
            "geojson": str(self.geojson),
            "size": list(self.size),
            "mpp": self.mpp,
            "regions": dict(self.regions),
            "left_out": self.left_out,
            "painted_px": self.painted_px,
            "levels": [level.as_dict() for level in self.levels],
            "was_there": self.was_there,
            "seconds": round(self.seconds, 3),
            "recipe": dict(self.recipe),
        }


def mend(
    slide: Path | str,
    out: Path | str,
    *,
    artifacts: Path | str | Sequence[Region] = AUTO_ARTIFACTS,
    options: MendOptions | None = None,
    bundle: Path | str | None = None,
    on_found: ProgressCallback = ignore_progress,
    on_painted: ProgressCallback = ignore_progress,
    on_written: ProgressCallback = ignore_progress,
) -> MendResult:
    """Put synthetic tissue in place of folds, pen, bubbles, tears and blur of a real slide.

    Everywhere else the new slide is equal to the old one after decoding; tiles that hold no region
    are the same bytes. Lower levels are mended too. Label and macro picture are not carried over.

    Args:
        slide: the file.
        out: `NAME.ome.tiff`, or of an Aperio slide `NAME.svs`; its parts lie beside it until it is
            finished, and `NAME.synthetic.geojson` holds all that is synthetic.
        artifacts: "auto": they are looked for; a GeoJSON of polygons, or polygons, in level-0 px.
        options: how to sample and to write.
        bundle: its folder; None: the compact one.
        on_found: called with (done, all) steps of looking for artefacts.
        on_painted: called with (done, all) pieces of work.
        on_written: called with (done, all) tiles.

    Raises:
        BadOption: an option cannot be used.
        BadRegions: none, beyond the slide, or so wide that nothing known is near.
        UnreadableImage: the slide cannot be read, or its tiles cannot be carried over.
        WorkerLost: workers died again and again.
        MissingScale, ConflictingScales, ScaleMismatch: its scale is missing, or too coarse.
        NotWritable: `out` holds something else, cannot be written, or there is no room.
        ResumeMismatch: an earlier run began something else there.
    """
    from ..model.opening import open_bundle
    from ..patching.pieces import PieceWork, painted_scale
    from ..patching.plan import CORE_PX, check_regions, make_plan
    from ..patching.run import MendJob, MendProgress, counts_by_class, write_mend
    from ..patching.tile_checks import TouchedTiles, check_touched_tiles
    from ..slides import open_slide

    began = time.monotonic()
    options = options or MendOptions()
    only = tuple(name.lower() for name in options.only)
    source = Path(slide)
    target = real_path(Path(out))
    _check_options(source, target, options)
    is_found = isinstance(artifacts, str) and artifacts == AUTO_ARTIFACTS
    if is_found:
        check_artefact_classes(only)
    opened = open_slide(source, mpp=options.mpp)
    carried = _carried(opened, options.rewrite)
    _check_form(target, opened, carried)
    size = Size(opened.levels[0].width, opened.levels[0].height)
    folder = _bundle_folder(bundle)
    networks = open_bundle(
        folder,
        device=options.sampling.device,
        dtype=options.sampling.dtype,
    )
    _check_scale(opened.mpp, networks)
    regions = regions_to_mend(opened, artifacts, only, on_found)
    check_regions(regions, size)
    grid = (1, 1) if carried is None else carried.levels[0].grid
    core_px = round(CORE_PX * painted_scale(opened.mpp, networks.info.mpp))
    regions, left_out = _paintable(regions, opened, is_found=is_found)
    plan = make_plan(
        regions,
        size,
        grid=grid,
        mpp=opened.mpp,
        core_px=core_px,
    )
    touched = check_touched_tiles(carried, plan) if carried else TouchedTiles()
    work = PieceWork(
        plan,
        networks,
        _settings(networks, options),
        options.sampling.seed,
        _nuclei(options, size, opened.mpp, networks),
    )
    recipe = _recipe_of(work, opened, options, carried)
    outcome = write_mend(
        MendJob(
            opened,
            carried,
            options.rewrite,
            work,
            recipe,
            folder,
            engine_for(options.engine, str(networks.device)).open(),
            touched,
        ),
        target,
        MendProgress(on_painted, on_written),
    )
    opened.close()
    return MendResult(
        target,
        outcome.geojson,
        size,
        opened.mpp,
        counts_by_class(regions),
        left_out,
        plan.painted_px,
        outcome.proofs,
        outcome.was_there,
        time.monotonic() - began,
        recipe,
    )


def _bundle_folder(bundle: Path | str | None) -> Path:
    from ..core.shipped import COMPACT

    return COMPACT if bundle is None else Path(bundle)


def _check_options(
    source: Path,
    target: Path,
    options: MendOptions,
) -> None:
    from ..patching.output import is_svs_name
    from ..patching.rewriting import REWRITES
    from ..slides.writing.formats import OME_SUFFIXES

    is_svs = is_svs_name(target)
    if not is_svs and not target.name.lower().endswith(OME_SUFFIXES):
        wanted = "a name that ends in .ome.tiff, or for an Aperio slide in .svs"
        raise BadOption("--out", target.name, wanted)
    if is_svs and options.rewrite:
        wanted = "a name that ends in .ome.tiff where the slide is written anew (--rewrite)"
        raise BadOption("--out", target.name, wanted)
    options.engine.open()  # refuses what cannot be used before any work
    check_seed(options.sampling.seed)
    if real_path(source) == target:
        raise BadOption("--out", target.name, "another file than the slide")
    if options.rewrite and options.rewrite not in REWRITES:
        raise BadOption("--rewrite", options.rewrite, f"one of {', '.join(REWRITES)}")
    if options.classes is not None and options.nuclei is None:
        raise BadOption("--classes", options.classes, "given with --nuclei")
    if options.sampling.label is not None:
        allowed = "left out: tissue goes on as that around"
        raise BadOption("the label", options.sampling.label, allowed)


def _carried(slide: Slide, rewrite: str) -> CarriedSlide | None:
    from ..slides.carrying import open_carried

    return None if rewrite else open_carried(slide)


def _check_form(
    target: Path,
    slide: Slide,
    carried: CarriedSlide | None,
) -> None:
    """Refuse a form of file in which readers would not show the slide.

    Raises:
        BadOption: with the other one.
    """
    from ..patching.output import is_svs_name
    from ..slides.carrying import shows_as_aperio_only

    is_svs = is_svs_name(target)
    if is_svs and slide.facts.make != _APERIO:
        wanted = "a name that ends in .ome.tiff, since the slide is no Aperio SVS but "
        raise BadOption("--out", target.name, wanted + (slide.facts.make or "a plain picture"))
    if carried is not None and not is_svs and shows_as_aperio_only(carried):
        wanted = (
            f"a name that ends in .svs: the colours of its {carried.codec} are shown by readers "
            "of Aperio slides alone"
        )
        raise BadOption("--out", target.name, wanted)


def _check_scale(mpp: float, bundle: Bundle) -> None:
    """Refuse slides so coarse that what is painted would be finer than they are.

    Raises:
        ScaleMismatch: naming both scales.
    """
    info = bundle.info
    if mpp > info.mpp * (1 + info.mpp_tolerance):
        raise ScaleMismatch(mpp, info.mpp, info.mpp_tolerance)


def _paintable(
    regions: list[Region],
    slide: Slide,
    *,
    is_found: bool,
) -> tuple[list[Region], int]:
    """Without regions that were found and are too wide; of given ones all."""
    from ..patching.plan import is_too_wide

    if not is_found:
        return regions, 0
    kept = [region for region in regions if not is_too_wide(region, slide.mpp)]
    if not kept:
        raise BadRegions(
            f"All {len(regions):,} places that were found are too wide to be painted.",
            "Scan the slide again, or draw regions in QuPath and give --artifacts FILE.geojson.",
        )
    return kept, len(regions) - len(kept)


def _nuclei(
    options: MendOptions,
    size: Size,
    mpp: float,
    bundle: Bundle,
) -> SlideLayout | None:
    if options.nuclei is None:
        return None
    source = LayoutSource(
        options.nuclei,
        size,
        mpp,
        None,
        options.classes,
    )
    return LayoutOfClasses(source.open(), bundle.info.classes)


def _settings(bundle: Bundle, options: MendOptions) -> SamplingSettings:
    """How to sample; places of nuclei that nobody stated are followed less than copied tissue."""
    from ..sampling.settings import settings_for

    settings = settings_for(bundle, "complete", options.sampling)
    if options.nuclei is not None:
        return settings
    return replace(settings, nuclei_time=DRAWN_NUCLEI_TIME)


def _recipe_of(
    work: PieceWork,
    slide: Slide,
    options: MendOptions,
    carried: CarriedSlide | None,
) -> dict[str, Any]:
    """Plain values of all that decides the pixels; no name of a file, which may name a patient."""
    from ..patching.pieces import painted_scale
    from ..sampling.provenance import LOCAL, bundle_facts, settings_facts

    plan = work.plan
    info = work.bundle.info
    area = plan.size.width * plan.size.height
    factor = painted_scale(slide.mpp, info.mpp)
    return {
        "histosynth": __version__,
        "verb": "mend",
        "synthetic": True,
        "extent": "regions",
        "synthetic_share": round(plan.painted_px / area, 8),
        "bundle": bundle_facts(work.bundle, LOCAL if LOCAL in work.bundle.adapters else None),
        "seed": work.seed,
        "settings": settings_facts(work.settings, info)
        | {"exemplar": work.settings.exemplar, "nuclei_time": work.settings.nuclei_time},
        "painted_mpp": slide.mpp * factor,
        "mpp": slide.mpp,
        "source": {
            "sha256": sha256_of(slide.path),
            "size": list(plan.size),
            "codec": slide.facts.compression if carried is None else carried.codec,
        },
        "written": "carried" if carried is not None else options.rewrite,
        "regions": _region_facts(plan),
        "nuclei": None if work.nuclei is None else {"sha256": work.nuclei.digest},
    }


def _region_facts(plan: MendPlan) -> dict[str, Any]:
    from ..core.store import digest
    from ..patching.run import counts_by_class

    boxes = [
        [", ".join(piece.names), piece.box.x, piece.box.y, piece.box.width, piece.box.height]
        for piece in plan.pieces[:_MOST_LISTED]
    ]
    return {
        "counts": counts_by_class(plan.regions),
        "sha256": digest(regions_geojson(plan.regions)),
        "painted_px": plan.painted_px,
        "boxes": boxes,
    }
