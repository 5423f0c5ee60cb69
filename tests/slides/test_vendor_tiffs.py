"""TIFF of vendors whose layout tifffile shows wrongly: the scan, its place and its scale."""

import numpy as np
import pytest
from PIL import Image
from tiff_files import picture
from vendor_tiffs import LEVEL, PHILIPS, SCAN_XML, SCN, SPACING, write_jpeg_pages

from histosynth.core.errors import UnreadableImage
from histosynth.core.geometry import Box
from histosynth.slides import open_slide


def test_leica_scn_is_the_scan_and_not_the_macro_picture(tmp_path):
    macro = SCAN_XML.format(name="macro", number=2, side=128, ifd=0, nm=1024000, offset=0, power=1)
    scan = SCAN_XML.format(
        name="main", number=3, side=256, ifd=1, nm=128000, offset=400000, power=20
    )
    tissue = picture(256, 256)
    path = write_jpeg_pages(
        tmp_path / "a.scn",
        (np.full((128, 128, 3), 90, np.uint8), tissue),
        SCN.format(images=macro + scan),
    )
    slide = open_slide(path)
    assert slide.facts.make == "leica" and slide.mpp == 0.5
    assert (slide.levels[0].width, slide.levels[0].height) == (2048, 2048)
    shown = slide.read(0, Box(800, 800, 256, 256))
    assert np.abs(shown.astype(int) - tissue).mean() < 6
    assert (slide.read(0, Box(0, 0, 256, 256)) == 255).all()


def test_philips_states_its_scale_in_millimetres(tmp_path):
    levels = "".join(
        LEVEL.format(number=number, spacing=SPACING.format(mm=mm))
        for number, mm in enumerate(("0.00025", "0.0005"))
    )
    text = PHILIPS.format(spacing=SPACING.format(mm="0.00025"), levels=levels)
    full = picture(256, 256)
    half = np.asarray(Image.fromarray(full).resize((128, 128), Image.Resampling.BOX))
    path = write_jpeg_pages(tmp_path / "a.tiff", (full, half), text, software="Philips DP v1.0")
    slide = open_slide(path)
    assert slide.facts.make == "philips" and slide.mpp == 0.25
    assert [level.width for level in slide.levels] == [256, 128]


def test_fluorescence_in_leica_scn_is_refused(tmp_path):
    scan = SCAN_XML.format(name="main", number=3, side=256, ifd=0, nm=128000, offset=0, power=20)
    text = SCN.format(images=scan.replace("brightfield", "fluorescence"))
    path = write_jpeg_pages(tmp_path / "a.tif", (picture(256, 256),), text)
    with pytest.raises(UnreadableImage, match="Can't find main image"):
        open_slide(path, mpp=0.5)
