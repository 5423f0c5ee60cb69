"""Whole slides: Aperio SVS, generic and Philips TIFF, Leica SCN, OME-TIFF, DICOM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_files import write_dicom
from mutated import change_text
from tiff_files import picture, planes, write_aperio, write_generic, write_ome, write_pages
from vendor_tiffs import LEVEL, PHILIPS, SCAN_XML, SCN, SPACING, write_jpeg_pages

from histosynth.core.geometry import Box
from histosynth.slides import open_slide
from histosynth.slides.inspecting import inspect_slide

from .mutating import BYTE_CHANGES
from .trial import Format

_TILE = {"tile": (48, 48)}
_CHANGES = (*BYTE_CHANGES, change_text, change_text)
_OME = (
    '<Image Name="a"><Pixels DimensionOrder="XYCZT" Type="uint8" SizeX="96" SizeY="80" '
    'SizeC="3" PhysicalSizeX="0.5" PhysicalSizeXUnit="um" PhysicalSizeY="0.5" '
    'PhysicalSizeYUnit="um">{channels}</Pixels></Image>'
)


def _write_svs(folder: Path) -> None:
    write_aperio(folder / "a.svs", picture(96, 80), compression="jpeg", **_TILE)


def _write_generic(folder: Path) -> None:
    small = picture(96, 80)
    write_generic(folder / "a.tif", small, compression="lzw", **_TILE)
    resolution = {"resolution": (2e4, 2e4), "resolutionunit": 3}
    pages = (small, picture(48, 40))
    write_pages(folder / "levels.tif", *pages, compression="jpeg", **resolution, **_TILE)


def _write_philips(folder: Path) -> None:
    levels = ""
    for number, mm in enumerate(("0.00025", "0.0005")):
        levels += LEVEL.format(number=number, spacing=SPACING.format(mm=mm))
    text = PHILIPS.format(spacing=SPACING.format(mm="0.00025"), levels=levels)
    pages = (picture(128, 128), picture(64, 64))
    write_jpeg_pages(folder / "a.tiff", pages, text, software="Philips DP v1.0")


def _write_scn(folder: Path) -> None:
    macro = SCAN_XML.format(name="macro", number=2, side=128, ifd=0, nm=1024000, offset=0, power=1)
    scan = SCAN_XML.format(name="m", number=3, side=128, ifd=1, nm=64000, offset=400000, power=20)
    pages = (np.full((128, 128, 3), 90, np.uint8), picture(128, 128))
    write_jpeg_pages(folder / "a.scn", pages, SCN.format(images=macro + scan))


def _write_ome(folder: Path) -> None:
    small = picture(96, 80)
    together = _OME.format(channels='<Channel SamplesPerPixel="3"/><TiffData IFD="0"/>')
    split = _OME.format(channels="<Channel/><Channel/><Channel/>")
    write_ome(folder / "together.ome.tif", small, images=together, **_TILE)
    write_ome(folder / "split.ome.tif", *planes(small), images=split, **_TILE)


def _write_dicom(folder: Path) -> None:
    write_dicom(folder / "a.dcm")


def _read_slide(path: Path, out: Path) -> None:
    """What `prepare inspect` says, and the pixels as `prepare run` takes them."""
    inspect_slide(path)
    slide = open_slide(path, mpp=0.5)
    try:
        full = slide.levels[0]
        box = Box(full.width // 2 - 20, full.height // 2 - 20, 60, 60)
        slide.read(0, box)
        last = len(slide.levels) - 1
        slide.read(last, Box(0, 0, min(full.width, 96), min(full.height, 80)))
    finally:
        slide.close()


FORMATS = (
    Format("aperio svs", _write_svs, _read_slide, _CHANGES),
    Format("generic tiff slide", _write_generic, _read_slide, _CHANGES),
    Format("philips tiff", _write_philips, _read_slide, _CHANGES),
    Format("leica scn", _write_scn, _read_slide, _CHANGES),
    Format("ome-tiff", _write_ome, _read_slide, _CHANGES),
    Format("dicom", _write_dicom, _read_slide, _CHANGES),
)
