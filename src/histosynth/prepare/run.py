"""`prepare run`: slides ──► survey ──► tiles ──► rows, on any engine, resumable piece by piece.

slide files ──► survey (tissue, grid, stain) ──┐  one piece of work a slide
                 all surveys ──► target stain ─┤  the one place where slides meet
patients ──► splits ───────────────────────────┤
                                               ▼
        chunks of tiles ──► read, judge, find nuclei, restain ──► one Parquet file each
                                               ▼
                             overview and contact sheet, prepare.json
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core import recipe as recipes
from ..core.errors import BadRecipe, HistosynthError
from ..core.progress import ProgressCallback
from ..core.store import ensure_folder, write_json, write_text
from ..core.tile import read_rgb
from ..detectors.opening import detector_name, open_artefact_gate
from ..engine import Engine
from .folder import alone, remember, sweep
from .grid import Grid, lay_grid
from .jobs import ChunkJob, SurveyJob, make_chunk, make_survey, opened
from .patients import Source, find_sources, labels_of
from .preview_files import write_previews
from .recipe import PrepareRecipe
from .rows import Facts
from .split import split_patients
from .stain import Stain, fit_stain, medoid, stain_from_dict
from .summary import summary_of
from .survey import Survey

CHUNK_PX = 12 << 20
"""Pixels of the tiles of one file: so few that a lost worker loses little, and that they fit its
memory."""
NUCLEI_SUFFIXES = (".csv", ".geojson", ".json")


def _no_tick(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class PrepareProgress:
    """Who wants to know of slides looked at, and of tiles made."""

    surveyed: ProgressCallback = _no_tick
    tiled: ProgressCallback = _no_tick


@dataclass(frozen=True)
class Prepared:
    """What a run came to.

    Attributes:
        out: the folder.
        made, found: Parquet files written by this run, and found finished.
        summary: what `prepare.json` says.
    """

    out: Path
    made: int
    found: int
    summary: dict[str, Any]


def read_prepare_recipe(path: Path) -> PrepareRecipe:
    """Read a preparation recipe.

    Raises:
        BadRecipe: with all its problems.
    """
    return recipes.load(path, PrepareRecipe)


def prepare(
    recipe: PrepareRecipe,
    out: Path,
    *,
    here: Path,
    engine: Engine,
    watch: PrepareProgress | None = None,
) -> Prepared:
    """Turn slides into a tile set, going on where an earlier run stopped.

    Args:
        recipe: what is wanted.
        out: folder of the set.
        here: folder that the recipe's paths start from.
        engine: where the work is done.
        watch: told of progress.

    Raises:
        NoFiles, BadTable, BadRecipe: the recipe's slides, table or target cannot be used.
        ResumeMismatch: `out` was begun with another recipe.
        NotWritable: `out` cannot be written.
    """
    watch = watch or PrepareProgress()
    sources = find_sources(recipe, here)
    target = _given_target(recipe, here)
    _check_artefact(recipe, here)
    _check_folders(recipe, here)
    ensure_folder(out)
    with alone(out):
        return _prepare(
            recipe,
            sources,
            out,
            here=here,
            engine=engine,
            watch=watch,
            target=target,
        )


def _prepare(
    recipe: PrepareRecipe,
    sources: Sequence[Source],
    out: Path,
    *,
    here: Path,
    engine: Engine,
    watch: PrepareProgress,
    target: Stain | None,
) -> Prepared:
    labels = labels_of(sources)
    detector = detector_name(recipe.nuclei.source)
    remember(recipe, out)
    surveys, refused = _survey(
        recipe,
        sources,
        out,
        here=here,
        engine=engine,
        on_progress=watch.surveyed,
    )
    if target is None and recipe.stain.method != "none":
        stains = [each.stain for each in surveys.values() if each.stain]
        target = medoid(stains) if stains else None
    splits = split_patients(labels, recipe.split.as_dict(), seed=recipe.seed)
    jobs = [
        job
        for source in sources
        if source.name in surveys
        for job in _chunks(
            recipe,
            source,
            surveys[source.name],
            out=out,
            here=here,
            target=target,
            detector=detector,
            split=splits[source.patient],
        )
    ]
    sweep(
        out,
        [job.path for job in jobs],
        set(surveys),
        refused,
    )
    todo = [job for job in jobs if not job.done()]
    total = sum(len(job.indices) for job in jobs)
    tiles = 0
    tiles = total - sum(len(job.indices) for job in todo)
    for index, _ in engine.map(make_chunk, todo):
        tiles += len(todo[index].indices)
        watch.tiled(tiles, total)
    summary = summary_of(sources, surveys, refused, splits, jobs)
    write_json(out / "prepare.json", summary)
    drawn = out / "look" / ".drawn"
    if jobs and not (drawn.exists() and drawn.read_text(encoding="utf-8") == summary["sha256"]):
        write_previews(out, sources, recipe.mpp)
        write_text(drawn, summary["sha256"])
    return Prepared(out, len(todo), len(jobs) - len(todo), summary)


def dry_run(recipe: PrepareRecipe, here: Path) -> dict[str, Any]:
    """What a run would do: opens no slide further than its header."""
    sources = find_sources(recipe, here)
    _given_target(recipe, here)
    _check_artefact(recipe, here)
    _check_folders(recipe, here)
    grids = []
    refused = []
    for source in sources:
        try:
            with opened(source.path, recipe.mpp) as slide:
                grids.append(len(lay_grid(slide, recipe.tiles).corners))
        except HistosynthError as error:
            refused.append(f"{source.name}: {error}")
    return {
        "slides": len(sources),
        "patients": len({source.patient for source in sources}),
        "labels": dict(sorted(Counter(source.label for source in sources).items())),
        "tiles_before_tissue": sum(grids),
        "stain": recipe.stain.method,
        "nuclei": detector_name(recipe.nuclei.source) or recipe.nuclei.source,
        "refused": refused,
    }


def _given_target(recipe: PrepareRecipe, here: Path) -> Stain | None:
    if recipe.stain.method == "none" or recipe.stain.target == "medoid":
        return None
    path = here / recipe.stain.target
    return fit_stain(recipe.stain.method, read_rgb(path), path.name)


def _check_folders(recipe: PrepareRecipe, here: Path) -> None:
    """Folders that the recipe names must be there before any work."""
    named = {"regions.folder": recipe.regions.folder}
    if recipe.nuclei.source == "files":
        named["nuclei.folder"] = recipe.nuclei.folder
    absent = [
        f"{key}: there is no folder {here / name}"
        for key, name in named.items()
        if name and not (here / name).is_dir()
    ]
    if absent:
        raise BadRecipe("the recipe", absent)


def _check_artefact(recipe: PrepareRecipe, here: Path) -> None:
    """Load the classifier once before any work, and see that it can look at tiles of this scale."""
    if recipe.quality_model:
        classifier = open_artefact_gate(here / recipe.quality_model)
        if classifier is not None:
            classifier(np.full((64, 64, 3), 255, np.uint8), recipe.tiles.mpp)


def _survey(
    recipe: PrepareRecipe,
    sources: Sequence[Source],
    out: Path,
    *,
    here: Path,
    engine: Engine,
    on_progress: ProgressCallback,
) -> tuple[dict[str, Survey], dict[str, HistosynthError]]:
    """Every slide's survey, or why there is none."""
    jobs = []
    for source in sources:
        regions = (
            here / recipe.regions.folder / f"{source.name}.geojson"
            if recipe.regions.folder
            else None
        )
        regions = regions if regions and regions.is_file() else None
        jobs.append(
            SurveyJob(source.path, recipe, regions, out / ".survey" / f"{source.name}.json")
        )
    todo = [index for index, job in enumerate(jobs) if not job.done()]
    refused: dict[str, HistosynthError] = {}
    for count, (index, refusal) in enumerate(
        engine.map(make_survey, [jobs[index] for index in todo]), 1
    ):
        if refusal:
            refused[sources[todo[index]].name] = HistosynthError(*refusal)
        on_progress(len(jobs) - len(todo) + count, len(jobs))
    surveys = {
        source.name: _read_survey(job.path)
        for source, job in zip(sources, jobs, strict=True)
        if source.name not in refused
    }
    return surveys, refused


