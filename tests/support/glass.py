"""Slides that tests make: glass, a piece of tissue with known nuclei, as a JPEG pyramid."""

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage


def tissue(
    width: int,
    height: int,
    *,
    seed: int = 0,
    dyes=(1.0, 1.0),
) -> tuple[np.ndarray, np.ndarray]:
    """H&E-like pixels (H, W, 3) uint8 over all of the area, and the nuclei's centres (N, 2)."""
    random = np.random.default_rng(seed)
    fibres = ndimage.gaussian_filter(random.standard_normal((height, width)), (1.5, 5))
    eosin = (0.45 + 0.12 * fibres / fibres.std()).clip(0.05)
    places = np.stack(
        np.meshgrid(np.arange(14, width - 10, 24), np.arange(14, height - 10, 24)), -1
    )
    xy = places.reshape(-1, 2) + random.uniform(-5, 5, (places.size // 2, 2))
    marks = np.zeros((height, width))
    for x, y in xy.round().astype(int):
        marks[y, x] = 1
    blue = ndimage.gaussian_filter(marks, 3.5)
    blue = (
        blue
        / blue.max()
        * (0.9 + 0.25 * ndimage.gaussian_filter(random.standard_normal((height, width)), 1))
    )
    density = dyes[0] * blue[..., None] * np.array([0.95, 1.03, 0.42]) * 1.1
    density = density + dyes[1] * eosin[..., None] * np.array([0.20, 0.92, 0.46]) * 0.8
    noise = random.normal(0, 2, (height, width, 3))
    return (246 * np.exp(-density) + noise).clip(0, 255).round().astype(np.uint8), xy


def write_slide(
    path: Path,
    *,
    width=1400,
    height=1100,
    mpp=0.5,
    seed=0,
    dyes=(1.0, 1.0),
    levels=2,
) -> np.ndarray:
    """A pyramid of glass with tissue in its middle; returns the nuclei's centres, level-0 px."""
    glass = np.full((height, width, 3), 244, np.uint8)
    left = width // 8
    top = height // 8
    inner, xy = tissue(
        width - 2 * left,
        height - 2 * top,
        seed=seed,
        dyes=dyes,
    )
    glass[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    write_pixels(path, glass, mpp=mpp, levels=levels)
    return xy + np.array([left, top])


def write_pixels(
    path: Path,
    pixels: np.ndarray,
    *,
    mpp=0.5,
    levels=2,
) -> None:
    """Pixels as a tiled TIFF pyramid."""
    with tifffile.TiffWriter(path) as file:
        for level in range(levels):
            size = (pixels.shape[1] >> (2 * level), pixels.shape[0] >> (2 * level))
            image = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
            file.write(
                image,
                photometric="rgb",
                tile=(256, 256),
                compression="deflate",
                metadata=None,
                subfiletype=int(level > 0),
                resolution=(1e4 / mpp / 4**level,) * 2,
                resolutionunit=3,
            )
