"""Slides with planted pen, folds, bubbles and blur, as tiled JPEG pyramids."""

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

from histosynth.slides.writing import Encoding
from histosynth.slides.writing.block_pictures import tiles_of

GLASS = 243


def tissue(width, height, seed=0):
    """Pink ground with purple nuclei, and glass to the right: (H, W, 3) uint8."""
    random = np.random.default_rng(seed)
    ground = ndimage.gaussian_filter(random.normal(size=(height, width)), (2, 6))
    ground /= ground.std()
    pixels = np.empty((height, width, 3), np.float32)
    for channel, (level, change) in enumerate(((222, 8), (150, 14), (190, 9))):
        pixels[..., channel] = level + change * ground
    spots = np.zeros((height, width), np.float32)
    count = width * height // 900
    spots[random.integers(0, height, count), random.integers(0, width, count)] = 1
    nuclei = ndimage.gaussian_filter(spots, 3) * 2 * np.pi * 9
    share = np.clip(nuclei * 1.4, 0, 1)[..., None]
    pixels += share * (np.array((92, 60, 140), np.float32) - pixels)
    pixels += random.normal(0, 3, pixels.shape)
    edge = width * 0.8 + 10 * np.sin(np.arange(height) / 25)
    pixels[np.arange(width)[None] > edge[:, None]] = GLASS
    return pixels.clip(0, 255).round().astype(np.uint8)


def with_pen(pixels, colour=(40, 60, 150), strength=0.85, half_width=16):
    """A curved stroke from tissue over its edge to glass; the pixels and the mask."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    mask = np.abs(y - height * 0.45 - 30 * np.sin(x / 70)) < half_width
    mask &= (x > width * 0.35) & (x < width * 0.9)
    share = strength * ndimage.gaussian_filter(mask.astype(np.float32), 1)[..., None]
    inked = pixels + share * (np.array(colour, np.float32) - pixels)
    return inked.round().astype(np.uint8), mask


def with_fold(pixels, half_width=24):
    """A band across the tissue where it lies twice; the pixels and the mask."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    mask = np.abs(x - width * 0.25 - 0.2 * (y - height / 2)) < half_width
    density = -np.log((pixels + 1.0) / (GLASS + 1))
    density[mask] *= 2
    return ((GLASS + 1) * np.exp(-density) - 1).clip(0, 255).round().astype(np.uint8), mask


def write_jpeg_slide(
    path,
    pixels,
    *,
    tile=128,
    chroma="420",
    reductions=(4,),
    mpp=0.5,
    quality=80,
    **first,
):
    """A tiled JPEG pyramid, as many converters write it."""
    encoding = Encoding("jpeg", quality, chroma)
    levels = [pixels, *(np.asarray(Image.fromarray(pixels).reduce(by)) for by in reductions)]
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate(levels):
            per_centimetre = 10_000 / mpp * level.shape[1] / pixels.shape[1]
            file.write(
                iter([encoding.encode(each) for each in tiles_of(level, tile)]),
                shape=level.shape,
                dtype=np.uint8,
                tile=(tile, tile),
                resolution=(per_centimetre, per_centimetre),
                resolutionunit=3,
                subfiletype=int(number > 0),
                metadata=None,
                **encoding.tiff_options,
                **(first if not number else {}),
            )
    return path
