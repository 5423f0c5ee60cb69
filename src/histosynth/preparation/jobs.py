"""The two pieces of work of `prepare run`: survey a slide, and make some of its tiles.

Both are a module's function over one picklable job, so that any engine can run them. Both write one
file, whole or not at all, that names the job that wrote it.
"""

from __future__ import annotations

import ctypes
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

from ..annotation.slide_nuclei import read_slide_nuclei
from ..core import recipe as recipes
from ..core.contents import FileFacts, file_facts
from ..core.errors import BadTileSet, HistosynthError
from ..core.geometry import Size
from ..core.nuclei import Nuclei
from ..core.place import CPU_PLACE, ComputePlace
from ..core.plain_files import read_plain_text
from ..core.store import digest, write_json
from ..core.tileset import Row, read_metadata, write_rows
from ..core.version import __version__
from ..detectors.opening import open_artefact_gate, open_detector
from ..engine.threads import one_thread
from ..slides import Slide, open_slide
from .quality import TILE_SET_GATES
from .recipe import PrepareRecipe
from .rows import Facts, RowTools, make_rows
from .stain import STAIN_METHODS, Stain
from .survey import Survey, survey_slide
from .tile_files import record_tiles
from .tile_nuclei import refuse_dense_tiles

_M_MMAP_THRESHOLD = -3
"""Of glibc's malloc.h."""
_MEBIBYTE = 1 << 20
_SEAL = "sha256"
"""Key of a survey's file: digest of all its other values. Places of tiles are taken from them."""

Refusal = tuple[str, str]
"""Problem and remedy: an error that can travel between processes."""


@dataclass(frozen=True)
class SurveyJob:
    """Survey one slide and write the result.

    Attributes:
        slide: file of the slide.
        recipe: of the run.
        regions: GeoJSON file of the slide's regions, if there is one.
        given: file of the slide's nuclei, if they are read from files.
        contents: digests of what these three files hold, for the key; "" where there is none.
        path: file to write.
    """

    slide: Path
    recipe: PrepareRecipe
    regions: Path | None
    given: Path | None
    contents: tuple[str, str, str]
    path: Path

    @cached_property
    def key(self) -> str:
        """Changes with whatever may change the result."""
        parts = _tables_of(self.recipe, ("mpp", "tiles", "tissue", "regions", "stain"))
        slide, regions, given = self.contents
        files: list[Any] = [slide, regions]
        if self.given:
            files += [given, dict(self.recipe.nuclei.classes)]
        return digest([parts, *files, __version__, *_stain_revision(self.recipe)])

    def finished(self) -> Survey | None:
        """What this job's file holds; None without it, or where it was changed since."""
        try:
            values = json.loads(read_plain_text(self.path))
            stated = values.pop(_SEAL)
            if values["key"] != self.key or stated != digest(values):
                return None
            return Survey.from_dict(values)
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            ArithmeticError,
            AttributeError,
            RecursionError,
        ):
            return None


@dataclass(frozen=True)
class ChunkJob:
    """Make some tiles of one slide and write them.

    Attributes:
        slide: file of the slide.
        recipe: of the run.
        survey: of the slide.
        indices: of the tiles in the survey's grid.
        facts: what the rows have in common.
        target: the stain that all tiles get, or None.
        detector: full name of the detector, for the key.
        given: file of the slide's nuclei, if they are read from files.
        artefact: folder of the artefact classifier, if there is one.
        contents: digests of what the slide's files, the file of nuclei and the classifier hold, for
            the key; "" where there is none.
        path: Parquet file to write.
        place: where the detector and the classifier run.
    """

    slide: Path
    recipe: PrepareRecipe
    survey: Survey
    indices: tuple[int, ...]
    facts: Facts
    target: Stain | None
    detector: str
    given: Path | None
    artefact: Path | None
    contents: tuple[str, str, str]
    path: Path
    place: ComputePlace = CPU_PLACE

    @cached_property
    def key(self) -> str:
        """Changes with whatever may change the result."""
        facts = self.facts
        return digest(
            [
                _tables_of(self.recipe, ("mpp", "tiles", "stain", "quality", "nuclei")),
                digest(self.survey.with_no_notes().as_dict()),
                self.indices,
                [facts.slide, facts.patient, facts.label, facts.split],
                self.target.as_dict() if self.target else None,
                self.detector,
                self.contents,
                __version__,
                *_stain_revision(self.recipe),
                *_place_revision(self),
                *_window_revision(self),
            ]
        )

    def done(self) -> bool:
        """Whether this job's file is there."""
        try:
            return self.path.is_file() and read_metadata(self.path).get("job") == self.key
        except BadTileSet:
            return False


def _place_revision(job: ChunkJob) -> list[str]:
    """The number type of a classifier, for keys of jobs; float32 is in no key."""
    return [job.place.suffix] if job.artefact and job.place.suffix else []


