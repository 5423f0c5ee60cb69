"""How a slide's tiles are cut into pieces of work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..annotation.nuclei_files import NUCLEI_SUFFIXES
from ..core.errors import BadRecipe
from ..core.place import CPU_PLACE, ComputePlace
from ..detectors.artefact_info import ARTEFACT_CARD
from .input_contents import InputContents
from .jobs import ChunkJob
from .patients import SlideSource
from .recipe import PrepareRecipe
from .rows import Facts
from .stain import Stain
from .survey import Survey

CHUNK_PX = 12 << 20
"""Pixels of the tiles to read of one file: a lost worker loses little, and they fit its memory."""
MAX_TILES_TO_READ_OF_FILE = 256
"""Of one file."""
MAX_TILES_OF_FILE = 4096
"""Of one file, those without tissue included."""


@dataclass(frozen=True)
class ChunkPlan:
    """What the pieces of work of all slides have in common.

    Attributes:
        recipe: of the run.
        out: folder of the tile set.
        base_folder: folder that the recipe's paths start from.
        target: the stain that all tiles get, or None.
        detector: full name of the detector.
        contents: of all inputs.
        place: where its network runs.
    """

    recipe: PrepareRecipe
    out: Path
    base_folder: Path
    target: Stain | None
    detector: str
    contents: InputContents
    place: ComputePlace = CPU_PLACE


def plan_chunks(
    plan: ChunkPlan,
    source: SlideSource,
    survey: Survey,
    split: str,
) -> list[ChunkJob]:
    """The pieces of work of one slide.

    Args:
        plan: what all slides have in common.
        source: the slide.
        survey: of the slide.
        split: of its patient.

    Raises:
        BadRecipe: nuclei come from files, and there is none for this slide.
    """
    recipe = plan.recipe
    facts = Facts(
        source.name,
        source.patient,
        source.label,
        split,
    )
    given = find_given_nuclei(recipe, source, plan.base_folder)
    card = artefact_card(recipe, plan.base_folder)
    contents = (
        plan.contents.of_slide(source.path),
        plan.contents.of(given),
        plan.contents.of(card),
    )
    jobs = []
    for number, indices in enumerate(_cut(survey, recipe)):
        job = ChunkJob(
            source.path,
            recipe,
            survey,
            tuple(indices),
            facts,
            plan.target,
            plan.detector,
            given,
            card.parent if card else None,
            contents,
            plan.out / f"{source.name}-{number:04d}.parquet",
            plan.place,
        )
        jobs.append(job)
    return jobs


def _cut(survey: Survey, recipe: PrepareRecipe) -> list[list[int]]:
    """Indices of a slide's tiles in pieces, each with as many to read as a piece should have."""
    to_read = set(survey.kept(recipe.tiles.tissue))
    max_to_read = min(max(CHUNK_PX // survey.grid.size**2, 1), MAX_TILES_TO_READ_OF_FILE)
    pieces: list[list[int]] = []
    piece: list[int] = []
    count_to_read = 0
    for index in range(len(survey.grid.corners)):
        if count_to_read == max_to_read or len(piece) == MAX_TILES_OF_FILE:
            pieces.append(piece)
            piece = []
            count_to_read = 0
        piece.append(index)
        if index in to_read:
            count_to_read += 1
    if piece:
        pieces.append(piece)
    return pieces


def artefact_card(recipe: PrepareRecipe, base_folder: Path) -> Path | None:
    """The card of the artefact classifier, which states the sha256 of its weights; None without."""
    if not recipe.quality_model:
        return None
    return base_folder / recipe.quality_model / ARTEFACT_CARD


def find_given_nuclei(
    recipe: PrepareRecipe,
    source: SlideSource,
    base_folder: Path,
) -> Path | None:
    """The file of a slide's nuclei, where the recipe takes them from files.

    Raises:
        BadRecipe: there is none.
    """
    if recipe.nuclei.source != "files":
        return None
    folder = base_folder / recipe.nuclei.folder
    for suffix in NUCLEI_SUFFIXES:
        path = folder / f"{source.name}{suffix}"
        if path.is_file():
            return path
    raise BadRecipe("nuclei", [f"{folder} holds no nuclei for {source.name}"])
