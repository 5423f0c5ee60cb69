"""Small slides that tests write: pixels, their parts, and the levels that readers should show."""

import numpy as np

from histosynth.core.geometry import Size
from histosynth.slides.writing import Encoding, Pyramid, SlideParts, write_block
from histosynth.slides.writing.block_pictures import half_picture


def smooth(width, height):
    x = np.arange(width)[None, :]
    y = np.arange(height)[:, None]
    red = 150 + 60 * np.sin(x / 40) * np.cos(y / 30)
    green = 90 + 70 * x / width + 0 * y
    blue = 190 - 60 * y / height + 0 * x
    return np.stack([red, green, blue], axis=2).round().astype(np.uint8)


def noisy(width, height):
    shape = (height, width, 3)
    return np.random.default_rng(width).integers(0, 256, shape, np.uint8)


def parts_of(folder, pixels, codec="zstd", tile_px=128, only=None, chroma="444"):
    size = Size(pixels.shape[1], pixels.shape[0])
    parts = SlideParts(folder, Pyramid(size, tile_px), Encoding(codec, chroma=chroma), "key")
    for column, row in parts.pyramid.block_places():
        if only is None or (column, row) in only:
            rows, columns = parts.pyramid.block_box(column, row).slices
            write_block(parts, column, row, pixels[rows, columns])
    return parts


def levels_of(pixels, count):
    levels = [pixels]
    while len(levels) < count:
        levels.append(half_picture(levels[-1]))
    return levels
