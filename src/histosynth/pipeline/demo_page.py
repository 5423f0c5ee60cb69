"""The demo's contact sheet and HTML page."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

from ..core.nuclei import Nuclei
from ..core.sheet import colour_legend, draw_nuclei, fill_mask
from ..core.tile import Pixels
from ..core.version import __version__
from ..core.visible import visible
from .demo_pictures import DemoPictures

DOT_RADIUS_PX = 2

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>histosynth demo</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0
1rem;color:#222}} img{{max-width:100%;height:auto;border-radius:4px}}
figure{{display:inline-block;margin:0 .6rem 1rem 0}} figcaption{{font-size:.85rem;color:#555}}
details{{margin:.5rem 0}} pre{{overflow:auto;background:#f5f5f5;padding:.7rem}}
.note{{background:#fff6e0;padding:.6rem 1rem;border-left:4px solid #e69f00}}</style>
<h1>Tissue from structure</h1>
<p class="note">Everything on this page is synthetic. For research use; not for diagnosis.</p>
<p>{nuclei}</p><p><img src="contact.png" alt="contact sheet"></p>
<h2>Single pictures</h2>{figures}
<h2>Recipe of each picture</h2>{recipes}</html>
"""


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


def page_html(pictures: DemoPictures, names: Sequence[str]) -> str:
    """The page with all pictures and recipes.

    Args:
        pictures: of the demo.
        names: file of each picture of `pictures.results()`, from the page's folder.
    """
    figures = []
    recipes = []
    for name, picture in zip(names, pictures.results(), strict=True):
        figures.append(
            f'<figure><img src="{name}" alt="{name}"><figcaption>{name}</figcaption></figure>'
        )
        text = html.escape(json.dumps(picture.recipe, indent=2))
        recipes.append(f"<details><summary>{name}</summary><pre>{text}</pre></details>")
    return _PAGE.format(
        nuclei=html.escape(visible(_layout_caption(pictures.nuclei))),
        figures="".join(figures),
        recipes="".join(recipes),
    )
