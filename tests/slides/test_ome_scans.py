"""OME-TIFF of several pictures: which is the scan, by names, sizes and stated scales."""

import pytest
from tiff_files import SCALE, ome_image, picture, write_ome

from histosynth.core.errors import UnreadableImage
from histosynth.core.geometry import Box
from histosynth.slides import open_slide


def is_scan(path) -> bool:
    """Whether the picture of 320 x 256 px is read."""
    slide = open_slide(path)
    shown = slide.read(0, Box(0, 0, 320, 256))
    level = slide.levels[0]
    slide.close()
    return (level.width, level.height) == (320, 256) and bool((shown == picture()).all())


def scale_x(mpp: float) -> str:
    return f'PhysicalSizeX="{mpp}"'


def beside_the_scan(
    tmp_path,
    size=(160, 128),
    scale: str = SCALE,
    name: str = "other",
    main_scale: str = SCALE,
):
    """A scan of 320 x 256 px, 0.5 um/px, and a second picture."""
    xml = ome_image(scale=main_scale) + ome_image(name, size=size, scale=scale, ifd=1)
    return write_ome(tmp_path / "a.tif", picture(), picture(*size), images=xml)


@pytest.mark.parametrize("name", ["label image", "macro image", "Thumbnail", "Overview"])
def test_the_scan_is_found_beside_label_and_macro_pictures(tmp_path, name):
    minor = ome_image(name, size=(400, 300), ifd=0, scale="")
    xml = minor + ome_image(ifd=1)
    path = write_ome(tmp_path / "a.tif", picture(400, 300), picture(), images=xml)
    assert is_scan(path)


def test_a_picture_of_the_whole_glass_is_known_by_its_scale(tmp_path):
    glass = ome_image("Series 1", size=(200, 150), scale='PhysicalSizeX="16"', ifd=0)
    path = write_ome(
        tmp_path / "a.tif", picture(200, 150), picture(), images=glass + ome_image(ifd=1)
    )
    assert is_scan(path)


def test_two_scans_are_refused_by_their_names(tmp_path):
    xml = ome_image() + ome_image("scan 2", size=(300, 200), ifd=1)
    path = write_ome(tmp_path / "a.tif", picture(), picture(300, 200), images=xml)
    with pytest.raises(UnreadableImage) as refusal:
        open_slide(path)
    assert str(refusal.value) == (
        f"{path} cannot be read as an image: it holds 2 pictures that may be the slide: scan (320 "
        "x 256 px, 0.5 um/px), scan 2 (300 x 200 px, 0.5 um/px). Export the one you need to a file "
        "of its own."
    )


@pytest.mark.parametrize("name", ["CD163_macrophages.svs", "unlabelled HE", "label", "Macro"])
def test_the_only_picture_is_the_scan_whatever_its_name(tmp_path, name):
    assert is_scan(write_ome(tmp_path / "a.tif", images=ome_image(name)))


@pytest.mark.parametrize("name", ["case12_macrophage.svs #1", "unlabelled", "thumbprint"])
@pytest.mark.parametrize("minor", ["label image", "case_MACRO-2", "slide.thumbnail"])
def test_names_are_compared_by_whole_words(tmp_path, name, minor):
    xml = ome_image(name) + ome_image(minor, size=(400, 300), scale="", ifd=1)
    path = write_ome(tmp_path / "a.tif", picture(), picture(400, 300), images=xml)
    assert is_scan(path)


@pytest.mark.parametrize(
    ("size", "scale"),
    [
        ((160, 128), scale_x(1)),
        ((160, 128), scale_x(1.02)),
        ((20, 16), scale_x(8)),
        ((2, 1), scale_x(128)),
        ((160, 128), ""),
        ((20, 16), ""),
        ((200, 150), scale_x(4)),
    ],
)
def test_reduced_versions_of_the_scan_are_left_out(tmp_path, size, scale):
    assert is_scan(beside_the_scan(tmp_path, size, scale))


@pytest.mark.parametrize(
    ("size", "scale", "shown"),
    [
        ((160, 128), scale_x(0.5), "160 x 128 px, 0.5 um/px"),
        ((160, 128), scale_x(0.25), "160 x 128 px, 0.25 um/px"),
        ((160, 128), scale_x(1.1), "160 x 128 px, 1.1 um/px"),
        ((160, 128), scale_x(2), "160 x 128 px, 2 um/px"),
        ((320, 256), scale_x(1), "320 x 256 px, 1 um/px"),
        ((160, 100), scale_x(1), "160 x 100 px, 1 um/px"),
        ((30, 20), scale_x(4), "30 x 20 px, 4 um/px"),
        ((160, 100), "", "160 x 100 px, no scale"),
        (
            (160, 128),
            scale_x(1) + ' PhysicalSizeXUnit="pixel"',
            "160 x 128 px, PhysicalSizeX = 1 pixel",
        ),
    ],
)
def test_a_smaller_picture_that_is_no_reduced_version_is_another_scan(tmp_path, size, scale, shown):
    path = beside_the_scan(tmp_path, size, scale)
    with pytest.raises(UnreadableImage) as refusal:
        open_slide(path)
    assert str(refusal.value) == (
        f"{path} cannot be read as an image: it holds 2 pictures that may be the slide: scan (320 "
        f"x 256 px, 0.5 um/px), other ({shown}). Export the one you need to a file of its own."
    )


@pytest.mark.parametrize("scale", ["", scale_x(1)])
def test_no_picture_is_a_reduced_version_of_one_without_a_scale(tmp_path, scale):
    path = beside_the_scan(tmp_path, scale=scale, main_scale="")
    with pytest.raises(UnreadableImage, match="scan \\(320 x 256 px, no scale\\), other"):
        open_slide(path, mpp=0.5)
    named = beside_the_scan(tmp_path, scale=scale, main_scale="", name="overview")
    assert open_slide(named, mpp=0.5).levels[0].width == 320
