"""The scale of a slide as its file states it: read rightly, or refused with what stands there."""

import openslide
import pytest
from PIL import Image
from tiff_files import APERIO, picture, write_aperio, write_generic, write_pages

from histosynth.core.errors import ConflictingScales, MissingScale, UnreadableImage
from histosynth.slides import open_slide
from histosynth.slides.length_units import length_um, number_of, um_per_unit
from histosynth.slides.openslide import OpenSlideSlide
from histosynth.slides.remedies import pyramid_remedy
from histosynth.slides.tiff import TiffSlide

GIVE_IT = "Give it with --mpp (0.5 is usual for a 20x scan); it is never guessed."


@pytest.mark.parametrize(
    ("text", "mpp"),
    [
        ("0.5000", 0.5),
        ("0,500000", 0.5),
        ("1,9936", 1.9936),
        ("  0.2527 ", 0.2527),
        (".25", 0.25),
        ("2.5e-1", 0.25),
    ],
)
def test_aperio_s_mpp_is_what_openslide_reads(tmp_path, text, mpp):
    path = write_aperio(tmp_path / "a.svs", mpp=text)
    assert float(openslide.OpenSlide(path).properties["openslide.mpp-x"]) == mpp
    assert TiffSlide(path).mpp == OpenSlideSlide(path).mpp == open_slide(path).mpp == mpp


@pytest.mark.parametrize(
    ("text", "mpp"),
    [("0.5 um", 0.5), ("0,2527 µm/pixel", 0.2527), ("250 nm", 0.25), ("0 . 5", 0.5)],
)
def test_aperio_s_mpp_may_carry_a_unit_or_spaces(tmp_path, text, mpp):
    assert open_slide(write_aperio(tmp_path / "a.svs", mpp=text)).mpp == pytest.approx(mpp)


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("unknown", 'an MPP that is not understood in its description ("MPP = unknown")'),
        ("", 'an MPP that is not understood in its description ("MPP = ")'),
        ("0x1", 'an MPP that is not understood in its description ("MPP = 0x1")'),
        ("1.993,6", '1993.6 um/px in its description ("MPP = 1.993,6"), outside 0.05 to 20'),
        (
            "1,993,600",
            '1.9936e+06 um/px in its description ("MPP = 1,993,600"), outside 0.05 to 20',
        ),
        ("0", '0 um/px in its description ("MPP = 0"), outside 0.05 to 20'),
        ("-0.5", '-0.5 um/px in its description ("MPP = -0.5"), outside 0.05 to 20'),
    ],
)
def test_an_mpp_that_is_not_understood_is_named(tmp_path, text, stated):
    path = write_aperio(tmp_path / "a.svs", mpp=text)
    with pytest.raises(MissingScale) as refusal:
        open_slide(path)
    text = str(refusal.value)
    assert text.startswith(f"{path} states a scale that is not understood: {stated}")
    assert text.endswith(GIVE_IT)
    assert open_slide(path, mpp=0.5).mpp == 0.5


def test_a_magnification_is_no_scale(tmp_path):
    text = APERIO.format(w=320, h=256, mpp=0).replace("|MPP = 0", "")
    path = write_pages(tmp_path / "a.svs", picture(), description=text)
    with pytest.raises(MissingScale) as refusal:
        open_slide(path)
    assert str(refusal.value) == (
        f"{path} states a scale that is not understood: only a magnification, 20x, in "
        f"openslide.objective-power. {GIVE_IT}"
    )


def test_no_scale_at_all_is_said_so(tmp_path):
    path = write_pages(tmp_path / "a.tif", picture())
    with pytest.raises(MissingScale) as refusal:
        open_slide(path)
    assert str(refusal.value) == (
        f"{path} does not state its scale in micrometres per pixel. {GIVE_IT}"
    )


def test_a_printer_s_resolution_is_named(tmp_path):
    path = write_pages(tmp_path / "a.tif", picture(), resolution=(72, 72), resolutionunit=2)
    with pytest.raises(MissingScale, match=r"352.778 um/px in its tags .*, outside 0.05 to 20"):
        open_slide(path)


