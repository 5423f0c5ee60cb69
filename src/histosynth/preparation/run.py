"""`prepare run`: slides to a tile set, on any engine, resumable piece by piece.

slide files ──► survey (tissue, grid, stain) ──┐  one piece of work a slide
                 all surveys ──► target stain ─┤  the only step that compares slides
patients ──► splits ───────────────────────────┤
                                               ▼
        chunks of tiles ──► read, gates, nuclei, stain ──► one Parquet file each
                                               ▼
                             overview and contact sheet, prepare.json
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import BadRun, HistosynthError, InputError
from ..core.folder_lock import FolderRun, own_folder
from ..core.line_of_facts import line_of_facts
from ..core.own_files import OwnFiles
from ..core.place import CPU_PLACE, ComputePlace
from ..core.plain_files import read_plain_text
from ..core.progress import ProgressCallback
from ..core.store import remove_file
from ..core.tileset import parquet_files
from ..detectors.opening import detector_name, open_detector
from ..engine import Engine
from .checks import check_artefact_gate, check_folders, fit_given_target
from .chunks import ChunkPlan, artefact_card, find_given_nuclei, plan_chunks
from .folder import find_leftovers, remember_recipe, remove_half_written, remove_records
from .grid import lay_grid
from .input_contents import CONTENTS, InputContents
from .jobs import ChunkJob, SurveyJob, make_chunk, make_survey, opened
from .patients import SlideSource, find_slide_sources, labels_of, notes_on_patients
from .preview_files import write_previews
from .recipe import PrepareRecipe
from .results import DRAWN_MARK, SUMMARY, SURVEYS, open_results, refuse_foreign_results
from .split import split_patients
from .stain import Stain, medoid
from .summary import summary_of
from .survey import Survey
from .tile_files import refuse_foreign_tiles


def _ignore_progress(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class PrepareProgress:
    """Callbacks for slides surveyed and for tiles written."""

    surveyed: ProgressCallback = _ignore_progress
    tiled: ProgressCallback = _ignore_progress


@dataclass(frozen=True)
class Prepared:
    """The result of a run.

    Attributes:
        out: the folder.
        written: Parquet files written by this run.
        finished: Parquet files that earlier runs had finished.
        summary: the contents of `prepare.json`.
    """

    out: Path
    written: int
    finished: int
    summary: dict[str, Any]

    def __repr__(self) -> str:
        kept = f"{self.summary['kept']:,} of {self.summary['tiles']:,} tiles kept"
        files = f"{self.written} files written, {self.finished} there before"
        return line_of_facts("Prepared", [kept, files, f"folder {str(self.out)!r}"])


@dataclass(frozen=True)
class _Run:
    """What all steps of a run need."""

    recipe: PrepareRecipe
    sources: Sequence[SlideSource]
    out: Path
    own: OwnFiles
    base_folder: Path
    engine: Engine
    progress: PrepareProgress
    contents: InputContents
    place: ComputePlace


@dataclass(frozen=True)
class _Surveys:
    """Surveys by slide, and why other slides have none."""

    by_slide: Mapping[str, Survey]
    refused: Mapping[str, HistosynthError]


def prepare(
    recipe: PrepareRecipe,
    out: Path,
    *,
    base_folder: Path,
    engine: Engine,
    progress: PrepareProgress | None = None,
    place: ComputePlace = CPU_PLACE,
) -> Prepared:
    """Turn slides into a tile set, continuing where an earlier run stopped.

    Args:
        recipe: what is wanted.
        out: folder of the set.
        base_folder: folder that the recipe's paths start from.
        engine: where the work is done.
        progress: callbacks.
        place: where the detector and the artefact classifier run.

    Raises:
        NoFiles, BadTable, BadRecipe: the recipe's slides, table or target cannot be used.
        InputError: no slide can be used, with the first one's reason. A folder without tiles is
            left as it was.
        ResumeMismatch: `out` was begun with another recipe.
        NotWritable: `out` cannot be written.
    """
    sources = find_slide_sources(recipe, base_folder)
    target = _check_inputs(recipe, base_folder, place)
    with own_folder(out) as work:
        run = _Run(
            recipe,
            sources,
            out,
            open_results(out),
            base_folder,
            engine,
            _counted(progress or PrepareProgress(), work),
            InputContents(out / SURVEYS / CONTENTS, engine),
            place,
        )
        detector_name(recipe.nuclei.source)  # refuses an unknown one before any work
        refuse_foreign_results(run.own, sources)
        remember_recipe(recipe, run.own)
        surveys = _survey_slides(run)
        if surveys.by_slide or parquet_files(out):
            return _prepare(run, surveys, target)
        remove_records(run.own)
        raise _no_slide_error(surveys.refused)


def _counted(progress: PrepareProgress, work: FolderRun) -> PrepareProgress:
    """The same callbacks, which also count for the message of a run that is stopped."""
    return PrepareProgress(
        work.counting(progress.surveyed, "slides are surveyed for"),
        work.counting(progress.tiled, "tiles are written to"),
    )


def _no_slide_error(refused: Mapping[str, HistosynthError]) -> HistosynthError:
    """The refusal of the first slide, with the number of all."""
    name, first = next(iter(refused.items()))
    if len(refused) == 1:
        return InputError(first.problem, first.remedy).of(name)
    return InputError(
        f"None of the {len(refused)} slides can be used. The first is {name}: {first.problem}",
        first.remedy,
    )


def _prepare(
    run: _Run,
    surveys: _Surveys,
    target: Stain | None,
) -> Prepared:
    labels = labels_of(run.sources)
    detector = detector_name(run.recipe.nuclei.source, run.place)
    if target is None:
        target = _choose_target(run.recipe, surveys)
    splits = split_patients(
        labels,
        run.recipe.split.as_dict(),
        seed=run.recipe.seed,
    )
    plan = ChunkPlan(
        run.recipe,
        run.out,
        run.base_folder,
        target,
        detector,
        run.contents,
        run.place,
    )
    jobs = _plan_all_chunks(run, plan, surveys, splits)
    todo = _remove_others(run, surveys, jobs)
    _make_chunks(run, jobs, todo)
    summary = summary_of(
        run.sources,
        surveys.by_slide,
        surveys.refused,
        splits,
        jobs,
    )
    summary["notes"] = _notes(run.sources, run.recipe)
    run.own.write_json(SUMMARY, summary)
    if jobs:
        _update_previews(run, summary["sha256"])
    return Prepared(run.out, len(todo), len(jobs) - len(todo), summary)


def dry_run(
    recipe: PrepareRecipe,
    base_folder: Path,
    place: ComputePlace = CPU_PLACE,
) -> dict[str, Any]:
    """What a run would do. Of each slide only the header is read."""
    sources = find_slide_sources(recipe, base_folder)
    _check_inputs(recipe, base_folder, place)
    tiles = 0
    refused = []
    for source in sources:
        try:
            with opened(source.path, recipe.mpp) as slide:
                tiles += len(lay_grid(slide, recipe.tiles).corners)
        except HistosynthError as error:
            refused.append(f"{source.name}: {error}")
    labels = Counter(source.label for source in sources)
    return {
        "slides": len(sources),
        "patients": len({source.patient for source in sources}),
        "labels": dict(sorted(labels.items())),
        "notes": _notes(sources, recipe),
        "tiles_before_tissue": tiles,
        "stain": recipe.stain.method,
        "nuclei": detector_name(recipe.nuclei.source) or recipe.nuclei.source,
        "refused": refused,
    }


def _notes(sources: Sequence[SlideSource], recipe: PrepareRecipe) -> list[str]:
    patients = {source.name: source.patient for source in sources}
    return notes_on_patients(patients, stated=bool(recipe.patient or recipe.table))


def _check_inputs(
    recipe: PrepareRecipe,
    base_folder: Path,
    place: ComputePlace,
) -> Stain | None:
    """Refuse what would fail later; returns the target stain, where the recipe names a picture."""
    target = fit_given_target(recipe, base_folder)
    check_artefact_gate(recipe, base_folder, place)
    if place != CPU_PLACE:
        open_detector(recipe.nuclei.source, place)
    check_folders(recipe, base_folder)
    return target


def _survey_slides(run: _Run) -> _Surveys:
    """Survey every slide that has no finished survey."""
    _read_contents(run)
    jobs = [_survey_job(run, source) for source in run.sources]
    todo = [index for index, job in enumerate(jobs) if job.finished() is None]
    finished = len(jobs) - len(todo)
    refused: dict[str, HistosynthError] = {}
    for position, refusal in run.engine.map(make_survey, [jobs[index] for index in todo]):
        if refusal:
            source = run.sources[todo[position]]
            refused[source.name] = HistosynthError(*refusal)
        finished += 1
        run.progress.surveyed(finished, len(jobs))
    by_slide: dict[str, Survey] = {}
    for source, job in zip(run.sources, jobs, strict=True):
        if source.name not in refused:
            survey = job.finished()
            if survey is None:
                raise BadRun(job.path, "it was changed while the run went on")
            by_slide[source.name] = survey
    return _Surveys(by_slide, refused)


def _read_contents(run: _Run) -> None:
    """Read what all inputs hold, unless an earlier run did and none was changed since."""
    others = [artefact_card(run.recipe, run.base_folder)]
    for source in run.sources:
        others += _annotations_of(run, source)
    slides = [source.path for source in run.sources]
    run.contents.read(slides, filter(None, others))


def _annotations_of(run: _Run, source: SlideSource) -> tuple[Path | None, Path | None]:
    """Files of a slide's regions and of its nuclei, where there are such."""
    regions: Path | None = None
    if run.recipe.regions.folder:
        path = run.base_folder / run.recipe.regions.folder / f"{source.name}.geojson"
        regions = path if path.is_file() else None
    return regions, find_given_nuclei(run.recipe, source, run.base_folder)


