"""One plot of a slide: from clean latents to finished pixels."""

from __future__ import annotations

import numpy as np
import torch

from ..core.geometry import Box
from ..core.tile import Pixels
from ..model.autoencoder import FACTOR
from ..model.inner_decoding import Rim
from ..tissue.film_grain import HALO_PX
from .latents import LatentFiles
from .opened import grown, pixels_of

PLOT_PX = 1024
"""Side of a plot; larger ones cost as much for their area, and more memory."""
DECODER_REACH_CELLS = 9
"""Cells beyond a pixel that decide it."""
_FINISH_CELLS = -(-(HALO_PX + 5) // FACTOR)
"""Cells beyond a pixel that decide its grain, and its glass within 4 px of tissue."""


def needed_cells(box: Box, canvas: Box) -> tuple[Box, Box]:
    """The latent cells whose pixels are finished for a box, and those that are decoded for it.

    Args:
        box: pixels of a plot.
        canvas: all cells.
    """
    first_x = box.x // FACTOR
    first_y = box.y // FACTOR
    inner = Box(
        first_x,
        first_y,
        -(-box.right // FACTOR) - first_x,
        -(-box.bottom // FACTOR) - first_y,
    )
    finished = grown(
        inner,
        _FINISH_CELLS,
    ).intersect(canvas)
    decoded = grown(
        inner,
        _FINISH_CELLS + DECODER_REACH_CELLS,
    ).intersect(canvas)
    if finished is None or decoded is None:
        raise ValueError(f"a plot at {box.x}, {box.y} is not on the slide")
    return finished, decoded


@torch.inference_mode()
def paint_plot(files: LatentFiles, box: Box) -> Pixels:
    """(H, W, 3) uint8 of a plot, in the slide's appearance."""
    opened = files.opened
    canvas = opened.lattice.canvas
    finished_cells, decoded_cells = needed_cells(
        box,
        canvas,
    )
    empty = opened.empty(pixels_of(decoded_cells))
    if empty is not None and empty.all():
        even = np.rint(opened.glass_colour).astype(np.uint8)
        return np.broadcast_to(
            even,
            (*box.size.shape, 3),
        ).copy()
    last = opened.plan.count - 1
    latents = files.blended(
        last,
        decoded_cells,
    )
    canonical = opened.decoded(
        torch.from_numpy(latents),
        _margins(
            decoded_cells,
            finished_cells,
        ),
    )
    finished_box = pixels_of(finished_cells)
    decoded_box = pixels_of(decoded_cells)
    inside = finished_box.shift(
        -decoded_box.x,
        -decoded_box.y,
    ).slices
    around = None if empty is None else empty[inside]
    picture = opened.finish.applied(
        canonical,
        around if around is not None and around.any() else None,
        (finished_box.x, finished_box.y),
    )
    own = box.shift(
        -finished_box.x,
        -finished_box.y,
    ).slices
    return picture[own].round().astype(np.uint8)


def _margins(outer: Box, inner: Box) -> Rim:
    """Cells of a box around another one."""
    return Rim(
        inner.x - outer.x,
        inner.y - outer.y,
        outer.right - inner.right,
        outer.bottom - inner.bottom,
    )
