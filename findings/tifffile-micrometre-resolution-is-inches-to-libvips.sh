#!/bin/sh
# A TIFF resolution in pixels a micrometre or millimetre is read as one in inches, metres or not at all.
#
# Packages: tifffile 2026.3.3, pyvips 3.2.0 with pyvips-binary 8.18.7 (libvips 8.18.7), slideio 2.10.0,
#   openslide-python 1.4.7 with openslide-bin 4.0.1.2 (OpenSlide 4.0.1), tiffslide 3.0.1, numpy 2.4.6.
#   Run on 2026-11-29.
# Expected: tifffile.imwrite(resolution=(2, 2), resolutionunit="MICROMETER") is 0.5 um/px for everybody,
#   or a reader that does not know the unit refuses or states no scale.
# Seen: tifffile writes ResolutionUnit 5 (4 for millimetres), which TIFF 6.0 does not have. libvips takes
#   it for inches: 12,700 um/px, 25,400 times too much, and saves that into the next file. slideio gives
#   the number itself as metres a pixel: (2, 2). OpenSlide states no mpp; tiffslide reads 0.5.
# Why it matters: a tile's size in um is taken from this number. Centimetres are the unit all five share.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 pyvips==3.2.0 pyvips-binary==8.18.7 slideio==2.10.0 openslide-python==1.4.7 \
  openslide-bin==4.0.1.2 tiffslide==3.0.1 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import numpy as np
import openslide
import pyvips
import slideio
import tifffile
import tiffslide

print("tifffile", tifffile.__version__, "libvips", ".".join(str(pyvips.version(part)) for part in range(3)))
pixels = np.full((512, 512, 3), 200, np.uint8)


def scales(path):
    vips = pyvips.Image.tiffload(path)
    scene = slideio.open_slide(path, "GDAL").get_scene(0)
    return {
        "libvips": round(1000 / vips.xres, 3),
        "slideio": float(f"{scene.resolution[0] * 1e6:.6g}"),
        "openslide": openslide.OpenSlide(path).properties.get("openslide.mpp-x"),
        "tiffslide": tiffslide.TiffSlide(path).properties.get("tiffslide.mpp-x"),
    }


seen = {}
for unit, pixels_a_unit in (("CENTIMETER", 20000), ("MILLIMETER", 2000), ("MICROMETER", 2)):
    path = f"{unit}.tif"
    tifffile.imwrite(
        path, pixels, tile=(256, 256), photometric="rgb", metadata=None,
        resolution=(pixels_a_unit, pixels_a_unit), resolutionunit=unit,
    )
    seen[unit] = scales(path)
    print(f"0.5 um/px written in {unit}: um/px as read by", seen[unit])

assert seen["CENTIMETER"] == {"libvips": 0.5, "slideio": 0.5, "openslide": "0.5", "tiffslide": 0.5}
assert seen["MILLIMETER"] == {"libvips": 12.7, "slideio": 2e9, "openslide": None, "tiffslide": 0.5}
assert seen["MICROMETER"] == {"libvips": 12700.0, "slideio": 2e6, "openslide": None, "tiffslide": 0.5}

pyvips.Image.tiffload("MICROMETER.tif").tiffsave("again.tif", tile=True)
again = openslide.OpenSlide("again.tif").properties["openslide.mpp-x"]
print("saved again by libvips, OpenSlide reads um/px:", again)
assert 12600 < float(again) < 12800
PY
