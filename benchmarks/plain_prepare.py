"""What people write themselves: openslide, a threshold, torchstain, PNG files. The other side of a
ratio."""

import sys
from pathlib import Path

import numpy as np
import openslide
from PIL import Image
from torchstain.numpy.normalizers.macenko import NumpyMacenkoNormalizer

SIDE = 1024


def main(path: str, out: str) -> None:
    slide = openslide.OpenSlide(path)
    width, height = slide.dimensions
    small = np.asarray(slide.get_thumbnail((width // 16, height // 16)).convert("RGB"))
    tissue = small[..., 1] < 220
    tiles = []
    for y in range(0, height - SIDE + 1, SIDE):
        for x in range(0, width - SIDE + 1, SIDE):
            inside = tissue[y // 16 : (y + SIDE) // 16, x // 16 : (x + SIDE) // 16]
            if inside.mean() >= 0.25:
                tiles.append((x, y))
    normalizer = NumpyMacenkoNormalizer()
    middle = tiles[len(tiles) // 2]
    normalizer.fit(np.asarray(slide.read_region(middle, 0, (SIDE, SIDE)).convert("RGB")))
    for x, y in tiles:
        pixels = np.asarray(slide.read_region((x, y), 0, (SIDE, SIDE)).convert("RGB"))
        normal, _, _ = normalizer.normalize(pixels, stains=False)
        Image.fromarray(normal).save(Path(out) / f"{x}_{y}.png", compress_level=1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
