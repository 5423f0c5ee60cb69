"""From a surveyed slide to rows of a tile set.

A tile that is worth reading passes through steps:

    read ─► gates ─► trained gate ─► nuclei ─► density ─► stain ─► encode

Each step takes a draft and returns a draft. A draft that is refused skips the steps that are left,
and is encoded as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import StainNotFound, UnreadableImage
from ..core.images import encode_png
from ..core.nuclei import Nuclei
from ..core.tile import Pixels, TileRef
from ..core.tileset import Row
from ..core.units import same_scale
from ..detectors.detector import Detector
from ..detectors.opening import ArtefactGate
from ..slides import Slide, read_box
from .quality import Verdict, check_tile
from .recipe import PrepareRecipe
from .stain import Stain, fit_stain, restain_between
from .survey import Survey
from .tile_nuclei import (
    NO_MARGINS,
    Margins,
    find_at_detector_scale,
    margins_for,
    nuclei_of_found,
    nuclei_of_slide,
)

MAX_ARTEFACT_CHANCE = 0.5
"""Tiles with a larger chance of an artefact are refused; the classifier is trained for this."""


@dataclass(frozen=True)
class Facts:
    """What the rows of a slide have in common."""

    slide: str
    patient: str
    label: str
    split: str


@dataclass(frozen=True)
class RowTools:
    """What the steps use, opened by the caller.

    Attributes:
        detector: finds nuclei in pixels, or None.
        given: nuclei of the slide that were read from a file, in level-0 px, or None.
        target: the stain that all tiles get, or None.
        artefact: chance of an artefact in a tile (H, W, 3) at its mpp, by a trained classifier, or
            None.
    """

    detector: Detector | None = None
    given: Nuclei | None = None
    target: Stain | None = None
    artefact: ArtefactGate | None = None


@dataclass(frozen=True)
class _SlideWork:
    """What is the same for all tiles of a slide."""

    slide: Slide
    survey: Survey
    recipe: PrepareRecipe
    tools: RowTools

    @property
    def mpp(self) -> float:
        """Of the tiles."""
        return self.survey.grid.mpp


@dataclass(frozen=True, eq=False)
class _Draft:
    """A tile on its way to a row.

    Attributes:
        index: of the tile in the survey's grid.
        row: what is known so far; refused if `row.refused` is not empty.
        pixels: (H, W, 3) uint8 of the tile.
        surroundings: the same with `margins` around it, for a detector of the tile's scale.
        margins: px of `surroundings` at left, top, right and bottom.
    """

    index: int
    row: Row
    pixels: Pixels
    surroundings: Pixels
    margins: Margins

    def refuse(self, reason: str) -> _Draft:
        """The same draft, refused."""
        return replace(self, row=replace(self.row, refused=reason))


_Step = Callable[[_Draft, _SlideWork], _Draft]


def make_rows(
    slide: Slide,
    survey: Survey,
    indices: Sequence[int],
    facts: Facts,
    *,
    recipe: PrepareRecipe,
    tools: RowTools,
) -> Iterator[Row]:
    """One row for each tile, in the order of `indices`."""
    work = _SlideWork(slide, survey, recipe, tools)
    for index in indices:
        row = _empty_row(index, survey, facts)
        refused = _refusal_before_reading(index, survey, recipe)
        if refused:
            yield replace(row, refused=refused)
            continue
        try:
            yield _complete_row(index, row, work)
        except UnreadableImage as error:
            yield replace(row, refused=f"unreadable: {error.reason}")


def _empty_row(
    index: int,
    survey: Survey,
    facts: Facts,
) -> Row:
    ref = TileRef(
        facts.slide,
        facts.patient,
        survey.grid.box(index),
        survey.grid.mpp,
    )
    return Row(
        ref,
        facts.label,
        facts.split,
        quality={"tissue": survey.shares[index]},
    )


def _refusal_before_reading(
    index: int,
    survey: Survey,
    recipe: PrepareRecipe,
) -> str:
    """Why a tile need not be read, or ""."""
    share = survey.shares[index]
    min_share = recipe.tiles.tissue
    if share < min_share or share == 0:
        return f"tissue: it covers {share:.0%}, less than {min_share:.0%}"
    if survey.unstained and recipe.stain.fit == "slide":
        return f"stain: {survey.unstained}"
    return ""


def _complete_row(
    index: int,
    row: Row,
    work: _SlideWork,
) -> Row:
    draft = _read(index, row, work)
    for step in _STEPS:
        draft = step(draft, work)
        if draft.row.refused:
            break
    return replace(draft.row, image=encode_png(draft.pixels))


def _read(
    index: int,
    row: Row,
    work: _SlideWork,
) -> _Draft:
    """Read a tile, with the tissue around it where a detector of its scale needs that."""
    grid = work.survey.grid
    margins = NO_MARGINS
    if work.tools.detector is not None and _has_tile_scale(work.tools.detector, work):
        margins = margins_for(grid.corners[index], work.tools.detector)
    left, top, right, bottom = margins
    surroundings = read_box(
        work.slide,
        grid.window(index, margins),
        (grid.size + left + right, grid.size + top + bottom),
    )
    pixels = surroundings[top : top + grid.size, left : left + grid.size]
    return _Draft(
        index,
        row,
        np.ascontiguousarray(pixels),
        surroundings,
        margins,
    )


def _has_tile_scale(detector: Detector, work: _SlideWork) -> bool:
    return same_scale(detector.mpp, work.mpp)


def _apply_gates(draft: _Draft, work: _SlideWork) -> _Draft:
    """Measure all gates; the first that fails gives the reason."""
    verdicts = check_tile(draft.pixels, work.mpp, work.recipe.quality)
    for name, verdict in verdicts.items():
        draft = _with_verdict(draft, name, verdict)
    return draft


def _apply_artefact_gate(draft: _Draft, work: _SlideWork) -> _Draft:
    """The trained classifier; it takes longer than all other gates, so it comes last."""
    if work.tools.artefact is None:
        return draft
    chance = work.tools.artefact(draft.pixels, work.mpp)
    verdict = Verdict.at_most(
        chance,
        MAX_ARTEFACT_CHANCE,
        "chance of an artefact",
    )
    return _with_verdict(draft, "artefact", verdict)


def _with_verdict(
    draft: _Draft,
    gate: str,
    verdict: Verdict,
) -> _Draft:
    quality = {**draft.row.quality, gate: verdict.value}
    draft = replace(draft, row=replace(draft.row, quality=quality))
    if verdict.ok or draft.row.refused:
        return draft
    return draft.refuse(f"{gate}: {verdict.reason}")


def _find_nuclei(draft: _Draft, work: _SlideWork) -> _Draft:
    """Nuclei by the detector, or those that were given."""
    grid = work.survey.grid
    detector = work.tools.detector
    if detector is not None:
        if _has_tile_scale(detector, work):
            left, top, _, _ = draft.margins
            found = detector(draft.surroundings).shift(-left, -top)
        else:
            found = find_at_detector_scale(
                work.slide,
                grid,
                draft.index,
                detector,
            )
        nuclei = nuclei_of_found(
            found,
            detector.classes,
            grid.size,
            grid.mpp,
        )
    elif work.tools.given is not None:
        window = grid.window(draft.index)
        nuclei = nuclei_of_slide(
            work.tools.given,
            window,
            grid.size,
            grid.mpp,
        )
    else:
        return draft
    return replace(draft, row=replace(draft.row, nuclei=nuclei))


def _check_density(draft: _Draft, work: _SlideWork) -> _Draft:
    """Refuse a tile with too few nuclei."""
    if draft.row.nuclei is None:
        return draft
    side_mm = work.survey.grid.size * work.mpp / 1000
    per_mm2 = len(draft.row.nuclei) / side_mm**2
    min_per_mm2 = work.recipe.nuclei.least_per_mm2
    if per_mm2 < min_per_mm2:
        return draft.refuse(f"nuclei: {per_mm2:,.0f} per mm2, {min_per_mm2:,.0f} are required")
    return draft


def _unify_stain(draft: _Draft, work: _SlideWork) -> _Draft:
    """Give the tile the target's stain."""
    plan = work.recipe.stain
    if plan.method == "none":
        return draft
    if work.tools.target is None:
        return draft.refuse("stain: no slide of the set has one that its tiles could be given")
    stain = work.survey.stain
    if plan.fit == "tile" or stain is None:
        try:
            stain = fit_stain(plan.method, draft.pixels, draft.row.tile_id)
        except StainNotFound as error:
            return draft.refuse(f"stain: {error.reason}")
    restain = restain_between(stain, work.tools.target)
    return replace(draft, pixels=restain(draft.pixels))


_STEPS: tuple[_Step, ...] = (
    _apply_gates,
    _apply_artefact_gate,
    _find_nuclei,
    _check_density,
    _unify_stain,
)
