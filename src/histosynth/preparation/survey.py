"""The survey of a slide: where its tissue lies, which tiles it gives, how it is stained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..annotation.choosing import listed_counts
from ..annotation.regions import FoundRegions, Region, find_regions, region_mask
from ..core.errors import StainNotFound
from ..core.tile import Mask, Pixels
from ..slides import Slide, read_box, thumbnail
from .grid import Grid, lay_grid, tissue_shares
from .recipe import PrepareRecipe, RegionPlan
from .stain import Stain, fit_stain, stain_from_dict
from .tissue_mask import tissue_mask

PATCH_PX = 256
"""Side of the patches that the stain is fitted on."""
MAX_SAMPLE_PIXELS = 120_000


@dataclass(frozen=True)
class Survey:
    """What is known of a slide before its tiles are read.

    Attributes:
        grid: all tiles.
        shares: (N) share of each that is tissue inside the wanted regions.
        stain: of the slide; None where none is wanted or found.
        unstained: why it was not found, or "".
        notes: sentences on what was left out of the slide's annotations, or scaled.
        left_out: objects of those files that were left out, with their number.
    """

    grid: Grid
    shares: tuple[float, ...]
    stain: Stain | None
    unstained: str
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    def with_notes(self, notes: Iterable[str], left_out: Mapping[str, int]) -> Survey:
        """The survey with notes on one more file."""
        counts = Counter(self.left_out) + Counter(left_out)
        return replace(
            self,
            notes=(*self.notes, *notes),
            left_out=dict(counts),
        )

    def noted(self) -> dict[str, Any]:
        """What was left out, as plain values; empty where nothing was."""
        if not self.notes:
            return {}
        return {
            "notes": list(self.notes),
            "left_out": dict(self.left_out),
        }

    def with_no_notes(self) -> Survey:
        """What decides on the tiles: notes name files by their paths, which may change."""
        return replace(self, notes=(), left_out={})

    def kept(self, min_share: float) -> list[int]:
        """Tiles with enough tissue."""
        threshold = max(min_share, 1e-9)
        kept = []
        for index, share in enumerate(self.shares):
            if share >= threshold:
                kept.append(index)
        return kept

    def as_dict(self) -> dict[str, Any]:
        """Plain values, to be kept between runs."""
        return self.noted() | {
            "corners": [list(corner) for corner in self.grid.corners],
            "size": self.grid.size,
            "step": self.grid.step,
            "mpp": self.grid.mpp,
            "shares": list(self.shares),
            "stain": self.stain.as_dict() if self.stain else None,
            "unstained": self.unstained,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Survey:
        """The way back from `as_dict`."""
        grid = Grid(
            tuple((int(x), int(y)) for x, y in values["corners"]),
            values["size"],
            values["step"],
            values["mpp"],
        )
        stain = None
        if values["stain"]:
            stain = stain_from_dict(values["stain"])
        return cls(
            grid,
            shares=tuple(values["shares"]),
            stain=stain,
            unstained=values["unstained"],
            notes=tuple(values.get("notes", ())),
            left_out=dict(values.get("left_out", {})),
        )


def survey_slide(
    slide: Slide,
    recipe: PrepareRecipe,
    regions: Path | None,
) -> Survey:
    """Survey a slide.

    Args:
        slide: opened.
        recipe: which tiles are wanted.
        regions: GeoJSON file of this slide, if there is one.

    Raises:
        UnreadableImage: its pixels cannot be read.
        BadRegions: the file of regions cannot be used.
    """
    picture = thumbnail(slide, recipe.tissue.mpp)
    full = slide.levels[0]
    px_per_cell = (full.width / picture.shape[1], full.height / picture.shape[0])
    mask = tissue_mask(picture, recipe.tissue)
    drawn = find_regions(regions) if regions else FoundRegions((), Counter())
    mask = _restrict_to_regions(
        mask,
        drawn.regions,
        recipe.regions,
        px_per_cell,
    )
    grid = lay_grid(slide, recipe.tiles)
    boxes = [grid.box(index) for index in range(len(grid.corners))]
    shares = tissue_shares(mask, boxes, px_per_cell).round(4)
    survey = Survey(
        grid,
        shares=tuple(map(float, shares)),
        stain=None,
        unstained="",
    )
    if drawn.left_out:
        notes = [f"{regions}: left out {listed_counts(drawn.left_out)}."]
        survey = survey.with_notes(notes, drawn.left_out)
    return _with_stain(survey, slide, recipe)


def _restrict_to_regions(
    mask: Mask,
    drawn: Sequence[Region],
    plan: RegionPlan,
    px_per_cell: tuple[float, float],
) -> Mask:
    """The part of a mask (H, W) inside included and outside excluded regions."""
    if plan.include:
        included = [region for region in drawn if region.name in plan.include]
        mask = mask & region_mask(included, mask.shape, px_per_cell)
    if plan.exclude:
        excluded = [region for region in drawn if region.name in plan.exclude]
        mask = mask & ~region_mask(excluded, mask.shape, px_per_cell)
    return mask


def _with_stain(
    survey: Survey,
    slide: Slide,
    recipe: PrepareRecipe,
) -> Survey:
    """The survey with the slide's stain, where one is wanted and there is tissue."""
    if recipe.stain.method == "none" or not survey.kept(recipe.tiles.tissue):
        return survey
    pixels = stain_sample(slide, survey, recipe)
    try:
        stain = fit_stain(recipe.stain.method, pixels, slide.path.name)
    except StainNotFound as error:
        return replace(survey, unstained=error.reason)
    return replace(survey, stain=stain)


def stain_sample(
    slide: Slide,
    survey: Survey,
    recipe: PrepareRecipe,
) -> Pixels:
    """(N, 1, 3) uint8: pixels of patches in the middle of tiles, spread over the tissue."""
    kept = survey.kept(recipe.tiles.tissue)
    count = min(recipe.stain.sample_tiles, len(kept))
    positions = np.linspace(0, len(kept) - 1, count).round()
    side = min(PATCH_PX, survey.grid.size)
    inset = (survey.grid.size - side) // 2
    rest = survey.grid.size - side - inset
    patches = []
    for position in positions:
        index = kept[int(position)]
        window = survey.grid.window(index, (-inset, -inset, -rest, -rest))
        patch = read_box(slide, window, (side, side))
        patches.append(patch.reshape(-1, 3))
    pixels = np.concatenate(patches)
    every = max(len(pixels) // MAX_SAMPLE_PIXELS, 1)
    return np.ascontiguousarray(pixels[::every, None])
