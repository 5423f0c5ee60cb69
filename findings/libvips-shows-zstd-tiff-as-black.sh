#!/bin/sh
# libvips' wheel reads a tiled TIFF of zstd as black, without an error.
#
# Packages: pyvips 3.2.0 with pyvips-binary 8.18.7 (libvips 8.18.7), tifffile 2026.3.3, imagecodecs 2026.3.6,
#   openslide-python 1.4.7 with openslide-bin 4.0.1.2 (OpenSlide 4.0.1), numpy 2.4.6. Run on 2026-12-01.
# Expected: the pixels, as tifffile and OpenSlide show them, or an error that says that this build of libtiff
#   has no zstd (compression 50000).
# Seen: tiffload gives a picture of the right size whose pixels are all 0, and pyvips raises nothing. Only with
#   fail_on="warning", which is not the default, it says "ZSTD compression support is not configured". The same
#   file with deflate is read exactly.
# Why it matters: tiles cut by libvips from such a slide are black, and a mask of tissue finds all of it dark.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  pyvips==3.2.0 pyvips-binary==8.18.7 tifffile==2026.3.3 imagecodecs==2026.3.6 openslide-python==1.4.7 \
  openslide-bin==4.0.1.2 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import numpy as np
import openslide
import pyvips
import tifffile

print("libvips", ".".join(str(pyvips.version(part)) for part in range(3)), "tifffile", tifffile.__version__)
pixels = np.random.default_rng(0).integers(100, 256, (512, 512, 3), np.uint8)
seen = {}
for codec in ("deflate", "zstd"):
    path = f"{codec}.tif"
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", compression=codec, metadata=None)
    assert (tifffile.imread(path) == pixels).all()
    slide = openslide.OpenSlide(path)
    assert (np.asarray(slide.read_region((0, 0), 0, (512, 512)))[..., :3] == pixels).all()
    found = pyvips.Image.tiffload(path).numpy()
    try:
        pyvips.Image.tiffload(path, fail_on="warning").numpy()
        said = ""
    except pyvips.Error as error:
        said = str(error)
    seen[codec] = (found.shape, bool((found == pixels).all()), int(found.max()), "not configured" in said)
    print(f"{codec}: libvips gives (shape, equal, brightest value, refused with fail_on=warning):", seen[codec])

assert seen["deflate"] == ((512, 512, 3), True, 255, False)
assert seen["zstd"] == ((512, 512, 3), False, 0, True)
PY