def _read_survey(path: Path) -> Survey:
    values = json.loads(path.read_text(encoding="utf-8"))
    corners = tuple((int(x), int(y)) for x, y in values["corners"])
    grid = Grid(corners, values["size"], values["step"], values["mpp"])
    stain = stain_from_dict(values["stain"]) if values["stain"] else None
    return Survey(
        grid,
        tuple(values["shares"]),
        stain,
        values["unstained"],
    )


def _chunks(
    recipe: PrepareRecipe,
    source: Source,
    survey: Survey,
    *,
    out: Path,
    here: Path,
    target: Stain | None,
    detector: str,
    split: str,
) -> list[ChunkJob]:
    """The slide's tiles in pieces, each with as many tiles to read as a piece should have."""
    kept = set(survey.kept(recipe.tiles.tissue))
    pieces: list[list[int]] = [[]]
    heavy = 0
    most = min(max(CHUNK_PX // survey.grid.size**2, 1), 256)
    for index in range(len(survey.grid.corners)):
        if heavy == most or len(pieces[-1]) == 4096:
            pieces.append([])
            heavy = 0
        pieces[-1].append(index)
        heavy += index in kept
    facts = Facts(source.name, source.patient, source.label, split)
    given = _given_nuclei(recipe, source, here)
    return [
        ChunkJob(
            source.path,
            recipe,
            survey,
            tuple(piece),
            facts,
            target,
            detector,
            given,
            here / recipe.quality_model if recipe.quality_model else None,
            out / f"{source.name}-{number:04d}.parquet",
        )
        for number, piece in enumerate(pieces)
        if piece
    ]


def _given_nuclei(recipe: PrepareRecipe, source: Source, here: Path) -> Path | None:
    if recipe.nuclei.source != "files":
        return None
    folder = here / recipe.nuclei.folder
    found = [folder / f"{source.name}{suffix}" for suffix in NUCLEI_SUFFIXES]
    path = next((each for each in found if each.is_file()), None)
    if path is None:
        raise BadRecipe("nuclei", [f"{folder} holds no nuclei for {source.name}"])
    return path