def _stain_revision(recipe: PrepareRecipe) -> list[int]:
    """The revision of the stain method, for keys of jobs; first revisions are in no key."""
    method = STAIN_METHODS.get(recipe.stain.method)
    return [method.revision] if method and method.revision > 1 else []


def _window_revision(job: ChunkJob) -> list[str]:
    """Of how a tile goes through the network of an embedded detector, for keys of jobs: one whole
    tile may hold other nuclei than its windows did.
    """
    is_embedded = job.recipe.nuclei.source in ("centroids", "centroids-fast")
    return ["whole tiles"] if is_embedded else []


def make_survey(job: SurveyJob) -> Refusal | None:
    """Survey a slide. One that cannot be read is refused, and the others continue."""
    try:
        with opened(job.slide, job.recipe.mpp) as slide:
            survey = survey_slide(slide, job.recipe, job.regions)
            about = {
                "key": job.key,
                "slide_mpp": slide.mpp,
                "reader": slide.reader,
            }
            size, mpp = _frame_of(slide)
    except HistosynthError as error:
        return error.problem, error.remedy
    if job.given is not None:
        # not caught: as with a class map, one file that cannot be used stops the run
        given = read_slide_nuclei(
            job.given,
            job.recipe.nuclei.classes,
            size=size,
            mpp=mpp,
        )
        to_read = survey.kept(job.recipe.tiles.tissue)
        refuse_dense_tiles(
            job.given,
            given.nuclei,
            survey.grid,
            to_read,
        )
        survey = survey.with_notes(given.notes, given.left_out)
    values = json.loads(json.dumps(about | survey.as_dict()))
    write_json(job.path, values | {_SEAL: digest(values)})
    return None


def make_chunk(job: ChunkJob) -> None:
    """Make tiles and write their file."""
    return_free_memory()
    with opened(job.slide, job.recipe.mpp) as slide, one_thread():
        tools = _open_tools(job, slide)
        rows = list(
            make_rows(
                slide,
                job.survey,
                job.indices,
                job.facts,
                recipe=job.recipe,
                tools=tools,
            )
        )
    about = {
        "job": job.key,
        "reasons": _count_reasons(rows),
        "histosynth": __version__,
    }
    write_rows(
        job.path,
        rows,
        about,
        gates=TILE_SET_GATES,
        before=partial(record_tiles, job.path),
    )


def _open_tools(job: ChunkJob, slide: Slide) -> RowTools:
    return RowTools(
        detector=open_detector(job.recipe.nuclei.source, job.place, large_windows=True),
        given=_read_given(job, slide),
        target=job.target,
        artefact=open_artefact_gate(job.artefact, job.place),
    )


def _read_given(job: ChunkJob, slide: Slide) -> Nuclei | None:
    if job.given is None:
        return None
    return _nuclei_of_slide(
        job.given,
        file_facts(job.given),
        tuple(job.recipe.nuclei.classes.items()),
        _frame_of(slide),
    )


@lru_cache(maxsize=1)
def _nuclei_of_slide(
    path: Path,
    version: FileFacts,
    classes: tuple[tuple[str, str], ...],
    frame: tuple[Size, float],
) -> Nuclei:
    """The nuclei of a file, read once for all chunks of a slide that this process makes.

    Args:
        path: of the file.
        version: of the file: another one of its name is read anew.
        classes: the class map, name by name.
        frame: size and scale of level 0.
    """
    size, mpp = frame
    found = read_slide_nuclei(
        path,
        dict(classes),
        size=size,
        mpp=mpp,
    )
    return found.nuclei


def _frame_of(slide: Slide) -> tuple[Size, float]:
    """Size and scale of level 0, in whose pixels a slide's nuclei are."""
    full = slide.levels[0]
    return Size(full.width, full.height), slide.mpp


def _count_reasons(rows: Sequence[Row]) -> dict[str, int]:
    """Tiles by the gate that refused them; `kept` counts the others."""
    counts: Counter[str] = Counter()
    for row in rows:
        gate, _, _ = row.refused.partition(":")
        counts[gate or "kept"] += 1
    return dict(counts)


def _tables_of(recipe: PrepareRecipe, names: Sequence[str]) -> Mapping[str, Any]:
    """The parts of a recipe that a job depends on."""
    values = recipes.as_dict(recipe)
    return {name: values[name] for name in names}


@contextmanager
def opened(path: Path, mpp: float | None) -> Iterator[Slide]:
    """A slide for the time of a block."""
    slide = open_slide(path, mpp=mpp)
    try:
        yield slide
    finally:
        slide.close()


@cache
def return_free_memory() -> None:
    """Make glibc return blocks of a megabyte and more as soon as they are free.

    By default it raises that limit as it goes, and a worker's memory grows tile by tile. Without
    glibc this does nothing.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MEBIBYTE)
