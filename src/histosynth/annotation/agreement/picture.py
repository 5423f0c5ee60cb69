"""A picture of where two annotators differ, with its key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from ...core.arrays import Float64Array
from ...core.dots import ANY_CLASS_COLOUR, CLASS_COLOURS
from ...core.errors import BadOption
from ...core.matching import match_points
from ...core.nuclei import ANY
from ...core.sheet import PAPER_COLOUR
from ...core.tile import Pixels, check_rgb
from .marks_drawing import BOTH_AGREE, OVERSAMPLING, Colour, draw_dot, draw_ring, stripes
from .nuclei import ClassPairs, unmatched
from .picture_key import CellTable, key_entries, with_key
from .reading import Annotation
from .regions import OUTSIDE, class_grid, pair_counts, region_classes

STRIPE_PX = 6
BACKGROUND_STRENGTH = 0.55
PAPER_STRENGTH = 0.45
"""The picture is drawn pale, so that marks stand out."""
AGREED_STRENGTH = 0.22
DIFFERING_STRENGTH = 0.6


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
    Regions are tinted grey where both agree, and striped in both classes' colours where they
    differ; what the second alone drew is striped the other way.

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
        raise BadOption(
            "size, side and reach",
            (*size, side, reach_px),
            "above 0",
        )
    colours = _class_colours(first, second)
    width, height = size
    scale = side / max(size)
    shape = (max(round(height * scale), 1), max(round(width * scale), 1))
    base = _base(background, shape)
    base, cells = _with_regions(
        base,
        first,
        second,
        colours,
        cell=1 / scale,
        order=order,
    )
    drawn, nuclei = _with_nuclei(
        base,
        first,
        second,
        colours,
        reach_px=reach_px,
        scale=scale,
    )
    return with_key(drawn, key_entries(nuclei, cells, colours, names))


def _class_colours(first: Annotation, second: Annotation) -> dict[str, Colour]:
    """A colour of each class of nuclei and regions; `any` has none of its own."""
    names = {*first.marks.names, *second.marks.names}
    names.update(region_classes(first.regions, second.regions))
    colours = {ANY: ANY_CLASS_COLOUR}
    for index, name in enumerate(sorted(names - {ANY})):
        colours[name] = CLASS_COLOURS[index % len(CLASS_COLOURS)]
    return colours


def _base(background: Pixels | None, shape: tuple[int, int]) -> Pixels:
    """(H, W, 3) uint8: the background, pale, or paper."""
    height, width = shape
    if background is None:
        return np.full((height, width, 3), 255, np.uint8)
    check_rgb(background, "background")
    fitted = Image.fromarray(background).resize((width, height), Image.Resampling.LANCZOS)
    pale = BACKGROUND_STRENGTH * np.asarray(fitted) + PAPER_STRENGTH * 255
    return pale.astype(np.uint8)


def _with_regions(
    base: Pixels,
    first: Annotation,
    second: Annotation,
    colours: Mapping[str, Colour],
    *,
    cell: float,
    order: Sequence[str],
) -> tuple[Pixels, CellTable]:
    """The picture with regions, and how many of its cells have each pair of classes."""
    classes = region_classes(first.regions, second.regions)
    if not classes:
        return base, Counter()
    height, width, _ = base.shape
    first_grid = class_grid(
        first.regions,
        classes,
        (height, width),
        cell,
        order,
    )
    second_grid = class_grid(
        second.regions,
        classes,
        (height, width),
        cell,
        order,
    )
    palette = np.array([*(colours[name] for name in classes), PAPER_COLOUR], np.float64)
    rows = np.arange(height)[:, None]
    columns = np.arange(width)[None, :]
    # what the second alone drew leans the other way
    lean = np.where(first_grid == len(classes), -columns, columns)
    is_first = stripes(rows, lean, STRIPE_PX)
    tint = np.where(
        is_first[..., None],
        palette[first_grid],
        palette[second_grid],
    )
    is_agreed = (first_grid == second_grid) & (first_grid < len(classes))
    tint[is_agreed] = ANY_CLASS_COLOUR
    differing_strength = np.where(
        first_grid != second_grid,
        DIFFERING_STRENGTH,
        0.0,
    )
    strength = np.where(is_agreed, AGREED_STRENGTH, differing_strength)[..., None]
    out = (base * (1 - strength) + tint * strength).astype(np.uint8)
    names = [*classes, OUTSIDE]
    counts = pair_counts(first_grid, second_grid, len(names))
    cells: CellTable = Counter()
    for i, j in np.argwhere(counts).tolist():
        cells[names[i], names[j]] = int(counts[i, j])
    return out, cells


def _with_nuclei(
    base: Pixels,
    first: Annotation,
    second: Annotation,
    colours: Mapping[str, Colour],
    *,
    reach_px: float,
    scale: float,
) -> tuple[Pixels, ClassPairs]:
    """The picture with nuclei, and how many have each pair of classes."""
    height, width = base.shape[:2]
    image = Image.fromarray(base).resize(
        (width * OVERSAMPLING, height * OVERSAMPLING),
        Image.Resampling.NEAREST,
    )
    draw = ImageDraw.Draw(image)
    pairs, _ = match_points(first.marks.xy, second.marks.xy, reach_px)
    table: ClassPairs = Counter()
    differing: list[tuple[Float64Array, tuple[str, str]]] = []
    for i, j in pairs:
        classes = (first.marks.names[i], second.marks.names[j])
        table[classes] += 1
        middle = (first.marks.xy[i] + second.marks.xy[j]) / 2
        if classes[0] == classes[1]:
            draw_dot(draw, middle, scale, BOTH_AGREE)
        else:
            differing.append((middle, classes))
    for i in unmatched(first.marks, pairs[:, 0]):
        name = first.marks.names[i]
        table[name, None] += 1
        draw_ring(
            draw,
            first.marks.xy[i],
            scale,
            colours[name],
            broken=False,
        )
    for j in unmatched(second.marks, pairs[:, 1]):
        name = second.marks.names[j]
        table[None, name] += 1
        draw_ring(
            draw,
            second.marks.xy[j],
            scale,
            colours[name],
            broken=True,
        )
    for middle, (first_class, second_class) in differing:  # on top
        draw_dot(
            draw,
            middle,
            scale,
            (colours[first_class], colours[second_class]),
        )
    drawn = image.resize((width, height), Image.Resampling.BOX)
    return np.array(drawn, dtype=np.uint8), table
