"""Crops of tiles: what is compared with what."""

import numpy as np
from PIL import Image

from histosynth.core.geometry import Box
from histosynth.training.data.sources import open_source
from histosynth.training.recipes.tiles import TileSource

SIDE = 256
"""Side of the crops, px."""
UNLABELLED = (("brecahad/images", 0.25), ("nct-crc", 0.5))
"""The base saw these too, without nuclei: nothing may be copied from them either."""


def unlabelled(root, folder, mpp):
    """Crops of tiles without centroids, of at most `SIDE` px."""
    for example in open_source(
        TileSource(folder, "", mpp),
        root=root,
        mpp=0.5,
        classes=(),
    ):
        pixels = example.tile.pixels
        for y in range(0, max(pixels.shape[0] - SIDE, 0) + 1, SIDE):
            for x in range(0, max(pixels.shape[1] - SIDE, 0) + 1, SIDE):
                yield np.array(
                    Image.fromarray(pixels[y : y + SIDE, x : x + SIDE]).resize((SIDE, SIDE)),
                    dtype=np.uint8,
                )


def corners(example, per_side: int = 2):
    """Crops of one tile on a regular grid, from edge to edge: (pixels, nuclei, whole tile's
    pixels)."""
    height, width = example.tile.pixels.shape[:2]
    for y in np.linspace(0, height - SIDE, per_side).astype(int):
        for x in np.linspace(0, width - SIDE, per_side).astype(int):
            box = Box(int(x), int(y), SIDE, SIDE)
            yield example.tile.pixels[box.slices], example.nuclei.crop(box), example.tile.pixels
