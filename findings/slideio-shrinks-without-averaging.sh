#!/bin/sh
# slideio's read_block shrinks by picking pixels, without averaging: structures vanish or turn to moire.
#
# Packages: slideio 2.10.0, openslide-python 1.4.7 with openslide-bin 4.0.1.2 (OpenSlide 4.0.1),
#   tiffslide 3.0.1, tifffile 2026.3.3, numpy 2.4.6. Run on 2026-11-29.
# Expected: read_block(rect, size=(width / 4, height / 4)) of a slide without reduced levels averages
#   the pixels that fall together, as get_thumbnail of OpenSlide and tiffslide does.
# Seen: it interpolates between the two pixels beside each new place and skips the rest. Stripes of 255,
#   0, 0, 255 (mean 127.5) become a black picture; at other sizes they come out as moire of full contrast.
# Why it matters: tissue masks, stain statistics and tiles "at 2 um/px" made this way are aliased, and
#   what they show depends on which levels the file happens to hold.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  slideio==2.10.0 openslide-python==1.4.7 openslide-bin==4.0.1.2 tiffslide==3.0.1 tifffile==2026.3.3 \
  numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import numpy as np
import openslide
import slideio
import tifffile
import tiffslide

row = np.tile(np.array([255, 0, 0, 255], np.uint8), 256)
stripes = np.broadcast_to(row[None, :, None], (1024, 1024, 3)).copy()
tifffile.imwrite("stripes.tif", stripes, tile=(256, 256), photometric="rgb", metadata=None)
print("openslide", openslide.__library_version__, "tiffslide", tiffslide.__version__, "slideio 2.10.0")
print("mean of the full picture:", stripes.mean())

scene = slideio.open_slide("stripes.tif", "GDAL").get_scene(0)
quarter = scene.read_block((0, 0, 1024, 1024), size=(256, 256))
odd = scene.read_block((0, 0, 1024, 1024), size=(300, 300))
print(f"slideio at 256 x 256: mean {quarter.mean():.1f}, standard deviation {quarter.std():.1f}")
print(f"slideio at 300 x 300: mean {odd.mean():.1f}, standard deviation {odd.std():.1f}")
peers = {
    "openslide": np.asarray(openslide.OpenSlide("stripes.tif").get_thumbnail((256, 256))),
    "tiffslide": np.asarray(tiffslide.TiffSlide("stripes.tif").get_thumbnail((256, 256))),
}
for name, picture in peers.items():
    print(f"{name} at 256 x 256: mean {picture.mean():.1f}, standard deviation {picture.std():.1f}")
    assert abs(picture.mean() - 127.5) < 1 and picture.std() < 5
assert quarter.shape[:2] == (256, 256) and quarter.max() == 0
assert odd.std() > 80
PY
