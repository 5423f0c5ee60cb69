#!/bin/sh
# OpenSlide interpolates a reduced level when the place asked for is no multiple of the downsample.
#
# Packages: openslide-python 1.4.7 with openslide-bin 4.0.1.2 (OpenSlide 4.0.1), tiffslide 3.0.1,
#   tifffile 2026.3.3, numpy 2.4.6. Run on 2026-11-29.
# Expected: read_region((x, y), 1, size) hands out stored pixels of level 1: the nearest ones.
# Seen: at x = 2 and downsample 4 every pixel is the mean of two neighbours, at x = 1 three quarters of
#   one and one quarter of the other. A class mask of the values 10 and 30 gets a class 20. Where a level
#   was cut (2046 columns and 512: downsample 3.998), x = 4 * k is between pixels, too, and tiles get
#   more blurred the farther right they lie. tiffslide, made to replace OpenSlide, takes stored pixels.
# Why it matters: tiles of one slide differ in sharpness by their place, masks get classes that nobody
#   drew, and two readers with one interface disagree.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  openslide-python==1.4.7 openslide-bin==4.0.1.2 tiffslide==3.0.1 tifffile==2026.3.3 numpy==2.4.6 || \
  exit 2
venv/bin/python - <<'PY'
import numpy as np
import openslide
import tifffile
import tiffslide


def write_pyramid(path, full, small):
    with tifffile.TiffWriter(path) as tiff:
        for level, pixels in enumerate((full, small)):
            tiff.write(
                pixels, tile=(256, 256), photometric="rgb", metadata=None, subfiletype=int(level > 0)
            )


def read(reader, path, x, size):
    region = reader(path).read_region((x, 0), 1, size)
    return np.asarray(region)[..., :3].astype(float)


noise = np.random.default_rng(0).integers(0, 256, (1024, 2048, 3), dtype=np.uint8)
level = noise[::4, ::4].copy()
write_pyramid("noise.tif", noise, level)
print("openslide", openslide.__version__, openslide.__library_version__, "tiffslide", tiffslide.__version__)

print("position / 4; distances of OpenSlide to linear interpolation and to stored pixels, of tiffslide to these")
for x in (0, 1, 2, 3, 4):
    seen = read(openslide.OpenSlide, "noise.tif", x, (128, 128))
    start, share = divmod(x / 4, 1)
    left = level[:128, int(start) : int(start) + 128].astype(float)
    right = level[:128, int(start) + 1 : int(start) + 129].astype(float)
    to_mean = np.abs(seen - ((1 - share) * left + share * right)).max()
    to_stored = min(np.abs(seen - left).mean(), np.abs(seen - right).mean())
    peer = np.abs(read(tiffslide.TiffSlide, "noise.tif", x, (128, 128)) - left).max()
    print(f"{x / 4:5.2f} {to_mean:8.2f} {to_stored:8.2f} {peer:8.2f}")
    assert to_mean <= 1
    assert (to_stored == 0) == (x % 4 == 0)
    assert peer == 0

mask = np.full((1024, 2048, 3), 10, np.uint8)
mask[:, 1000:] = 30
write_pyramid("mask.tif", mask, mask[::4, ::4].copy())
classes = np.unique(read(openslide.OpenSlide, "mask.tif", 2, (400, 100))).tolist()
print("classes of a mask of 10 and 30, read at x = 2:", classes)
assert classes == [10, 20, 30]

rounded = noise[:, :2046]
write_pyramid("rounded.tif", rounded, level)
print("downsamples where 2046 columns became 512:", openslide.OpenSlide("rounded.tif").level_downsamples)
blur = []
for column in (0, 128, 256, 384):
    seen = read(openslide.OpenSlide, "rounded.tif", 4 * column, (100, 100))
    blur.append(float(np.abs(seen - level[:100, column : column + 100]).mean().round(1)))
print("distance to the stored pixels at columns 0, 128, 256, 384, asked for at 4 * column:", blur)
assert blur[0] < blur[1] < blur[2] < blur[3]
PY
