"""Holes as tissue gets them: strokes, blobs, tears, folds, pen, bubbles; for training and for
trying out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.errors import BadMask, BadOption
from ..core.tile import Mask

MAX_MASK_TRIES = 1000
"""Draws before a tile is called too small for its shapes; on tiles of 64 px one or two are
enough."""


def draw_mask(
    random: np.random.Generator,
    size: tuple[int, int],
    *,
    full: float = 0.0,
    shapes: Sequence[str] = (),
) -> Mask:
    """A random hole on a tile.

    Args:
        random: source of randomness.
        size: (width, height) of the tile in pixels.
        full: chance that the whole tile is the hole.
        shapes: names in `SHAPES` to draw from, each as often as it is named; empty: all of them.

    Returns:
        (H, W) bool, True inside; never empty, and full only by that chance.

    Raises:
        BadOption: a name is none of `SHAPES`.
        BadHole: the tile is too small for these shapes.
    """
    width, height = size
    names = list(shapes or SHAPES)
    if unknown := [name for name in names if name not in SHAPES]:
        raise BadOption("shapes", ", ".join(unknown), f"of {', '.join(SHAPES)}")
    if random.random() < full:
        return np.ones((height, width), bool)
    for _ in range(MAX_MASK_TRIES):
        mask = SHAPES[random.choice(names)](random, height, width)
        if 0.01 < mask.mean() < 0.85:
            return mask
    raise BadMask(
        f"None of {MAX_MASK_TRIES} holes ({', '.join(names)}) leaves some of a tile of {width} x "
        f"{height} px.",
        "Take larger tiles, or other shapes.",
    )


def _strokes(random: np.random.Generator, height: int, width: int) -> Mask:
    """Wide brush strokes, as a person paints over a smudge."""
    line = np.zeros((height, width), bool)
    for _ in range(random.integers(1, 5)):
        angle = random.uniform(0, 2 * np.pi)
        turn = random.normal(0, 0.06)
        _walk(
            line,
            random,
            angle,
            turn,
            length=int(random.integers(40, max(height, width, 41))),
        )
    return _thicken(line, random.uniform(5, 24))


def _blob(random: np.random.Generator, height: int, width: int) -> Mask:
    """One or more rounded patches: smooth noise over a falling centre."""
    mask = np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width]
    side = min(height, width)
    for _ in range(random.integers(1, 4)):
        y = random.uniform(0, height)
        x = random.uniform(0, width)
        radius = random.uniform(0.12, 0.38) * side
        noise = ndimage.zoom(random.normal(0, 0.22, (9, 9)), (height / 9, width / 9), order=1)
        noise = np.pad(noise, ((0, 1), (0, 1)), mode="edge")[:height, :width]
        mask |= np.hypot(rows - y, columns - x) / radius + noise < 1
    return mask


def _tear(random: np.random.Generator, height: int, width: int) -> Mask:
    """A jagged gap from edge to edge that is wide in places."""
    upright = bool(random.random() < 0.5)
    along, across = (height, width) if upright else (width, height)
    jag = np.cumsum(random.normal(0, 1.6, along))
    middle = (
        random.uniform(0.2, 0.8) * across
        + jag
        + np.linspace(0, random.normal(0, 0.3 * across), along)
    )
    wide = ndimage.gaussian_filter1d(random.normal(0, 1, along), 12)
    half = np.clip(
        random.uniform(6, 30) * (1 + wide / (wide.std() + 1e-6) * 0.5),
        2,
        across / 3,
    )
    position = np.arange(across)[None, :]
    tear = np.abs(position - middle[:, None]) < half[:, None]
    turned: Mask = tear if upright else tear.T
    return turned


def _fold(random: np.random.Generator, height: int, width: int) -> Mask:
    """A straight band at any angle, as a crease in the section leaves it."""
    rows, columns = np.mgrid[:height, :width]
    angle = random.uniform(0, np.pi)
    offset = (columns - random.uniform(0.2, 0.8) * width) * np.cos(angle)
    offset = offset + (rows - random.uniform(0.2, 0.8) * height) * np.sin(angle)
    folded: Mask = np.abs(offset) < random.uniform(6, 0.16 * min(height, width))
    return folded


def _block(random: np.random.Generator, height: int, width: int) -> Mask:
    """A rectangle: what a cropped-out label, a missing tile or a tidy test leaves."""
    mask = np.zeros((height, width), bool)
    tall, wide = (int(side * random.uniform(0.2, 0.7)) for side in (height, width))
    top = random.integers(0, height - tall + 1)
    left = random.integers(0, width - wide + 1)
    mask[top : top + tall, left : left + wide] = True
    return mask


def _pen(random: np.random.Generator, height: int, width: int) -> Mask:
    """Pen on the glass: a smooth line or loop of one width, or two; at times with a dot, or only
    that.
    """
    side = min(height, width)
    radius = max(random.uniform(0.02, 0.08) * side, 1.5)
    drawn = random.choice(["one", "two", "dotted", "dot"], p=[0.5, 0.2, 0.2, 0.1])
    strokes = [
        _line if random.random() < 0.6 else _loop for _ in range({"two": 2, "dot": 0}.get(drawn, 1))
    ]
    paths = [stroke(random, height, width) for stroke in strokes]
    mask = _trace(paths, (height, width), radius) if paths else np.zeros((height, width), bool)
    if drawn in ("dot", "dotted"):  # a jab, not quite round, and wider than the line: ink runs
        jab = random.uniform(0, radius)
        angle = random.uniform(0, 2 * np.pi)
        along = np.linspace(0, jab, int(2 * jab) + 2)[:, None] * [np.sin(angle), np.cos(angle)]
        at = random.uniform(0.1, 0.9, 2) * (height, width)
        mask |= _trace([at + along], (height, width), radius * random.uniform(1.3, 2.2))
    return mask


def _bubbles(random: np.random.Generator, height: int, width: int) -> Mask:
    """Air under the cover slip: discs of many sizes that gather; of some only the dark rim is
    lost.
    """
    mask = np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width]
    side = min(height, width)
    thin = max(random.uniform(0.012, 0.03) * side, 1.5)
    at = random.uniform(0, 1, 2) * (height, width)
    radius = random.uniform(0.06, 0.34) * side
    for _ in range(1 + int(random.geometric(0.16)) if random.random() < 0.75 else 1):
        away = np.hypot(rows - at[0], columns - at[1])
        rim = radius > 5 * thin and random.random() < 0.3
        mask |= (np.abs(away - radius) < thin) if rim else (away < radius)
        # the next one lies by this one, or apart; small ones are many
        angle = random.uniform(0, 2 * np.pi)
        step = radius * random.uniform(0.7, 1.5)
        near = at + step * np.array([np.sin(angle), np.cos(angle)])
        at = near if random.random() < 0.6 else random.uniform(0, 1, 2) * (height, width)
        radius = side * np.exp(random.uniform(np.log(0.025), np.log(0.22)))
    return mask


def _line(random: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """(N, 2) rows and columns of a long smooth curve, half a pixel apart, some of it on the
    tile.
    """
    side = min(height, width)
    along = np.linspace(0, 1, int(2 * random.uniform(0.6, 1.8) * side) + 2)
    wave = random.uniform(0, 0.6) * np.sin(
        2 * np.pi * (random.uniform(0.4, 1.4) * along + random.random())
    )
    heading = random.uniform(0, 2 * np.pi) + random.uniform(-1.6, 1.6) * along + wave
    path = np.cumsum(np.stack([np.sin(heading), np.cos(heading)], 1) * 0.5, axis=0)
    middle = path[int(random.uniform(0.3, 0.7) * len(path))]
    placed: NDArray[np.float64] = path - middle + random.uniform(0.15, 0.85, 2) * (height, width)
    return placed


def _loop(random: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """(N, 2) rows and columns of a loop by hand: no ellipse, and its ends miss or pass each
    other.
    """
    side = min(height, width)
    radii = random.uniform(0.2, 0.6) * side * random.uniform(0.75, 1.3, 2)
    # steps of at most half a pixel on the longer radius
    around = np.linspace(
        0,
        random.uniform(0.85, 1.12) * 2 * np.pi,
        int(18 * radii.max()) + 2,
    )
    around = around + random.uniform(0, 2 * np.pi)
    uneven = 1 + random.uniform(0, 0.1) * np.sin(2 * around + random.uniform(0, 2 * np.pi))
    spiral = (uneven + random.normal(0, 0.08) * np.linspace(-0.5, 0.5, len(around)))[:, None]
    path: NDArray[np.float64] = spiral * radii * np.stack([np.sin(around), np.cos(around)], 1)
    path += random.uniform(0.1, 0.9, 2) * (height, width)
    return path


def _trace(paths: Sequence[NDArray[np.float64]], size: tuple[int, int], radius: float) -> Mask:
    """Paths (N, 2) of rows and columns as lines of one width, also where their middle is off the
    tile.
    """
    margin = int(np.ceil(radius)) + 1
    line = np.zeros((size[0] + 2 * margin, size[1] + 2 * margin), bool)
    at = np.floor(np.concatenate(paths)).astype(int) + margin
    rows, columns = at[((at >= 0) & (at < line.shape)).all(axis=1)].T
    line[rows, columns] = True
    return _thicken(line, radius)[margin:-margin, margin:-margin]


def _walk(
    line: Mask,
    random: np.random.Generator,
    angle: float,
    turn: float,
    *,
    length: int,
) -> None:
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
    thick: Mask = ndimage.distance_transform_edt(~line) <= radius
    return thick


SHAPES: dict[str, Callable[[np.random.Generator, int, int], Mask]] = {
    "strokes": _strokes,
    "blob": _blob,
    "tear": _tear,
    "fold": _fold,
    "block": _block,
    "pen": _pen,
    "bubbles": _bubbles,
}
