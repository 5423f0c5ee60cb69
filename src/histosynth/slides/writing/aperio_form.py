"""What a slide in the form of Aperio's SVS states of itself, in its description."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ...core.geometry import Size
from ...core.marking import RECIPE_KEY, recipe_text, source_type
from ..ome_xml import MAX_XML_CHARACTERS
from ..tiff_pages import opened_tiff
from .description import SOFTWARE, SlideDescription, check_length

SVS_SUFFIX = ".svs"
_START = "Aperio Image Library form, written by "
"""Readers know the form by its first word."""
_POWER = re.compile(r"\|\s*AppMag\s*=\s*(\d+(?:\.\d+)?)\s*(?:\||$)")


def aperio_text(
    description: SlideDescription,
    size: Size,
    tile: Size,
    before: str,
) -> str:
    """The text of tag ImageDescription.

    Args:
        description: of the slide.
        size: of level 0, px.
        tile: of its tiles, px.
        before: text of the slide that it was made from; its magnification alone is carried over.

    Raises:
        BadOption: a recipe that is too long for readers.
    """
    recipe = dict(description.recipe)
    width, height = size
    lines = f"{_START}{SOFTWARE}\r\n{width}x{height} [0,0 {width}x{height}] "
    lines += f"({tile.width}x{tile.height}); {description.text}"
    facts = {
        "MPP": repr(float(description.mpp)),
        "synthetic": str(recipe["extent"]),
        "DigitalSourceType": source_type(recipe),
        RECIPE_KEY: _escaped(recipe_text(recipe)),
    }
    power = _POWER.search(before)
    if power is not None:
        facts = {"AppMag": power.group(1), **facts}
    text = lines + "".join(f"|{name} = {value}" for name, value in facts.items())
    check_length(text)
    return text


def _escaped(recipe: str) -> str:
    """JSON without the characters that divide such a text."""
    return recipe.replace("|", "\\u007c").replace("=", "\\u003d")


def read_aperio_recipe(path: Path) -> dict[str, Any] | None:
    """The recipe in a slide of Aperio's form that histosynth wrote, or None.

    Raises:
        NotThisReader: no TIFF.
    """
    with opened_tiff(path) as tiff:
        text = tiff.pages.first.description
    if not text.startswith(_START) or len(text) > MAX_XML_CHARACTERS:
        return None
    name = f"|{RECIPE_KEY} = "
    try:
        recipe = json.loads(text[text.index(name) + len(name) :].split("|")[0])
    except (ValueError, RecursionError):
        return None
    return recipe if isinstance(recipe, dict) else None
