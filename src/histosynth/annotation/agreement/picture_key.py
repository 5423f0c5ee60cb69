"""The key beneath the picture of differences: a sign and a text for each difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...core.arrays import Float64Array
from ...core.nuclei import ANY
from ...core.sheet import PAPER_COLOUR, TEXT_COLOUR
from ...core.tile import Pixels
from .marks_drawing import (
    BOTH_AGREE,
    OVERSAMPLING,
    Colour,
    box_around,
    draw_dot,
    draw_ring,
    draw_striped_square,
)
from .nuclei import ClassPairs
from .regions import OUTSIDE

MAX_DIFFERENCES_SHOWN = 10
"""Of nuclei, and of regions."""
_LINE_PX = 22
_PAD_PX = 8
_SIGN_PX = 34
"""Width of a sign with the gap to its text."""
_AREA_COLOUR: Colour = (214, 214, 214)

Sign = Literal["", "dot", "ring", "broken", "area", "stripes", "leaning"]
CellTable = Counter[tuple[str, str]]
"""How many cells have one class by the first annotator and another by the second."""


@dataclass(frozen=True)
class KeyEntry:
    """One line of the key.

    Attributes:
        sign: what is drawn before the text.
        colours: of the sign's halves or stripes.
        text: what it stands for.
    """

    sign: Sign
    colours: tuple[Colour, Colour]
    text: str


def key_entries(
    nuclei: ClassPairs,
    cells: CellTable,
    colours: Mapping[str, Colour],
    names: tuple[str, str],
) -> list[KeyEntry]:
    """The lines of the key, the most frequent difference first.

    Args:
        nuclei: pairs of classes; see `ClassPairs`.
        cells: pairs of region classes.
        colours: of the classes.
        names: of the annotators.
    """
    entries: list[KeyEntry] = []
    if nuclei:
        entries += _agreed_nuclei(nuclei)
        entries += _differing_nuclei(nuclei, colours, names)
        entries += _lone_nuclei(nuclei, colours, names)
    entries += _region_entries(cells, colours, names)
    if not entries:
        entries.append(KeyEntry("", BOTH_AGREE, "neither marked anything"))
    return entries


def _agreed_nuclei(nuclei: ClassPairs) -> list[KeyEntry]:
    agreed = sum(count for (first, second), count in nuclei.items() if first == second)
    return [KeyEntry("dot", BOTH_AGREE, f"nuclei: both agree: {agreed:,}")]


def _differing_nuclei(
    nuclei: ClassPairs,
    colours: Mapping[str, Colour],
    names: tuple[str, str],
) -> list[KeyEntry]:
    """Nuclei that both marked, with different classes."""
    entries: list[KeyEntry] = []
    rest = 0
    for (first, second), count in nuclei.most_common():
        if first is None or second is None or first == second:
            continue
        if len(entries) == MAX_DIFFERENCES_SHOWN:
            rest += count
            continue
        text = f"{names[0]}: {first}, {names[1]}: {second}: {count:,}"
        entries.append(KeyEntry("dot", (colours[first], colours[second]), text))
    if rest:
        entries.append(KeyEntry("", BOTH_AGREE, f"other differences of class: {rest:,}"))
    return entries


def _lone_nuclei(
    nuclei: ClassPairs,
    colours: Mapping[str, Colour],
    names: tuple[str, str],
) -> list[KeyEntry]:
    """Nuclei that one annotator alone marked."""
    entries: list[KeyEntry] = []
    for (first, second), count in nuclei.most_common():
        if first is not None and second is not None:
            continue
        sign: Sign = "ring" if first else "broken"
        name = names[0] if first else names[1]
        class_name = first or second or ANY
        colour = colours[class_name]
        text = f"only {name}: {class_name}: {count:,}"
        entries.append(KeyEntry(sign, (colour, colour), text))
    return entries


def _region_entries(
    cells: CellTable,
    colours: Mapping[str, Colour],
    names: tuple[str, str],
) -> list[KeyEntry]:
    """Shares of what either drew: where both agree, and the largest differences."""
    drawn = sum(count for pair, count in cells.items() if pair != (OUTSIDE, OUTSIDE))
    if not drawn:
        return []
    agreed = 0
    differing = []
    for pair, count in cells.most_common():
        first, second = pair
        if first != second:
            differing.append((pair, count))
        elif first != OUTSIDE:
            agreed += count
    share = f"{agreed / drawn:.1%}"
    entries = [KeyEntry("area", BOTH_AGREE, f"regions: both agree: {share} of what either drew")]
    for pair, count in differing[:MAX_DIFFERENCES_SHOWN]:
        entries.append(
            _region_entry(
                pair,
                f"{count / drawn:.1%}",
                colours,
                names,
            )
        )
    return entries


def _region_entry(
    pair: tuple[str, str],
    share: str,
    colours: Mapping[str, Colour],
    names: tuple[str, str],
) -> KeyEntry:
    first, second = pair
    sign: Sign = "stripes"
    if first == OUTSIDE:
        sign = "leaning"
        text = f"only {names[1]}: {second}"
    elif second == OUTSIDE:
        text = f"only {names[0]}: {first}"
    else:
        text = f"{names[0]}: {first}, {names[1]}: {second}"
    stripe_colours = (colours.get(first, PAPER_COLOUR), colours.get(second, PAPER_COLOUR))
    return KeyEntry(sign, stripe_colours, f"{text}: {share}")


def with_key(picture: Pixels, entries: Sequence[KeyEntry]) -> Pixels:
    """The picture with its key beneath it, in as many columns as fit."""
    height, width = picture.shape[:2]
    font = ImageFont.load_default(size=14)
    text_width = max(round(font.getlength(entry.text)) for entry in entries)
    column_width = text_width + _SIGN_PX + 2 * _PAD_PX
    columns = max(width // column_width, 1)
    lines = -(-len(entries) // columns)
    total_width = max(width, column_width)
    total_height = height + 2 * _PAD_PX + lines * _LINE_PX
    out = Image.new(
        "RGB",
        (total_width, total_height),
        PAPER_COLOUR,
    )
    out.paste(Image.fromarray(picture), (0, 0))
    signs = _draw_signs(
        entries,
        lines,
        column_width,
        total_width,
    )
    out.paste(signs, (0, height + _PAD_PX))
    draw = ImageDraw.Draw(out)
    for index, entry in enumerate(entries):
        x = index // lines * column_width + _PAD_PX + 28
        y = height + _PAD_PX + index % lines * _LINE_PX
        draw.text(
            (x, y + 2),
            entry.text,
            fill=TEXT_COLOUR,
            font=font,
        )
    return np.array(out, dtype=np.uint8)


def _draw_signs(
    entries: Sequence[KeyEntry],
    lines: int,
    column_width: int,
    total_width: int,
) -> Image.Image:
    """The signs of all lines, drawn oversampled."""
    size = (total_width, lines * _LINE_PX)
    image = Image.new(
        "RGB",
        (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING),
        PAPER_COLOUR,
    )
    draw = ImageDraw.Draw(image)
    for index, entry in enumerate(entries):
        x = index // lines * column_width + _PAD_PX + 10
        y = index % lines * _LINE_PX + _LINE_PX / 2
        _draw_sign(draw, entry, np.array([x - 0.5, y - 0.5]))
    return image.resize(size, Image.Resampling.BOX)


def _draw_sign(
    draw: ImageDraw.ImageDraw,
    entry: KeyEntry,
    at: Float64Array,
) -> None:
    box = box_around(at, 1.0, 8.0)
    match entry.sign:
        case "dot":
            draw_dot(draw, at, 1.0, entry.colours)
        case "ring" | "broken":
            draw_ring(
                draw,
                at,
                1.0,
                entry.colours[0],
                broken=entry.sign == "broken",
            )
        case "area":
            draw.rectangle(box, fill=_AREA_COLOUR)
        case "stripes" | "leaning":
            draw_striped_square(
                draw,
                box,
                entry.colours,
                leaning=entry.sign == "leaning",
            )
