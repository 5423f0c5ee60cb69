"""Aperio slides of JPEG 2000 with regions painted, as SVS and OME-TIFF."""

import json

import numpy as np
import openslide
import pytest
import tifffile
from jpeg2000_slides import Coding, write_jpeg2000_slide
from spoilt_slides import tissue, write_jpeg_slide
from tiff_files import write_aperio

from histosynth.annotation.regions import Region, read_regions, region_mask
from histosynth.core.errors import BadOption, UnreadableImage
from histosynth.core.geometry import Size
from histosynth.core.marking import COMPOSITE_TYPE, SOURCE_TYPE
from histosynth.patching import work as work_module
from histosynth.patching.patches import Patch
from histosynth.pipeline.mend import MendOptions, mend
from histosynth.sampling.options import SamplingOptions
from histosynth.slides import open_slide
from histosynth.slides.openslide import OpenSlideSlide
from histosynth.slides.writing import SlideDescription

SIZE = Size(600, 380)
FAST = SamplingOptions(steps=2, exemplar=False, device="cpu", dtype="fp32")
OPTIONS = MendOptions(FAST)
PLACE = Region("pen", ((100, 90), (151, 90), (151, 141), (100, 141), (100, 90)))


@pytest.fixture
def paints_noise(monkeypatch):
    """No network: what is painted does not matter."""

    def paint(work, slide, piece):
        pixels = np.random.default_rng(0).integers(0, 256, (*piece.mask.shape, 3), np.uint8)
        return Patch(piece.box, pixels, piece.mask)

    monkeypatch.setattr(work_module, "paint_piece", paint)


def by_openslide(path, level):
    slide = openslide.OpenSlide(str(path))
    size = slide.level_dimensions[level]
    pixels = np.asarray(slide.read_region((0, 0), level, size).convert("RGB"))
    slide.close()
    return pixels


def test_openslide_shows_the_same_elsewhere(tmp_path, bundle_folder):
    coding = Coding(33003, (2, 1), is_lossy=True)
    path = write_jpeg2000_slide(tmp_path / "a.svs", tissue(*SIZE), coding)
    out = tmp_path / "b.svs"
    result = mend(path, out, artifacts=[PLACE], options=OPTIONS, bundle=bundle_folder)
    assert [level.differing_px for level in result.levels] == [0, 0]
    assert [level.touched for level in result.levels] == [4, 1]
    assert result.geojson.name == "b.synthetic.geojson" and not result.needs_svs
    assert result.recipe["source"]["codec"] == f"JPEG 2000 ({coding.compression})"
    differs = (by_openslide(path, 0) != by_openslide(out, 0)).any(axis=2)
    allowed = region_mask(read_regions(result.geojson), SIZE.shape, (1, 1))
    assert not differs[~allowed].any()
    assert differs[90:141, 100:151].mean() > 0.9
    assert allowed.sum() <= 52 * 52
    below = (by_openslide(path, 1) != by_openslide(out, 1)).any(axis=2)
    assert below[23:35, 26:37].mean() > 0.9
    below[22:37, 24:39] = False
    assert not below.any()
    thumbnail = np.asarray(openslide.OpenSlide(str(out)).associated_images["thumbnail"])
    assert np.abs(thumbnail[..., :3].astype(int) - by_openslide(out, 1)).mean() < 3
    again = mend(path, out, artifacts=[PLACE], options=OPTIONS, bundle=bundle_folder)
    assert again.was_there


def test_an_aperio_slide_of_jpeg_becomes_an_svs_too(tmp_path, bundle_folder, paints_noise):
    path = write_aperio(
        tmp_path / "a.svs", tissue(400, 300), compression="jpeg", compressionargs={"level": 80}
    )
    result = mend(
        path, tmp_path / "b.svs", artifacts=[PLACE], options=OPTIONS, bundle=bundle_folder
    )
    assert openslide.OpenSlide.detect_format(str(result.path)) == "aperio"
    assert open_slide(result.path).reader == "tifffile"
    assert result.levels[0].differing_px == 0


def test_what_openslide_shows_is_compared_before_the_slide_appears(
    tmp_path, bundle_folder, monkeypatch, paints_noise
):
    path = write_jpeg2000_slide(tmp_path / "a.svs", tissue(*SIZE), Coding(33005), reductions=())
    read = OpenSlideSlide.read

    def other(slide, level, box):
        return read(slide, level, box) ^ np.uint8(slide.path != path)

    monkeypatch.setattr(OpenSlideSlide, "read", other)
    with pytest.raises(UnreadableImage, match="OpenSlide shows"):
        mend(path, tmp_path / "b.svs", artifacts=[PLACE], options=OPTIONS, bundle=bundle_folder)
    assert {each.name for each in tmp_path.glob("b.*")} == {"b.svs.parts"}


def test_forms_that_show_false_colours_or_none_are_refused(tmp_path, bundle_folder):
    ycbcr = write_jpeg2000_slide(tmp_path / "a.svs", tissue(*SIZE), Coding(33003))
    generic = write_jpeg_slide(tmp_path / "c.tif", tissue(384, 256))
    words = {"artifacts": [PLACE], "bundle": bundle_folder}
    with pytest.raises(BadOption, match=r"a name that ends in \.svs: the colours"):
        mend(ycbcr, tmp_path / "b.ome.tiff", options=OPTIONS, **words)
    with pytest.raises(BadOption, match="no Aperio SVS but generic-tiff"):
        mend(generic, tmp_path / "b.svs", options=OPTIONS, **words)
    with pytest.raises(BadOption, match="--rewrite"):
        mend(ycbcr, tmp_path / "b.svs", options=MendOptions(FAST, rewrite="deflate"), **words)
    assert not list(tmp_path.glob("b.*"))


def test_a_slide_of_regions_is_a_composite_and_a_painted_one_is_not(
    tmp_path, bundle_folder, paints_noise
):
    path = write_jpeg_slide(tmp_path / "a.tif", tissue(384, 256))
    out = tmp_path / "b.ome.tiff"
    mend(path, out, artifacts=[PLACE], options=OPTIONS, bundle=bundle_folder)
    with tifffile.TiffFile(out) as tiff:
        page = tiff.pages[0]
        for text in (page.description, page.tags.valueof("XMP").decode()):
            assert COMPOSITE_TYPE in text and SOURCE_TYPE not in text
    whole = SlideDescription(0.5, {"layout": {}})
    for text in (whole.ome_xml(Size(9, 9)), whole.xmp().decode()):
        assert SOURCE_TYPE in text and COMPOSITE_TYPE not in text
    assert json.loads(json.dumps(dict(whole.recipe)))["extent"] == "slide"
