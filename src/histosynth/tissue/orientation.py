"""How fibres run on a tile, measured from its pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.geometry import Size
from ..core.orientation import ORIENTATION_CELL, FibreOrientation
from ..core.pictures import PictureInput, as_rgb
from ..core.synthetic import stated_mpp
from ..core.units import check_mpp
from .density import optical_density

GATHERED_UM = 12.0
"""Standard deviation of the Gaussian over which slopes are gathered."""
_SLOPE_UM = 0.75
"""Of the Gaussian whose slope is taken: grain is finer, a fibre is not."""
_USUAL_MPP = 0.5
_FLAT = 4e-5
"""Squared slope of optical density, per um, beside which glass counts for nothing."""


def find_orientation(
    pixels: PictureInput,
    *,
    mpp: float | None = None,
) -> FibreOrientation:
    """Axes of fibres on a tile, from the structure tensor of its mean optical density.

    Bigun and Granlund (1987): slopes at 0.75 um, gathered over 12 um. Outlines of nuclei count as
    fibres do.

    Args:
        pixels: the tile, whatever `as_rgb` takes.
        mpp: its scale, um/px; None: that which it states, else 0.5.

    Raises:
        NotRGB, UnreadableImage: it is no picture that can be used.
        ValueError: the scale is none of a microscope.
    """
    if mpp is None:
        mpp = stated_mpp(pixels) or _USUAL_MPP
    check_mpp(mpp)
    rgb = as_rgb(
        pixels,
        "the tile",
    )
    density = optical_density(rgb).mean(axis=2)
    along_x = _slopes(density, mpp, (0, 1))
    along_y = _slopes(density, mpp, (1, 0))
    sigma = GATHERED_UM / mpp
    xx = _gathered(along_x * along_x, sigma)
    yy = _gathered(along_y * along_y, sigma)
    xy = _gathered(along_x * along_y, sigma)
    # fibres run across the slope, which turns twice the angle by half a turn
    tensor = np.stack(
        [yy - xx, -2 * xy],
        axis=-1,
    )
    axes = tensor / (xx + yy + _FLAT)[..., None]
    height, width = density.shape
    return FibreOrientation(axes.astype(np.float32), Size(width, height))


def _slopes(
    density: NDArray[np.floating],
    mpp: float,
    order: tuple[int, int],
) -> NDArray[np.floating]:
    """Of optical density, per um."""
    slopes = ndimage.gaussian_filter(
        density,
        _SLOPE_UM / mpp,
        order=order,
    )
    return np.asarray(slopes / mpp)


def _gathered(products: NDArray[np.floating], sigma: float) -> NDArray[np.floating]:
    """Mean around the centre of each cell of the map, sigma in px."""
    smooth = ndimage.gaussian_filter(
        products,
        sigma,
    )
    height, width = smooth.shape
    rows = _centres(height)
    columns = _centres(width)
    return smooth[
        np.ix_(
            rows,
            columns,
        )
    ]


def _centres(side: int) -> NDArray[np.int64]:
    centres = np.arange(
        ORIENTATION_CELL // 2,
        side + ORIENTATION_CELL // 2,
        ORIENTATION_CELL,
    )
    return centres.clip(max=side - 1)