def test_a_resolution_without_a_unit_is_named(tmp_path):
    path = write_pages(tmp_path / "a.tif", picture(), resolution=(2, 2), resolutionunit=1)
    with pytest.raises(MissingScale) as refusal:
        open_slide(path)
    assert str(refusal.value) == (
        f"{path} states a scale that is not understood: 2 px per unit, the unit not stated, in its "
        f"tags XResolution and YResolution. {GIVE_IT}"
    )


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_pixels_that_are_not_square_are_refused_by_every_reader(tmp_path, planar):
    pixels = picture() if planar == "contig" else picture().transpose(2, 0, 1)
    path = write_pages(
        tmp_path / "a.tif",
        pixels,
        planarconfig=planar,
        resolution=(20_000, 40_000),
        resolutionunit=3,
    )
    with pytest.raises(ConflictingScales, match=r"0.5 um/px across, and 0.25 um/px down"):
        open_slide(path)
    assert open_slide(path, mpp=0.5).mpp == 0.5


def test_pixels_within_one_per_cent_are_square(tmp_path):
    resolution = {"resolution": (20_000, 20_150), "resolutionunit": 3}
    path = write_generic(tmp_path / "a.tif", **resolution)
    assert open_slide(path).mpp == pytest.approx((0.5 + 1e4 / 20_150) / 2)


@pytest.mark.parametrize(("unit", "per_unit"), [("micron", 2), ("\\u00B5m", 2), ("mm", 2000)])
def test_imagej_s_unit_is_read(tmp_path, unit, per_unit):
    path = write_pages(
        tmp_path / "a.tif",
        picture(),
        description=f"ImageJ=1.53t\nunit={unit}\n",
        resolution=(per_unit, per_unit),
        resolutionunit=1,
    )
    assert open_slide(path).mpp == pytest.approx(0.5)


def test_imagej_s_unit_that_is_no_length_is_named(tmp_path):
    path = write_pages(
        tmp_path / "a.tif",
        picture(),
        description="ImageJ=1.53t\nunit=pixel\n",
        resolution=(2, 2),
        resolutionunit=1,
    )
    with pytest.raises(MissingScale, match=r"a unit that is no length .'pixel'."):
        open_slide(path)


def test_a_flat_tiff_s_resolution_is_named_and_not_used(tmp_path):
    path = write_generic(tmp_path / "a.tif", tile=None)
    with pytest.raises(MissingScale) as refusal:
        open_slide(path)
    assert str(refusal.value) == (
        f"{path} states a scale that is not understood: 0.5 um/px, which in a plain picture "
        f"may be that of another one, in its tags XResolution and YResolution. {GIVE_IT}"
    )
    assert open_slide(path, mpp=0.5).mpp == 0.5


def test_a_flat_picture_cut_from_an_aperio_slide_has_its_mpp_named(tmp_path):
    path = write_aperio(tmp_path / "a.tif", mpp="0,2527", tile=None)
    with pytest.raises(MissingScale, match=r"0\.2527 um/px, which .* \(.MPP = 0,2527.\)"):
        open_slide(path)


@pytest.mark.parametrize("name", ["a b.tif", "a.png", "a.jpg"])
def test_a_picture_that_is_too_large_gets_the_command_for_a_pyramid(tmp_path, monkeypatch, name):
    monkeypatch.setattr("histosynth.core.images.MAX_PIXELS", 320 * 256 - 1)
    path = tmp_path / name
    Image.fromarray(picture()).save(path)
    for mpp in (None, 0.5):
        with pytest.raises(UnreadableImage) as refusal:
            open_slide(path, mpp=mpp)
        assert str(refusal.value) == (
            f"{path} cannot be read as an image: 320 x 256 px is over the limit of 81919 px. "
            f"{pyramid_remedy(path)}"
        )
    quoted = f"'{path}'" if " " in name else str(path)
    assert f"vips tiffsave {quoted} " in pyramid_remedy(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0,25", 0.25),
        ("1 000,5", 1000.5),
        ("1'000.5", 1000.5),
        ("1.000.000,5", None),
        ("1,234.5", 1234.5),
        ("1\u202f000", 1000.0),
        ("nan", None),
        ("1e400", None),
        ("0x10", None),
        ("", None),
    ],
)
def test_numbers_of_several_languages(text, value):
    assert number_of(text) == (1_000_000.5 if value is None and text.startswith("1.0") else value)


def test_lengths_with_and_without_a_unit():
    assert length_um("0.5") == 0.5 and length_um("500 nm") == pytest.approx(0.5)
    assert length_um("five") is None and length_um("5 px") is None and length_um("1 2 3 x") is None
    assert um_per_unit("Micrometers") == 1.0 and um_per_unit("inches") == 25_400.0
    assert um_per_unit("Mm") is None and um_per_unit("") is None
