"""`histosynth mend`: synthetic tissue in place of what spoils a real slide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import BadOption
from ..core.number_format import counted
from ..engine import EngineOptions
from ..sampling.options import SamplingOptions
from .options import (
    Address,
    BundlePath,
    ClassMap,
    Device,
    Dtype,
    EngineName,
    Grain,
    Guidance,
    Json,
    Quiet,
    Seed,
    SolverName,
    Steps,
    Workers,
    parse_path,
    split_names,
)
from .output import Output

_UM2_PER_MM2 = 1e6


def mend(
    slide: Annotated[
        Path,
        typer.Argument(
            parser=parse_path,
            metavar="SLIDE",
            help="SVS, TIFF, OME-TIFF, ...; it is not changed.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            parser=parse_path,
            help="NAME.ome.tiff, or of an Aperio slide NAME.svs; with --find-only NAME.geojson.",
        ),
    ],
    artifacts: Annotated[
        str,
        typer.Option(
            metavar="auto|PATH",
            help="auto: they are looked for; or GeoJSON of polygons drawn in QuPath.",
        ),
    ] = "auto",
    only: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Classes, e.g. pen,fold: of pen, fold, bubble, blur (looked for), and tear "
            "(looked for where it is named).",
        ),
    ] = "",
    find_only: Annotated[
        bool,
        typer.Option("--find-only", help="Write the GeoJSON of what is found, and paint nothing."),
    ] = False,
    nuclei: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="PATH",
            help="Nuclei of the whole slide (default: they go on as those around).",
        ),
    ] = None,
    classes: ClassMap = None,
    mpp: Annotated[
        float | None,
        typer.Option(help="Micrometres per pixel, where the slide states none or a wrong one."),
    ] = None,
    rewrite: Annotated[
        str,
        typer.Option(
            metavar="CODEC",
            help="deflate or zstd: write all pixels anew without loss, for slides whose tiles "
            "cannot be carried over.",
        ),
    ] = "",
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    solver: SolverName = None,
    grain: Grain = True,
    bundle: BundlePath = None,
    engine: EngineName = "pool",
    workers: Workers = None,
    address: Address = None,
    device: Device = None,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put synthetic tissue in place of folds, pen, bubbles, tears and blur of a slide.

    Everywhere else the new slide is equal after decoding, and tiles without a region are the same
    bytes: both are compared before it appears. Run the same command again to go on after a stop;
    the bytes are the same on any engine, with any number of workers.

    Example: histosynth mend slide.svs --out slide.ome.tiff
    """
    from ..pipeline.mend import MendOptions
    from ..pipeline.mend import mend as run
    from ..pipeline.slide_artefacts import AUTO_ARTIFACTS, find_slide_artefacts

    output = Output(as_json, quiet)
    names = split_names(only)
    if find_only:
        if artifacts != AUTO_ARTIFACTS:
            allowed = f"{AUTO_ARTIFACTS} with --find-only, which looks for them"
            raise BadOption("--artifacts", artifacts, allowed)
        with output.progress("looking") as on_progress:
            found = find_slide_artefacts(
                slide,
                out,
                only=names,
                mpp=mpp,
                on_progress=on_progress,
            )
        listed = _by_class(found.regions)
        lines = [
            f"{found.path}: {listed}, {found.area_mm2:.3f} mm2 ({found.share:.2%} of the slide)"
        ]
        output.done(found.as_dict(), lines, part="find")
        return
    options = MendOptions(
        SamplingOptions(
            seed=seed,
            steps=steps,
            guidance=guidance,
            solver=solver,
            grain=grain,
            device=device,
            dtype=dtype,
        ),
        names,
        mpp,
        rewrite,
        nuclei,
        classes,
        EngineOptions(engine, workers, address),
    )
    with output.bars("looking", "painting", "writing") as (on_found, on_painted, on_written):
        result = run(
            slide,
            out,
            artifacts=artifacts,
            options=options,
            bundle=bundle,
            on_found=on_found,
            on_painted=on_painted,
            on_written=on_written,
        )
    area = result.painted_px * result.mpp**2 / _UM2_PER_MM2
    state = "was there already" if result.was_there else f"written in {result.seconds:,.0f} s"
    lines = [
        f"{result.path}: {_by_class(result.regions)}, {area:.3f} mm2 are synthetic, {state}",
        f"{result.geojson}: all that is synthetic, for QuPath",
    ]
    if result.left_out:
        lines.append(f"{counted(result.left_out, 'place is', 'places are')} too wide, and left")
    if result.needs_svs:
        lines.append("OpenSlide opens JPEG 2000 in an SVS only: --out NAME.svs")
    for number, level in enumerate(result.levels):
        lines.append(
            f"level {number}: {counted(level.touched, 'tile', 'tiles')} touched, {level.carried:,} "
            f"carried over; px that differ outside: {level.differing_px}"
        )
    output.done(result.as_dict(), lines)


def _by_class(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
