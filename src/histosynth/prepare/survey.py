"""A first look at a slide: where its tissue lies, which tiles it gives, how it is stained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..annotation.regions import read_regions, region_mask
from ..core.errors import StainNotFound
from ..core.tile import Pixels
from ..slides import Slide, read_box, thumbnail
from .grid import Grid, lay_grid, tissue_shares
from .recipe import PrepareRecipe
from .stain import Stain, fit_stain
from .tissue_mask import tissue_mask

PATCH_PX = 256
"""Side of the patches that the stain is fitted on."""
SAMPLE_PIXELS = 120_000


@dataclass(frozen=True)
class Survey:
    """What is known of a slide before its tiles are read.

    Attributes:
        grid: all tiles.
        shares: (N) share of each that is tissue inside the wanted regions.
        stain: of the slide; None where none is wanted or found.
        unstained: why it was not found, or "".
    """

    grid: Grid
    shares: tuple[float, ...]
    stain: Stain | None
    unstained: str

    def kept(self, least: float) -> list[int]:
        """Tiles with enough tissue."""
        return [index for index, share in enumerate(self.shares) if share >= max(least, 1e-9)]


def survey_slide(slide: Slide, recipe: PrepareRecipe, regions: Path | None) -> Survey:
    """Look at a slide.

    Args:
        slide: opened.
        recipe: what tiles are wanted.
        regions: GeoJSON file of this slide, if there is one.

    Raises:
        UnreadableImage: its pixels cannot be read.
        BadRegions: the file of regions cannot be used.
    """
    small = thumbnail(slide, recipe.tissue.mpp)
    full = slide.levels[0]
    px_per_cell = (full.width / small.shape[1], full.height / small.shape[0])
    mask = tissue_mask(small, recipe.tissue)
    found = read_regions(regions) if regions else []
    for names, inside in ((recipe.regions.include, True), (recipe.regions.exclude, False)):
        if names:
            drawn = region_mask(
                [each for each in found if each.name in names],
                mask.shape,
                px_per_cell,
            )
            mask &= drawn if inside else ~drawn
    grid = lay_grid(slide, recipe.tiles)
    boxes = [grid.box(index) for index in range(len(grid.corners))]
    shares = tissue_shares(mask, boxes, px_per_cell).round(4)
    survey = Survey(grid, tuple(map(float, shares)), None, "")
    if recipe.stain.method == "none" or not survey.kept(recipe.tiles.tissue):
        return survey
    try:
        stain = fit_stain(
            recipe.stain.method,
            stain_sample(slide, survey, recipe),
            slide.path.name,
        )
    except StainNotFound as error:
        return Survey(grid, survey.shares, None, error.reason)
    return Survey(grid, survey.shares, stain, "")


def stain_sample(slide: Slide, survey: Survey, recipe: PrepareRecipe) -> Pixels:
    """(N, 1, 3) uint8: pixels of patches in the middle of tiles, spread over the tissue."""
    kept = survey.kept(recipe.tiles.tissue)
    count = min(recipe.stain.sample_tiles, len(kept))
    chosen = [kept[int(place)] for place in np.linspace(0, len(kept) - 1, count).round()]
    side = min(PATCH_PX, survey.grid.size)
    inset = (survey.grid.size - side) // 2
    rest = survey.grid.size - side - inset
    rows = []
    for index in chosen:
        window = survey.grid.window(index, (-inset, -inset, -rest, -rest))
        rows.append(read_box(slide, window, (side, side)).reshape(-1, 3))
    pixels = np.concatenate(rows)
    every = max(len(pixels) // SAMPLE_PIXELS, 1)
    return np.ascontiguousarray(pixels[::every, None])


def survey_as_dict(survey: Survey) -> dict[str, Any]:
    """Plain values, to be kept between runs."""
    grid = survey.grid
    return {
        "corners": [list(corner) for corner in grid.corners],
        "size": grid.size,
        "step": grid.step,
        "mpp": grid.mpp,
        "shares": list(survey.shares),
        "stain": survey.stain.as_dict() if survey.stain else None,
        "unstained": survey.unstained,
    }
