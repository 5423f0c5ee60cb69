"""Holes as tissue gets them: strokes, blobs, tears and folds; for training and for trying things out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from .tile import Mask


def draw_hole(random: np.random.Generator, size: tuple[int, int], *, full: float = 0.0) -> Mask:
    """A random hole on a tile.

    Args:
        random: source of randomness.
        size: (width, height) of the tile in pixels.
        full: chance that the whole tile is the hole.

    Returns:
        (H, W) bool, True inside; never empty, and full only by that chance.
    """
    width, height = size
    if random.random() < full:
        return np.ones((height, width), bool)
    while True:
        draw = SHAPES[random.choice(list(SHAPES))]
        hole = draw(random, height, width)
        if 0.01 < hole.mean() < 0.85:
            return hole


def _strokes(random: np.random.Generator, height: int, width: int) -> Mask:
    """Wide brush strokes, as a person paints over a smudge."""
    line = np.zeros((height, width), bool)
    for _ in range(random.integers(1, 5)):
        angle, turn = random.uniform(0, 2 * np.pi), random.normal(0, 0.06)
        _walk(line, random, angle, turn, length=int(random.integers(40, max(height, width, 41))))
    return _thicken(line, random.uniform(5, 24))


def _blob(random: np.random.Generator, height: int, width: int) -> Mask:
    """One or more rounded patches: smooth noise over a falling centre."""
    hole = np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width]
    side = min(height, width)
    for _ in range(random.integers(1, 4)):
        y, x = random.uniform(0, height), random.uniform(0, width)
        radius = random.uniform(0.12, 0.38) * side
        noise = ndimage.zoom(random.normal(0, 0.22, (9, 9)), (height / 9, width / 9), order=1)
        noise = np.pad(noise, ((0, 1), (0, 1)), mode="edge")[:height, :width]
        hole |= np.hypot(rows - y, columns - x) / radius + noise < 1
    return hole


def _tear(random: np.random.Generator, height: int, width: int) -> Mask:
    """A jagged gap from edge to edge that is wide in places."""
    upright = bool(random.random() < 0.5)
    along, across = (height, width) if upright else (width, height)
    jag = np.cumsum(random.normal(0, 1.6, along))
    middle = random.uniform(0.2, 0.8) * across + jag + np.linspace(0, random.normal(0, 0.3 * across), along)
    wide = ndimage.gaussian_filter1d(random.normal(0, 1, along), 12)
    half = np.clip(random.uniform(6, 30) * (1 + wide / (wide.std() + 1e-6) * 0.5), 2, across / 3)
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
    hole = np.zeros((height, width), bool)
    tall, wide = (int(side * random.uniform(0.2, 0.7)) for side in (height, width))
    top, left = (
        random.integers(0, height - tall + 1),
        random.integers(0, width - wide + 1),
    )
    hole[top : top + tall, left : left + wide] = True
    return hole


def _walk(line: Mask, random: np.random.Generator, angle: float, turn: float, *, length: int) -> None:
    height, width = line.shape
    y, x = random.uniform(0, height), random.uniform(0, width)
    for _ in range(length):
        angle += turn + random.normal(0, 0.08)
        y, x = y + np.sin(angle), x + np.cos(angle)
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
}
