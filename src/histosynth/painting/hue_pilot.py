"""The change of hue of a whole slide, measured on a few tiles of it that are painted first.

Each by itself would get its own change, and a seam would show between them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..core.arrays import Float32Array
from ..core.geometry import Box, Size
from ..engine.threads import one_thread
from ..model.autoencoder import FACTOR
from ..sampling.painter import paint_latents
from ..tissue.appearance import Appearance
from ..tissue.hue import HueCurve, HueShift
from .opened import OpenedScene, pixels_of

TILE_CELLS = 64
"""Side of a pilot tile: 512 px."""
TILES = 4
_CANDIDATES = 4
"""Along a side: places whose nuclei are counted."""
_DIGITS = 6


def slide_appearance(opened: OpenedScene) -> Appearance:
    """The scene's appearance with one change of hue for all of the slide."""
    appearance = opened.scene.appearance
    if not isinstance(appearance.hue, HueCurve):
        return appearance
    places = _pilot_places(opened)
    if not places:
        return replace(appearance, hue=None)
    with one_thread():
        pixels = np.concatenate([_paint_alone(opened, cells).reshape(-1, 3) for cells in places])
    shift = appearance.hue.shift_of(pixels)
    return replace(
        appearance,
        hue=HueShift(
            round(shift.top, _DIGITS),
            shift.shift.round(_DIGITS),
        ),
    )


def _pilot_places(opened: OpenedScene) -> list[Box]:
    """The cells of the tiles with most nuclei, of those at even distances over the slide."""
    canvas = opened.lattice.canvas
    grid = opened.bundle.grid_px // FACTOR
    least = -(-opened.bundle.info.least_px // FACTOR)
    size = Size(
        *(
            _side(
                side,
                least,
                grid,
            )
            for side in (canvas.width, canvas.height)
        )
    )
    counted = []
    for y in _starts(canvas.height, size.height):
        for x in _starts(canvas.width, size.width):
            cells = Box(
                x,
                y,
                *size,
            )
            box = pixels_of(cells)
            empty = opened.empty(box)
            if empty is not None and empty.mean() > 0.5:
                continue
            counted.append((-len(opened.scene.layout.window(box)), y, x))
    chosen = sorted(counted)[:TILES]
    return [
        Box(
            x,
            y,
            *size,
        )
        for _, y, x in chosen
    ]


def _side(cells: int, least: int, grid: int) -> int:
    wanted = max(min(TILE_CELLS, cells), least)
    return -(-wanted // grid) * grid


def _starts(cells: int, side: int) -> list[int]:
    room = max(cells - side, 0)
    return sorted({round(room * (part + 0.5) / _CANDIDATES) for part in range(_CANDIDATES)})


def _paint_alone(opened: OpenedScene, cells: Box) -> Float32Array:
    """A tile (H, W, 3) without its neighbours, in canonical stain."""
    latents = paint_latents(
        opened.bundle,
        opened.maps(cells),
        opened.style,
        opened.noise(cells),
        opened.scene.settings,
    )
    return opened.decoded(latents)
