"""The demo's contact sheet and HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.nuclei import Nuclei
from ..core.page import page_environment, page_template, page_text
from ..core.page.pictures import Picture, png_picture
from ..core.sheet import colour_codes, colour_legend, draw_nuclei, fill_mask
from ..core.synthetic import Synthetic, png_bytes
from ..core.tile import Pixels
from ..core.version import __version__
from .demo_pictures import DemoPictures

DOT_RADIUS_PX = 2
_Row = tuple[str, list[Picture]]
"""The name of a picture's file, and pictures next to each other."""

_NOTICE = "Everything on this page is synthetic. For research use; not for diagnosis."
_CONTENTS = (
    ("layout", "The request: nuclei"),
    ("tiles", "From nuclei to tissue"),
    ("completed", "Damaged tissue, completed"),
    ("recipes", "Recipe of each picture"),
    ("next", "How to go on"),
)
"""Anchors and headings of `demo.html.j2`."""


def overview_rows(pictures: DemoPictures) -> list[tuple[str, list[Pixels]]]:
    """Rows of the contact sheet: (caption, pictures)."""
    nuclei = pictures.nuclei
    layout = draw_nuclei(nuclei)
    dotted = []
    for tile in pictures.tiles:
        dotted.append(draw_nuclei(nuclei, over=tile.pixels, radius_px=DOT_RADIUS_PX))
    damaged = []
    for tile, condition in zip(pictures.tiles, pictures.damaged, strict=True):
        damaged.append(fill_mask(tile.pixels, condition.mask))
    return [
        (
            _layout_caption(nuclei),
            [layout] * len(pictures.tiles),
        ),
        (
            "global: the same nuclei in four stains of the bundle's palette",
            [tile.pixels for tile in pictures.tiles],
        ),
        (
            "with the requested nuclei",
            dotted,
        ),
        (
            "damaged: a blob, a tear, strokes, a fold",
            damaged,
        ),
        (
            "local: completed; known pixels are equal bit for bit",
            [picture.pixels for picture in pictures.completed],
        ),
    ]


def _layout_caption(nuclei: Nuclei) -> str:
    return f"requested: {colour_legend(nuclei.classes)}"


def overview_recipe(pictures: DemoPictures, *, seed: int) -> dict[str, Any]:
    """The contact sheet's recipe, with those of its pictures."""
    return {
        "histosynth": __version__,
        "verb": "demo",
        "synthetic": True,
        "extent": "sheet",
        "seed": seed,
        "mpp": pictures.nuclei.mpp,
        "pictures": [picture.recipe for picture in pictures.results()],
    }


def page_html(
    pictures: DemoPictures,
    names: Sequence[str],
    *,
    seed: int,
) -> str:
    """The page with all pictures, inside it, and their recipes.

    Args:
        pictures: of the demo.
        names: file of each picture of `pictures.results()`, from the page's folder.
        seed: of the demo.
    """
    results = pictures.results()
    recipes = []
    for name, picture in zip(names, results, strict=True):
        recipes.append((name, json.dumps(picture.recipe, indent=2)))
    inline = _Inline(overview_recipe(pictures, seed=seed) | {"pictures": []})
    tiles, completed = _rows(pictures, names, inline)
    values = {
        "title": "Tissue from structure",
        "notice": _NOTICE,
        "contents": _CONTENTS,
        "nuclei": len(pictures.nuclei),
        "caption": _layout_caption(pictures.nuclei),
        "legend": colour_codes(pictures.nuclei.classes),
        "layout": inline.drawn(draw_nuclei(pictures.nuclei)),
        "tiles": tiles,
        "completed": completed,
        "recipes": recipes,
        "version": __version__,
    }
    environment = page_environment()
    template = page_template(__package__ or "", "demo.html.j2", environment)
    return page_text(template, values)


@dataclass(frozen=True)
class _Inline:
    """Pictures inside the page, each marked as synthetic as those in files are.

    Attributes:
        recipe: of those that the page draws itself.
    """

    recipe: dict[str, Any]

    def drawn(self, pixels: Pixels) -> Picture:
        """A picture that is in no file."""
        return self._encoded(pixels, self.recipe)

    def result(self, picture: Synthetic) -> Picture:
        """The bytes of a result's file."""
        return self._encoded(picture.pixels, picture.recipe)

    @staticmethod
    def _encoded(pixels: Pixels, recipe: dict[str, Any]) -> Picture:
        height, width = pixels.shape[:2]
        return png_picture(png_bytes(pixels, recipe), width, height)


def _rows(
    pictures: DemoPictures,
    names: Sequence[str],
    inline: _Inline,
) -> tuple[list[_Row], list[_Row]]:
    """Rows of the synthesized and of the completed tiles, each under the name of its file."""
    nuclei = pictures.nuclei
    tiles: list[_Row] = []
    for name, tile in zip(names, pictures.tiles, strict=False):
        dotted = draw_nuclei(nuclei, over=tile.pixels, radius_px=DOT_RADIUS_PX)
        tiles.append((name, [inline.result(tile), inline.drawn(dotted)]))
    completed: list[_Row] = []
    results = zip(
        names[len(tiles) :],
        pictures.tiles,
        pictures.damaged,
        pictures.completed,
        strict=False,
    )
    for name, tile, condition, picture in results:
        damaged = inline.drawn(fill_mask(tile.pixels, condition.mask))
        completed.append((name, [damaged, inline.result(picture)]))
    return tiles, completed
