"""A picture of where two annotators differ, with its key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ...core.errors import BadOption
from ...core.matching import match_points
from ...core.nuclei import ANY
from ...core.sheet import ANY_CLASS_COLOUR, CLASS_COLOURS, PAPER_COLOUR, TEXT_COLOUR
from ...core.tile import Pixels, check_rgb
from .reading import Annotation
from .regions import OUTSIDE, class_grid, classes_of

FINE = 2
"""Drawn at twice the size, for round dots."""
SHOWN = 10
LINE = 22
Colour = tuple[int, int, int]


def difference_picture(
    background: Pixels | None,
    first: Annotation,
    second: Annotation,
    *,
    size: tuple[int, int],
    reach_px: float,
    side: int = 1200,
    order: Sequence[str] = (),
    names: tuple[str, str] = ("first", "second"),
) -> Pixels:
    """Where two annotators of one picture differ.

    Nuclei on which both agree are grey dots. Where the classes differ the dot's left half has the
    colour of the first annotator's class and its right half that of the second's. What one alone
    marked is a circle in the colour of its class: whole for the first, broken for the second.
        Regions are tinted
    grey where both agree, and striped in both classes' colours where they differ; what the second
    alone drew is striped the other way.

    Args:
        background: (H, W, 3) uint8 of the picture at any scale, shown pale; None: paper.
        first: of one annotator, px of the picture.
        second: of the other.
        size: (width, height) of the picture in the annotations' px.
        reach_px: two marks no farther apart are one nucleus; > 0.
        side: of the longer side of the drawing, px; the key lies beneath it.
        order: region classes from lowest to topmost; see `region_agreement`.
        names: of the annotators, for the key.

    Returns:
        (H, W, 3) uint8.

    Raises:
        BadOption: a size, side or reach that is not positive.
        NotRGB: the background is no picture.
    """
    if not (min(size) > 0 and side > 0 and reach_px > 0):
        raise BadOption("size, side and reach", (*size, side, reach_px), "above 0")
    classes = sorted(
        {*first.marks.names, *second.marks.names, *classes_of(first.regions, second.regions)}
    )
    colours = {ANY: ANY_CLASS_COLOUR}  # a class that is not told has no colour of its own
    colours |= {
        class_name: CLASS_COLOURS[place % len(CLASS_COLOURS)]
        for place, class_name in enumerate(_told(classes))
    }
    scale = side / max(size)
    shape = (max(round(size[1] * scale), 1), max(round(size[0] * scale), 1))
    base: Pixels = np.full((shape[0], shape[1], 3), 255, np.uint8)
    if background is not None:
        check_rgb(background, "background")
        fitted = Image.fromarray(background).resize(shape[::-1], Image.Resampling.LANCZOS)
        base = (0.55 * np.asarray(fitted) + 0.45 * 255).astype(
            np.uint8
        )  # pale, so that marks stand out
    base, cells = _with_regions(
        base,
        first,
        second,
        colours,
        cell=1 / scale,
        order=order,
    )
    drawn, counts = _with_nuclei(
        base,
        first,
        second,
        colours,
        reach_px=reach_px,
        scale=scale,
    )
    return _with_key(drawn, _entries(counts, cells, colours, names))


def _told(classes: Sequence[str]) -> list[str]:
    return [class_name for class_name in classes if class_name != ANY]


def _with_regions(
    base: Pixels,
    first: Annotation,
    second: Annotation,
    colours: dict[str, Colour],
    *,
    cell: float,
    order: Sequence[str],
) -> tuple[Pixels, Counter[tuple[str, str]]]:
    classes = classes_of(first.regions, second.regions)
    if not classes:
        return base, Counter()
    shape = (base.shape[0], base.shape[1])
    one, two = (class_grid(each.regions, classes, shape, cell, order) for each in (first, second))
    palette = np.array([*(colours[name] for name in classes), PAPER_COLOUR], np.float64)
    rows = np.arange(shape[0])[:, None]
    columns = np.arange(shape[1])[None, :]
    lean = np.where(
        one == len(classes), -columns, columns
    )  # what the second alone drew leans the other way
    stripe = (rows + lean) // 6 % 2 == 0
    tint = np.where(stripe[..., None], palette[one], palette[two])
    same = (one == two) & (one < len(classes))
    tint[same] = ANY_CLASS_COLOUR
    strength = np.where(same, 0.22, np.where(one != two, 0.6, 0.0))[..., None]
    out = (base * (1 - strength) + tint * strength).astype(np.uint8)
    said = [*classes, OUTSIDE]
    pairs = np.bincount(
        one.astype(np.int64).ravel() * len(said) + two.ravel(), minlength=len(said) ** 2
    )
    shares = {(said[i // len(said)], said[i % len(said)]): int(n) for i, n in enumerate(pairs) if n}
    return out, Counter(shares)


def _with_nuclei(
    base: Pixels,
    first: Annotation,
    second: Annotation,
    colours: dict[str, Colour],
    *,
    reach_px: float,
    scale: float,
) -> tuple[Pixels, Counter[tuple[str | None, str | None]]]:
    height, width = base.shape[:2]
    image = Image.fromarray(base).resize((width * FINE, height * FINE), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    pairs, _ = match_points(first.marks.xy, second.marks.xy, reach_px)
    counts: Counter[tuple[str | None, str | None]] = Counter()
    differing = []
    for i, j in pairs:
        classes = (first.marks.names[i], second.marks.names[j])
        counts[classes] += 1
        at = (first.marks.xy[i] + second.marks.xy[j]) / 2
        if classes[0] != classes[1]:
            differing.append((at, classes))
        else:
            _dot(draw, at, scale, (ANY_CLASS_COLOUR, ANY_CLASS_COLOUR))
    for place, (marks, column) in enumerate(((first.marks, 0), (second.marks, 1))):
        for index in sorted(set(range(len(marks))) - set(pairs[:, column].tolist())):
            class_name = marks.names[index]
            counts[(None, class_name) if place else (class_name, None)] += 1
            _ring(
                draw,
                marks.xy[index],
                scale,
                colours[class_name],
                broken=bool(place),
            )
    for at, classes in differing:  # on top
        _dot(
            draw,
            at,
            scale,
            (colours[classes[0]], colours[classes[1]]),
        )
    return np.array(image.resize((width, height), Image.Resampling.BOX), dtype=np.uint8), counts


def _box(at: NDArray[np.float64], scale: float, radius: float) -> tuple[float, float, float, float]:
    x, y = ((float(value) + 0.5) * scale * FINE for value in at)
    return x - radius * FINE, y - radius * FINE, x + radius * FINE, y + radius * FINE


def _dot(
    draw: ImageDraw.ImageDraw,
    at: NDArray[np.float64],
    scale: float,
    halves: tuple[Colour, Colour],
) -> None:
    same = halves == (ANY_CLASS_COLOUR, ANY_CLASS_COLOUR)
    radius = 3.5 if same else 7.0
    draw.ellipse(_box(at, scale, radius + 1), fill=PAPER_COLOUR if same else TEXT_COLOUR)
    draw.pieslice(
        _box(at, scale, radius),
        90,
        270,
        fill=halves[0],
    )
    draw.pieslice(
        _box(at, scale, radius),
        270,
        450,
        fill=halves[1],
    )


def _ring(
    draw: ImageDraw.ImageDraw,
    at: NDArray[np.float64],
    scale: float,
    colour: Colour,
    *,
    broken: bool,
) -> None:
    box = _box(at, scale, 7.0)
    # a pale rim, as some colours are close to those of tissue
    draw.ellipse(_box(at, scale, 8.2), outline=PAPER_COLOUR, width=round(5 * FINE))
    for start in range(0, 360, 60):
        draw.arc(
            box,
            start,
            start + (34 if broken else 60),
            fill=colour,
            width=round(2.5 * FINE),
        )


Entry = tuple[str, tuple[Colour, Colour], str]


def _entries(
    counts: Counter[tuple[str | None, str | None]],
    cells: Counter[tuple[str, str]],
    colours: dict[str, Colour],
    names: tuple[str, str],
) -> list[Entry]:
    """(sign, colours, text) of each line of the key, the most frequent difference first."""
    grey = (ANY_CLASS_COLOUR, ANY_CLASS_COLOUR)
    out: list[Entry] = []
    if counts:
        agreed = sum(n for (a, b), n in counts.items() if a == b)
        out.append(("dot", grey, f"nuclei: both agree: {agreed:,}"))
        both = [(a, b, n) for (a, b), n in counts.most_common() if a and b and a != b]
        out += [
            ("dot", (colours[a], colours[b]), f"{names[0]}: {a}, {names[1]}: {b}: {n:,}")
            for a, b, n in both[:SHOWN]
        ]
        rest = sum(n for *_, n in both[SHOWN:])
        out += [("", grey, f"other differences of class: {rest:,}")] if rest else []
        for (a, b), n in counts.most_common():
            if a is None or b is None:
                class_name = a or b or ANY
                sign, name = ("ring", names[0]) if a else ("broken", names[1])
                out.append(
                    (
                        sign,
                        (colours[class_name], colours[class_name]),
                        f"only {name}: {class_name}: {n:,}",
                    )
                )
    area = sum(n for pair, n in cells.items() if pair != (OUTSIDE, OUTSIDE))
    if area:
        agreed = sum(n for (a, b), n in cells.items() if a == b != OUTSIDE)
        out.append(("area", grey, f"regions: both agree: {agreed / area:.1%} of what either drew"))
        for (a, b), n in [item for item in cells.most_common() if item[0][0] != item[0][1]][:SHOWN]:
            pair = (colours.get(a, PAPER_COLOUR), colours.get(b, PAPER_COLOUR))
            text = f"{names[0]}: {a}, {names[1]}: {b}"
            sign = "stripes"
            if OUTSIDE in (a, b):
                text = f"only {names[1]}: {b}" if a == OUTSIDE else f"only {names[0]}: {a}"
                sign = "leaning" if a == OUTSIDE else sign
            out.append((sign, pair, f"{text}: {n / area:.1%}"))
    return out or [("", grey, "neither marked anything")]


def _with_key(picture: Pixels, entries: Sequence[Entry]) -> Pixels:
    height, width = picture.shape[:2]
    pad = 8
    font = ImageFont.load_default(size=14)
    widest = max(round(font.getlength(text)) for *_, text in entries) + 34 + 2 * pad
    columns = max(width // widest, 1)
    lines = -(-len(entries) // columns)
    out = Image.new("RGB", (max(width, widest), height + 2 * pad + lines * LINE), PAPER_COLOUR)
    out.paste(Image.fromarray(picture), (0, 0))
    key = Image.new("RGB", (out.width * FINE, lines * LINE * FINE), PAPER_COLOUR)
    draw = ImageDraw.Draw(key)
    for place, (sign, colours, _) in enumerate(entries):
        x = place // lines * widest + pad + 10
        y = place % lines * LINE + LINE / 2
        _sign(draw, sign, np.array([x - 0.5, y - 0.5]), colours)
    out.paste(key.resize((out.width, lines * LINE), Image.Resampling.BOX), (0, height + pad))
    draw = ImageDraw.Draw(out)
    for place, (*_, text) in enumerate(entries):
        x = place // lines * widest + pad + 28
        y = height + pad + place % lines * LINE
        draw.text((x, y + 2), text, fill=TEXT_COLOUR, font=font)
    return np.array(out, dtype=np.uint8)


def _sign(
    draw: ImageDraw.ImageDraw,
    sign: str,
    at: NDArray[np.float64],
    colours: tuple[Colour, Colour],
) -> None:
    left, top, right, bottom = _box(at, 1.0, 8.0)
    if sign == "dot":
        _dot(draw, at, 1.0, colours)
    elif sign in ("ring", "broken"):
        _ring(draw, at, 1.0, colours[0], broken=sign == "broken")
    elif sign == "area":
        draw.rectangle((left, top, right, bottom), fill=(214, 214, 214))
    elif sign in ("stripes", "leaning"):
        span = np.arange(16 * FINE)
        lean = -span if sign == "leaning" else span
        stripe = (span[:, None] + lean[None, :]) // (4 * FINE) % 2 == 0
        draw.rectangle((left, top, right, bottom), fill=colours[1])
        for y, x in np.argwhere(stripe).tolist():
            draw.point((round(left) + x, round(top) + y), fill=colours[0])
        draw.rectangle((left, top, right, bottom), outline=TEXT_COLOUR, width=1)
