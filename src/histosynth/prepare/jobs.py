"""The two pieces of work of `prepare run`: look at a slide, make some of its tiles.

Both are functions of a module over one picklable job, so that any engine can run them; both write
one file, whole or not at all, that says which job made it.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ..core import recipe as recipes
from ..core.errors import BadTileSet, HistosynthError
from ..core.nuclei import Nuclei
from ..core.store import digest, write_json
from ..core.tileset import read_metadata, write_rows
from ..core.version import __version__
from ..detectors.opening import open_artefact_gate, open_detector
from ..engine.threads import one_thread
from ..slides import Slide, open_slide
from .recipe import PrepareRecipe
from .rows import Facts, Tools, make_rows
from .stain import Stain
from .survey import Survey, survey_as_dict, survey_slide

_M_MMAP_THRESHOLD = -3
"""Of glibc's malloc.h."""
Refusal = tuple[str, str]
"""Problem and remedy: an error that can travel between processes."""


@dataclass(frozen=True)
class SurveyJob:
    """Look at one slide and write down what was seen."""

    slide: Path
    recipe: PrepareRecipe
    regions: Path | None
    path: Path

    @cached_property
    def key(self) -> str:
        """Changes with whatever may change the result."""
        recipe = recipes.as_dict(self.recipe)
        parts = {name: recipe[name] for name in ("mpp", "tiles", "tissue", "regions", "stain")}
        return digest([parts, stamp(self.slide), stamp(self.regions), __version__])

    def done(self) -> bool:
        """Whether its file is there."""
        try:
            return bool(json.loads(self.path.read_text(encoding="utf-8"))["key"] == self.key)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False


@dataclass(frozen=True)
class ChunkJob:
    """Make some tiles of one slide."""

    slide: Path
    recipe: PrepareRecipe
    survey: Survey
    indices: tuple[int, ...]
    facts: Facts
    target: Stain | None
    detector: str
    given: Path | None
    artefact: Path | None
    path: Path

    @cached_property
    def key(self) -> str:
        """Changes with whatever may change the result."""
        recipe = recipes.as_dict(self.recipe)
        parts = {name: recipe[name] for name in ("mpp", "tiles", "stain", "quality", "nuclei")}
        target = self.target.as_dict() if self.target else None
        facts = [self.facts.slide, self.facts.patient, self.facts.label, self.facts.split]
        survey = digest(survey_as_dict(self.survey))
        card = self.artefact / "artefact.json" if self.artefact else None
        stamps = [stamp(self.slide), stamp(self.given), stamp(card)]
        return digest(
            [parts, survey, self.indices, facts, target, self.detector, stamps, __version__]
        )

    def done(self) -> bool:
        """Whether its file is there."""
        try:
            return self.path.is_file() and read_metadata(self.path).get("job") == self.key
        except BadTileSet:
            return False


def make_survey(job: SurveyJob) -> Refusal | None:
    """Look at a slide; what cannot be read is refused, and the others go on."""
    try:
        with opened(job.slide, job.recipe.mpp) as slide:
            survey = survey_slide(slide, job.recipe, job.regions)
            about = {
                "key": job.key,
                "slide_mpp": slide.mpp,
                "reader": slide.reader,
            }
        write_json(job.path, about | survey_as_dict(survey))
    except HistosynthError as error:
        return error.problem, error.remedy
    return None


def make_chunk(job: ChunkJob) -> None:
    """Make tiles and write their file."""
    give_back_memory()
    tools = Tools(
        detector=open_detector(job.recipe.nuclei.source),
        given=_given(job),
        target=job.target,
        artefact=open_artefact_gate(job.artefact),
    )
    with opened(job.slide, job.recipe.mpp) as slide, one_thread():
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
    reasons = Counter(row.refused.partition(":")[0] or "kept" for row in rows)
    write_rows(
        job.path,
        rows,
        {
            "job": job.key,
            "reasons": dict(reasons),
            "histosynth": __version__,
        },
    )


@contextmanager
def opened(path: Path, mpp: float | None) -> Iterator[Slide]:
    """A slide for the time of a block."""
    slide = open_slide(path, mpp=mpp)
    try:
        yield slide
    finally:
        slide.close()


@cache
def give_back_memory() -> None:
    """Tell glibc to hand blocks of a megabyte and more back as soon as they are free; elsewhere
    nothing.

    Left to itself it raises that limit as it goes, and a worker's memory creeps up tile by tile.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def _given(job: ChunkJob) -> Nuclei | None:
    if job.given is None:
        return None
    from ..annotation.slide_nuclei import read_slide_nuclei

    return read_slide_nuclei(job.given, job.recipe.nuclei.classes)


def stamp(path: Path | None) -> list[Any] | None:
    """Size, and digest of both ends: tells one slide from another without reading gigabytes."""
    if path is None:
        return None
    ends = 1 << 16
    with path.open("rb") as file:
        first = file.read(ends)
        size = file.seek(0, 2)
        file.seek(max(size - ends, 0))
        return [size, hashlib.sha256(first + file.read(ends)).hexdigest()]
