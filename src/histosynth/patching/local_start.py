"""Where the completion of a wide canvas starts: tissue copied from near by, part after part.

Patches that fit are found among a few thousand: those of a few hundred pixels around a place are
better than as many of a whole millimetre.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..core.condition import Condition, Context
from ..core.geometry import Box
from ..model.autoencoder import FACTOR
from ..sampling.exemplar_start import Start, exemplar_start
from ..tissue.appearance import StainFrame

_CORE_PX = 384
_MARGINS_PX = (128, 320, 640)
"""Around a part; the next one where too little is known."""
_LEAST_KNOWN = 0.25


def local_start(
    condition: Condition,
    frame: StainFrame,
    seed: int,
    nuclei_time: float,
) -> Start:
    """What a canvas starts from; parts without enough known tissue around start from noise.

    Args:
        condition: of the canvas, its sides multiples of the latent cell.
        frame: the known tissue's stain.
        seed: of the copied tissue.
        nuclei_time: see `exemplar_start`.
    """
    context = condition.context
    if context is None:
        raise ValueError("a canvas has known pixels")
    pixels = context.pixels.copy()
    unknown = context.mask.copy()
    height, width = unknown.shape
    times = np.ones((height // FACTOR, width // FACTOR), np.float32)
    ground = np.zeros(unknown.shape, np.float32)
    whole = Box(0, 0, width, height)
    number = 0
    for y in range(0, height, _CORE_PX):
        for x in range(0, width, _CORE_PX):
            core = whole.intersect(Box(x, y, _CORE_PX, _CORE_PX))
            if core is None or not unknown[core.slices].any():
                continue
            number += 1
            around = _around(core, whole, unknown)
            part = _part(condition, pixels, unknown, around)
            start = exemplar_start(
                part,
                frame,
                seed + number,
                nuclei_time,
            )
            if start is None:
                continue
            inside = core.shift(-around.x, -around.y)
            pixels[core.slices] = start.pixels[inside.slices]
            times[_cells(core).slices] = start.times[_cells(inside).slices]
            ground[core.slices] = start.ground[inside.slices]
            unknown[core.slices] = False
    return Start(pixels, times, ground)


def _around(
    core: Box,
    whole: Box,
    unknown: np.ndarray,
) -> Box:
    """The part with as much around it as holds enough known tissue."""
    around = core
    for margin in _MARGINS_PX:
        grown = Box(
            core.x - margin,
            core.y - margin,
            core.width + 2 * margin,
            core.height + 2 * margin,
        )
        around = whole.intersect(grown) or core
        if (~unknown[around.slices]).mean() >= _LEAST_KNOWN:
            break
    return around


def _part(
    condition: Condition,
    pixels: np.ndarray,
    unknown: np.ndarray,
    box: Box,
) -> Condition:
    nuclei = condition.nuclei
    mask = unknown[box.slices]
    context = None if mask.all() else Context(pixels[box.slices], mask)
    return replace(
        condition,
        nuclei=None if nuclei is None else nuclei.crop(box),
        size=box.size,
        context=context,
    )


def _cells(box: Box) -> Box:
    """The latent cells of pixels."""
    return Box(*(value // FACTOR for value in (box.x, box.y, box.width, box.height)))
