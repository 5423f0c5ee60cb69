"""From a surveyed slide to rows: read, judge, find nuclei, make colours alike, keep or refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import StainNotFound, UnreadableImage
from ..core.geometry import Size
from ..core.nuclei import Nuclei
from ..core.tile import Pixels, TileRef, encode_png
from ..core.tileset import Row
from ..core.units import same_scale
from ..detectors.detector import DetectedNuclei, Detector
from ..slides import Slide, Window, read_box
from .quality.gates import check_tile
from .quality.verdict import Verdict
from .recipe import PrepareRecipe
from .stain import Stain, fit_stain, restain_between
from .survey import Survey


@dataclass(frozen=True)
class Facts:
    """What the rows of a slide have in common."""

    slide: str
    patient: str
    label: str
    split: str


@dataclass(frozen=True)
class Tools:
    """What `prepare` is handed: floors above may bring what it cannot import.

    Attributes:
        detector: finds nuclei in pixels, or None.
        given: nuclei of the slide that were read from a file, in level-0 px, or None.
        target: the stain that all shall have, or None.
        artefact: share of artefact in a tile (H, W, 3) at its mpp, by a trained classifier, or
            None.
    """

    detector: Detector | None = None
    given: Nuclei | None = None
    target: Stain | None = None
    artefact: Callable[[Pixels, float], float] | None = None


def make_rows(
    slide: Slide,
    survey: Survey,
    indices: Sequence[int],
    facts: Facts,
    *,
    recipe: PrepareRecipe,
    tools: Tools,
) -> Iterator[Row]:
    """One row for each tile, in the order of `indices`."""
    for index in indices:
        ref = TileRef(
            facts.slide,
            facts.patient,
            survey.grid.box(index),
            survey.grid.mpp,
        )
        row = Row(
            ref,
            facts.label,
            facts.split,
            quality={"tissue": survey.shares[index]},
        )
        if refusal := _before_reading(survey, index, recipe):
            yield replace(row, refused=refusal)
        else:
            try:
                yield _read_row(
                    slide,
                    survey,
                    index,
                    row,
                    recipe=recipe,
                    tools=tools,
                )
            except UnreadableImage as error:
                yield replace(row, refused=f"unreadable: {error.reason}")


def _before_reading(survey: Survey, index: int, recipe: PrepareRecipe) -> str:
    share = survey.shares[index]
    least = recipe.tiles.tissue
    if share < least or share == 0:
        return f"tissue: it covers {share:.0%}, less than {least:.0%}"
    return f"stain: {survey.unstained}" if survey.unstained and recipe.stain.fit == "slide" else ""


def _read_row(
    slide: Slide,
    survey: Survey,
    index: int,
    row: Row,
    *,
    recipe: PrepareRecipe,
    tools: Tools,
) -> Row:
    size = survey.grid.size
    detector = tools.detector
    margins = margins_for(survey.grid.corners[index], detector)
    shared = detector is not None and same_scale(detector.mpp, survey.grid.mpp)
    around = margins if shared else (0, 0, 0, 0)
    wide = read_box(
        slide,
        survey.grid.window(index, around),
        (size + around[0] + around[2], size + around[1] + around[3]),
    )
    left, top = around[:2]
    pixels = np.ascontiguousarray(wide[top : top + size, left : left + size])
    refused = ""
    quality = dict(row.quality)
    for name, verdict in check_tile(pixels, survey.grid.mpp, recipe.quality).items():
        quality[name] = verdict.value
        refused = refused or (f"{name}: {verdict.reason}" if not verdict.ok else "")
    if tools.artefact is not None and not refused:  # it takes longer than all other gates
        verdict = Verdict.at_most(
            tools.artefact(pixels, survey.grid.mpp),
            0.5,
            "chance of an artefact",
        )
        quality["artefact"] = verdict.value
        refused = f"artefact: {verdict.reason}" if not verdict.ok else ""
    row = replace(row, quality=quality, refused=refused)
    if refused:
        return replace(row, image=encode_png(pixels))
    nuclei = None
    if detector is not None:
        found = (
            detector(wide).shift(-left, -top)
            if shared
            else _at_own_scale(slide, survey, index, detector)
        )
        nuclei = _inside(found, size, survey.grid.mpp, detector.classes)
    elif tools.given is not None:
        nuclei = given_inside(
            tools.given,
            survey.grid.window(index),
            size,
            survey.grid.mpp,
        )
    row = replace(row, nuclei=nuclei)
    if nuclei is not None:
        density = len(nuclei) / (size * survey.grid.mpp / 1000) ** 2
        if density < recipe.nuclei.least_per_mm2:
            reason = f"nuclei: {density:,.0f} per mm2, {recipe.nuclei.least_per_mm2:,.0f} are asked"
            return replace(row, refused=reason, image=encode_png(pixels))
    if recipe.stain.method == "none":
        return replace(row, image=encode_png(pixels))
    if tools.target is None:
        reason = "stain: no slide of the set has one that its tiles could be given"
        return replace(row, refused=reason, image=encode_png(pixels))
    try:
        own = survey.stain
        if recipe.stain.fit == "tile" or own is None:
            own = fit_stain(recipe.stain.method, pixels, row.tile_id)
    except StainNotFound as error:
        return replace(row, refused=f"stain: {error.reason}", image=encode_png(pixels))
    return replace(row, image=encode_png(restain_between(own, tools.target)(pixels)))


def margins_for(corner: tuple[int, int], detector: Detector | None) -> tuple[int, int, int, int]:
    """Px of tissue to read around a tile, so that a nucleus at its border looks as it does from
    next door.

    The window begins on the detector's own lattice, counted from the slide's corner: neighbours
    then see the shared tissue cut alike, and agree to which of them a nucleus on the border
    belongs.
    """
    if detector is None:
        return 0, 0, 0, 0
    halo = detector.halo_px
    lattice = detector.lattice_px
    left, top = (halo + (side - halo) % lattice for side in corner)
    return left, top, halo, halo


def _at_own_scale(
    slide: Slide,
    survey: Survey,
    index: int,
    detector: Detector,
) -> DetectedNuclei:
    """Nuclei found at the detector's scale, in px of the tile."""
    grid = survey.grid
    ratio = detector.mpp / grid.mpp  # tile px per px of the detector
    step = grid.step * ratio
    x, y = (side / ratio for side in grid.corners[index])
    halo = detector.halo_px
    lattice = detector.lattice_px
    left, top = (int((side - halo) // lattice) * lattice for side in (x, y))
    width, height = (int(np.ceil(side + grid.size / ratio)) + halo for side in (x - left, y - top))
    found = detector(
        read_box(
            slide,
            Window(left * step, top * step, width * step, height * step),
            (width, height),
        )
    )
    # px of the detector on the slide, from a corner's corner, to px of the tile
    xy = (found.xy + 0.5 + np.array([left - x, top - y], np.float32)) * np.float32(
        ratio
    ) - np.float32(0.5)
    return DetectedNuclei(xy.astype(np.float32), found.class_ids, found.score)


def _inside(
    found: DetectedNuclei,
    size: int,
    mpp: float,
    classes: tuple[str, ...],
) -> Nuclei:
    inside = np.all((found.xy >= -0.5) & (found.xy < size - 0.5), axis=1)
    kept = found.where(np.asarray(inside))
    # hundredths of a pixel: machines that add up in another order still agree
    xy = np.minimum(kept.xy.round(2), np.float32(size - 0.51))
    return Nuclei(xy, kept.class_ids, classes, Size(size, size), mpp)


def given_inside(
    given: Nuclei,
    window: Window,
    size: int,
    mpp: float,
) -> Nuclei:
    """Nuclei of a slide (level-0 px) that lie in a tile, in its px."""
    step = window.width / size
    xy = (given.xy.astype(np.float64) + 0.5 - np.array([window.x, window.y])) / step - 0.5
    inside = np.all((xy >= -0.5) & (xy < size - 0.5), axis=1)
    kept = np.minimum(xy[inside].round(2), size - 0.51).astype(np.float32)
    return Nuclei(
        kept,
        given.class_ids[inside],
        given.classes,
        Size(size, size),
        mpp,
    )
