"""Random masks of the shapes that damage to tissue has: strokes, blobs, tears, folds, pen, bubbles.

For training and for trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from ..core.arrays import Float64Array
from ..core.errors import BadMask, BadOption
from ..core.tile import Mask

MAX_MASK_TRIES = 1000
"""Tries before a tile is refused as too small for its shapes; on tiles of 64 px one or two are
enough."""
_MIN_SHARE = 0.01
_MAX_SHARE = 0.85
"""Shares of the tile that a mask may take, both exclusive."""


def draw_mask(
    random: Generator,
    size: tuple[int, int],
    *,
    full: float = 0.0,
    shapes: Sequence[str] = (),
) -> Mask:
    """A random mask on a tile.

    Args:
        random: source of randomness.
        size: (width, height) of the tile in pixels.
        full: chance that the mask is the whole tile.
        shapes: names in `SHAPES` to choose from, each as often as it is named; empty: all of them.

    Returns:
        (H, W) bool, True inside; never empty, and full only by that chance.

    Raises:
        BadOption: a name is none of `SHAPES`.
        BadMask: the tile is too small for these shapes.
    """
    width, height = size
    names = list(shapes or SHAPES)
    unknown = [name for name in names if name not in SHAPES]
    if unknown:
        raise BadOption(
            "shapes",
            ", ".join(unknown),
            f"of {', '.join(SHAPES)}",
        )
    if random.random() < full:
        return np.ones((height, width), bool)
    for _ in range(MAX_MASK_TRIES):
        name = random.choice(names)
        mask = SHAPES[name](random, height, width)
        share = mask.mean()
        is_usable = _MIN_SHARE < share < _MAX_SHARE
        if is_usable:
            return mask
    raise BadMask(
        f"None of {MAX_MASK_TRIES} masks ({', '.join(names)}) leaves some of a tile of {width} x "
        f"{height} px.",
        "Take larger tiles, or other shapes.",
    )


def _strokes(
    random: Generator,
    height: int,
    width: int,
) -> Mask:
    """Wide brush strokes, as a user paints over a smudge."""
    line = np.zeros((height, width), bool)
    longest = max(height, width, 41)
    for _ in range(random.integers(1, 5)):
        angle = random.uniform(0, 2 * np.pi)
        turn = random.normal(0, 0.06)
        length = int(random.integers(40, longest))
        _random_walk(
            line,
            random,
            angle,
            turn,
            length=length,
        )
    return _thicken(line, random.uniform(5, 24))


def _blob(
    random: Generator,
    height: int,
    width: int,
) -> Mask:
    """One or more rounded patches: smooth noise over a falling centre."""
    mask = np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width]
    side = min(height, width)
    for _ in range(random.integers(1, 4)):
        y = random.uniform(0, height)
        x = random.uniform(0, width)
        radius = random.uniform(0.12, 0.38) * side
        noise = _smooth_noise(random, height, width)
        distance = np.hypot(rows - y, columns - x)
        mask |= distance / radius + noise < 1
    return mask


def _smooth_noise(
    random: Generator,
    height: int,
    width: int,
) -> Float64Array:
    """Noise on 9 x 9 points, enlarged to (H, W)."""
    coarse = random.normal(0, 0.22, (9, 9))
    noise = ndimage.zoom(
        coarse,
        (height / 9, width / 9),
        order=1,
    )
    # rounding may leave the enlarged noise a pixel short
    padded = np.pad(noise, ((0, 1), (0, 1)), mode="edge")
    return padded[:height, :width]


def _tear(
    random: Generator,
    height: int,
    width: int,
) -> Mask:
    """A jagged gap from edge to edge that is wide in places."""
    if random.random() < 0.5:
        return _vertical_tear(random, height, width)
    return _vertical_tear(random, width, height).T


def _vertical_tear(
    random: Generator,
    height: int,
    width: int,
) -> Mask:
    jags = np.cumsum(random.normal(0, 1.6, height))
    start = random.uniform(0.2, 0.8) * width
    slant = np.linspace(
        0,
        random.normal(0, 0.3 * width),
        height,
    )
    middle = start + jags + slant
    noise = random.normal(0, 1, height)
    variation = ndimage.gaussian_filter1d(noise, 12)
    variation = variation / (variation.std() + 1e-6)
    half_width = random.uniform(6, 30) * (1 + variation * 0.5)
    half_width = np.clip(half_width, 2, width / 3)
    columns = np.arange(width)[None, :]
    distance = np.abs(columns - middle[:, None])
    tear: Mask = distance < half_width[:, None]
    return tear


def _fold(
    random: Generator,
    height: int,
    width: int,
) -> Mask:
    """A straight band at any angle, as a crease in the section leaves it."""
    rows, columns = np.mgrid[:height, :width]
    angle = random.uniform(0, np.pi)
    x = random.uniform(0.2, 0.8) * width
    y = random.uniform(0.2, 0.8) * height
    offset = (columns - x) * np.cos(angle)
    offset = offset + (rows - y) * np.sin(angle)
    half_width = random.uniform(6, 0.16 * min(height, width))
    band: Mask = np.abs(offset) < half_width
    return band


def _block(
    random: Generator,
    height: int,
    width: int,
) -> Mask:
    """A rectangle: what a cropped label or a missing tile leaves."""
    mask = np.zeros((height, width), bool)
    block_height = int(height * random.uniform(0.2, 0.7))
    block_width = int(width * random.uniform(0.2, 0.7))
    top = random.integers(0, height - block_height + 1)
    left = random.integers(0, width - block_width + 1)
    bottom = top + block_height
    right = left + block_width
    mask[top:bottom, left:right] = True
    return mask


def _pen(
    random: Generator,
    height: int,
    width: int,
) -> Mask:
    """Pen on the glass: one or two smooth lines or loops of one width, a dot, or both."""
    radius = max(random.uniform(0.02, 0.08) * min(height, width), 1.5)
    marks = random.choice(["one", "two", "dotted", "dot"], p=[0.5, 0.2, 0.2, 0.1])
    strokes = _choose_strokes(random, str(marks))
    paths = [stroke(random, height, width) for stroke in strokes]
    mask = np.zeros((height, width), bool)
    if paths:
        mask = _trace(paths, (height, width), radius)
    if marks in ("dot", "dotted"):
        mask |= _pen_dot(random, height, width, radius)
    return mask


def _choose_strokes(
    random: Generator,
    marks: str,
) -> list[Stroke]:
    count = 1
    if marks == "two":
        count = 2
    elif marks == "dot":
        count = 0
    strokes: list[Stroke] = []
    for _ in range(count):
        is_line = random.random() < 0.6
        strokes.append(_line if is_line else _loop)
    return strokes


def _pen_dot(
    random: Generator,
    height: int,
    width: int,
    radius: float,
) -> Mask:
    """A jab of the pen: not quite round, and wider than a line, as the ink runs."""
    length = random.uniform(0, radius)
    angle = random.uniform(0, 2 * np.pi)
    direction = [np.sin(angle), np.cos(angle)]
    path = np.linspace(0, length, int(2 * length) + 2)[:, None] * direction
    start = random.uniform(0.1, 0.9, 2) * (height, width)
    dot_radius = radius * random.uniform(1.3, 2.2)
    return _trace(
        [start + path],
        (height, width),
        dot_radius,
    )


def _bubbles(
    random: Generator,
    height: int,
    width: int,
) -> Mask:
    """Air under the cover slip: discs of many sizes that gather, some of them rims only."""
    mask = np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width]
    side = min(height, width)
    rim_width = max(random.uniform(0.012, 0.03) * side, 1.5)
    centre = random.uniform(0, 1, 2) * (height, width)
    radius = random.uniform(0.06, 0.34) * side
    for _ in range(_bubble_count(random)):
        centre_y, centre_x = centre
        distance = np.hypot(rows - centre_y, columns - centre_x)
        is_rim = radius > 5 * rim_width and random.random() < 0.3
        if is_rim:
            mask |= np.abs(distance - radius) < rim_width
        else:
            mask |= distance < radius
        centre = _next_centre(
            random,
            height,
            width,
            centre,
            radius,
        )
        # small bubbles are many
        log_share = random.uniform(np.log(0.025), np.log(0.22))
        radius = side * np.exp(log_share)
    return mask


def _bubble_count(random: Generator) -> int:
    if random.random() < 0.75:
        return 1 + int(random.geometric(0.16))
    return 1


def _next_centre(
    random: Generator,
    height: int,
    width: int,
    centre: Float64Array,
    radius: float,
) -> Float64Array:
    """Next to the bubble at `centre`, or anywhere."""
    angle = random.uniform(0, 2 * np.pi)
    step = radius * random.uniform(0.7, 1.5)
    neighbour = centre + step * np.array([np.sin(angle), np.cos(angle)])
    if random.random() < 0.6:
        return neighbour
    return random.uniform(0, 1, 2) * (height, width)


def _line(
    random: Generator,
    height: int,
    width: int,
) -> Float64Array:
    """(N, 2) rows and columns of a long smooth curve, half a pixel apart, partly on the tile."""
    side = min(height, width)
    length = random.uniform(0.6, 1.8) * side
    along = np.linspace(0, 1, int(2 * length) + 2)
    amplitude = random.uniform(0, 0.6)
    turns = random.uniform(0.4, 1.4) * along + random.random()
    wave = amplitude * np.sin(2 * np.pi * turns)
    start_angle = random.uniform(0, 2 * np.pi)
    bend = random.uniform(-1.6, 1.6) * along
    heading = start_angle + bend + wave
    steps = np.stack([np.sin(heading), np.cos(heading)], 1) * 0.5
    path = np.cumsum(steps, axis=0)
    anchor = path[int(random.uniform(0.3, 0.7) * len(path))]
    position = random.uniform(0.15, 0.85, 2) * (height, width)
    placed: Float64Array = path - anchor + position
    return placed


def _loop(
    random: Generator,
    height: int,
    width: int,
) -> Float64Array:
    """(N, 2) rows and columns of a hand-drawn loop: no ellipse, with ends that do not meet."""
    side = min(height, width)
    radius = random.uniform(0.2, 0.6) * side
    radii = radius * random.uniform(0.75, 1.3, 2)
    extent = random.uniform(0.85, 1.12) * 2 * np.pi
    # steps of at most half a pixel on the longer radius
    count = int(18 * radii.max()) + 2
    around = np.linspace(0, extent, count)
    around = around + random.uniform(0, 2 * np.pi)
    unevenness = random.uniform(0, 0.1)
    phase = random.uniform(0, 2 * np.pi)
    uneven = 1 + unevenness * np.sin(2 * around + phase)
    drift = random.normal(0, 0.08) * np.linspace(-0.5, 0.5, len(around))
    spiral = (uneven + drift)[:, None]
    circle = np.stack([np.sin(around), np.cos(around)], 1)
    path: Float64Array = spiral * radii * circle
    path += random.uniform(0.1, 0.9, 2) * (height, width)
    return path


def _trace(
    paths: Sequence[Float64Array],
    shape: tuple[int, int],
    radius: float,
) -> Mask:
    """Paths (N, 2) of rows and columns as lines of one width on a mask of `shape` (H, W).

    Lines whose middle is off the tile are drawn too.
    """
    height, width = shape
    margin = int(np.ceil(radius)) + 1
    padded_height = height + 2 * margin
    padded_width = width + 2 * margin
    line = np.zeros((padded_height, padded_width), bool)
    points = np.floor(np.concatenate(paths)).astype(int) + margin
    inside = ((points >= 0) & (points < line.shape)).all(axis=1)
    rows, columns = points[inside].T
    line[rows, columns] = True
    thick = _thicken(line, radius)
    return thick[margin:-margin, margin:-margin]


def _random_walk(
    line: Mask,
    random: Generator,
    angle: float,
    turn: float,
    *,
    length: int,
) -> None:
    """Mark the pixels of `line` that a walk of steps of 1 px enters."""
    height, width = line.shape
    y = random.uniform(0, height)
    x = random.uniform(0, width)
    for _ in range(length):
        angle += turn + random.normal(0, 0.08)
        y = y + np.sin(angle)
        x = x + np.cos(angle)
        if 0 <= y < height and 0 <= x < width:
            line[int(y), int(x)] = True


def _thicken(line: Mask, radius: float) -> Mask:
    if not line.any():
        return line
    distance = ndimage.distance_transform_edt(~line)
    thick: Mask = distance <= radius
    return thick


Shape = Callable[[Generator, int, int], Mask]
"""Draws a mask of one shape, (H, W), from a source of randomness, a height and a width."""
Stroke = Callable[[Generator, int, int], Float64Array]
"""Draws a path of pen, (N, 2) rows and columns."""

SHAPES: dict[str, Shape] = {
    "strokes": _strokes,
    "blob": _blob,
    "tear": _tear,
    "fold": _fold,
    "block": _block,
    "pen": _pen,
    "bubbles": _bubbles,
}