def _survey_job(run: _Run, source: SlideSource) -> SurveyJob:
    regions, given = _annotations_of(run, source)
    contents = (
        run.contents.of_slide(source.path),
        run.contents.of(regions),
        run.contents.of(given),
    )
    return SurveyJob(
        source.path,
        run.recipe,
        regions,
        given,
        contents,
        run.out / SURVEYS / f"{source.name}.json",
    )


def _choose_target(recipe: PrepareRecipe, surveys: _Surveys) -> Stain | None:
    """The most usual stain of the set; None where none is wanted or found."""
    if recipe.stain.method == "none":
        return None
    stains = [survey.stain for survey in surveys.by_slide.values() if survey.stain]
    return medoid(stains) if stains else None


def _plan_all_chunks(
    run: _Run,
    plan: ChunkPlan,
    surveys: _Surveys,
    splits: Mapping[str, str],
) -> list[ChunkJob]:
    jobs: list[ChunkJob] = []
    for source in run.sources:
        survey = surveys.by_slide.get(source.name)
        if survey is not None:
            jobs += plan_chunks(
                plan,
                source,
                survey,
                splits[source.patient],
            )
    return jobs


def _remove_others(
    run: _Run,
    surveys: _Surveys,
    jobs: Sequence[ChunkJob],
) -> list[ChunkJob]:
    """Remove what earlier runs left; returns the pieces of work that are to be done.

    Raises:
        NotWritable: a file of the user would be replaced or removed.
    """
    wanted = [job.path for job in jobs]
    leftovers = find_leftovers(
        run.out,
        wanted,
        set(surveys.by_slide),
        surveys.refused,
    )
    todo = [job for job in jobs if not job.done()]
    refuse_foreign_tiles(run.out, [job.path for job in todo], leftovers)
    remove_half_written(run.out, wanted)
    for path in leftovers:  # the slide gives fewer pieces than it did
        remove_file(path)
    return todo


def _make_chunks(
    run: _Run,
    jobs: Sequence[ChunkJob],
    todo: Sequence[ChunkJob],
) -> None:
    """Do the pieces of work that are not done yet."""
    total = sum(len(job.indices) for job in jobs)
    tiles = total - sum(len(job.indices) for job in todo)
    for position, _ in run.engine.map(make_chunk, todo):
        tiles += len(todo[position].indices)
        run.progress.tiled(tiles, total)


def _update_previews(run: _Run, sha256: str) -> None:
    """Draw the previews, unless those of this very set are there."""
    if _is_drawn(run.out / DRAWN_MARK, sha256):
        return
    write_previews(run.own, run.sources, run.recipe.mpp)
    run.own.write_texts({DRAWN_MARK: sha256})


def _is_drawn(mark: Path, sha256: str) -> bool:
    try:
        return read_plain_text(mark) == sha256
    except (OSError, ValueError):  # absent, damaged, or in a folder that cannot be read
        return False
