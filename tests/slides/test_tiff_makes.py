"""Which reader takes which TIFF, and that its pixels and scale are right: the table of makes."""

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from makes_table import APERIO_MAKE, CASES, GENERIC, table, write_case
from tiff_files import picture, planes, write_aperio, write_generic, write_pages

from histosynth.core.errors import HistosynthError, NotRGB, UnreadableImage
from histosynth.core.geometry import Box
from histosynth.slides import open_slide
from histosynth.slides.openslide import OpenSlideSlide
from histosynth.slides.tiff import TiffSlide

DOCS = Path(__file__).parents[2] / "docs" / "prepare.md"
ALL = Box(0, 0, 320, 256)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_form_is_read_by_its_reader_with_the_right_pixels(tmp_path, case):
    path = write_case(tmp_path / "a.tif", case)
    if case.reader == "refused":
        with pytest.raises(HistosynthError):
            open_slide(path, mpp=0.5)
        return
    slide = open_slide(path)
    assert slide.mpp == 0.5 and slide.reader.startswith(case.reader)
    shown = slide.read(0, ALL)
    if case.compared == "OpenSlide":
        reference = OpenSlideSlide(path)
        assert (shown == reference.read(0, ALL)).all() and slide.mpp == reference.mpp
    if case.is_lossless:
        assert (shown == picture()).all()
    assert np.abs(shown.astype(int) - picture()).mean() < 6


def test_the_table_in_the_docs_is_the_one_that_is_tested():
    assert table() in DOCS.read_text(encoding="utf-8"), "run `python tests/support/makes_table.py`"


@pytest.mark.parametrize("make", [APERIO_MAKE, GENERIC])
@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
def test_every_subsampling_of_jpeg_gives_openslide_s_pixels(tmp_path, make, subsampling):
    write = write_aperio if make == APERIO_MAKE else write_generic
    path = write(tmp_path / "a.tif", compression="jpeg", subsampling=subsampling)
    assert (TiffSlide(path).read(0, ALL) == OpenSlideSlide(path).read(0, ALL)).all()


@pytest.mark.parametrize("write", [write_aperio, write_generic])
def test_segments_that_were_never_scanned_are_white(tmp_path, write):
    path = write(tmp_path / "a.tif")
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = list(file.pages[0].databytecounts)
        file.pages[0].tags["TileByteCounts"].overwrite([0, *counts[1:]])
    shown = open_slide(path).read(0, ALL)
    assert (shown[:128, :128] == 255).all() and (shown[128:] == picture()[128:]).all()


def test_levels_in_sub_ifds_of_a_generic_pyramid_are_found(tmp_path):
    path = tmp_path / "a.tif"
    options = {"tile": (128, 128), "photometric": "rgb", "compression": "lzw", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(picture(), subifds=1, resolution=(20_000, 20_000), resolutionunit=3, **options)
        file.write(picture()[::2, ::2].copy(), subfiletype=1, **options)
    slide = open_slide(path)
    assert [(level.width, level.height) for level in slide.levels] == [(320, 256), (160, 128)]
    assert (slide.read(1, Box(0, 0, 160, 128)) == picture()[::2, ::2]).all()


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_reduced_page_of_another_shape_is_no_level(tmp_path, planar):
    change = np.asarray if planar == "contig" else planes
    path = tmp_path / "a.tif"
    options = {"tile": (128, 128), "photometric": "rgb", "compression": "lzw", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        for index, pixels in enumerate((picture(), picture(200, 100))):
            file.write(change(pixels), planarconfig=planar, subfiletype=int(index > 0), **options)
    assert len(openslide.OpenSlide(path).level_dimensions) == 2
    assert len(open_slide(path, mpp=0.5).levels) == 1


def test_several_pictures_of_full_size_are_refused(tmp_path):
    for tile in ((128, 128), None):
        path = write_pages(tmp_path / "a.tif", picture(), picture(), tile=tile)
        with pytest.raises(UnreadableImage, match="it holds 2 pictures of full size"):
            open_slide(path, mpp=0.5)


def test_planes_on_pages_of_their_own_are_grey(tmp_path):
    path = write_pages(tmp_path / "a.tif", *planes(picture()))
    with pytest.raises(NotRGB, match="is a grayscale picture, not 8-bit RGB"):
        open_slide(path, mpp=0.5)


def test_turned_tiles_are_refused(tmp_path):
    path = write_generic(tmp_path / "a.tif", extratags=[(274, 3, 1, 6, True)])
    with pytest.raises(UnreadableImage, match="its tag Orientation is 6"):
        open_slide(path)


@pytest.mark.parametrize(("tag", "compression"), [(2, {}), (6, {"outcolorspace": "rgb"})])
def test_tags_and_pixels_that_disagree_about_colour_are_refused(tmp_path, tag, compression):
    path = write_generic(tmp_path / "a.tif", compression="jpeg", compressionargs=compression)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["PhotometricInterpretation"].overwrite(tag)
    with pytest.raises(UnreadableImage, match="disagree about colour"):
        open_slide(path)


def test_aperio_s_ycbcr_with_a_transform_of_its_own_is_refused(tmp_path):
    path = write_aperio(tmp_path / "a.svs", compression="APERIO_JP2000_YCBC")
    with pytest.raises(UnreadableImage, match="compression 33003 means YCbCr, but"):
        open_slide(path)


def test_a_vendor_s_file_that_openslide_refuses_is_not_shown_as_a_picture(tmp_path):
    path = write_aperio(tmp_path / "a.tif", compression="jpegxr")
    with pytest.raises(UnreadableImage, match="Unsupported TIFF compression: 34934"):
        open_slide(path, mpp=0.5)


@pytest.mark.parametrize("write", [write_aperio, write_generic])
def test_levels_at_a_broken_step_stay_on_the_fast_path(tmp_path, write):
    small = picture()[:254:4, :318:4].copy()
    path = write(tmp_path / "a.tif", picture(318, 254))
    with tifffile.TiffWriter(path, append=True) as file:
        file.write(small, tile=(128, 128), photometric="rgb", subfiletype=1, metadata=None)
    slide = open_slide(path)
    assert slide.reader == "tifffile" and slide.levels[1].downsample != 4
    assert (slide.read(1, Box(0, 0, 80, 64)) == small).all()
