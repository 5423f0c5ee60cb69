"""OME-TIFF: its planes, levels, pictures and scale, as the XML states them."""

import numpy as np
import pytest
import tifffile
from tiff_files import OME, SCALE, ome_image, picture, planes, write_ome, write_pages

from histosynth.core.errors import (
    ConflictingScales,
    HistosynthError,
    MissingScale,
    NotRGB,
    UnreadableImage,
)
from histosynth.core.geometry import Box
from histosynth.slides import open_slide

ALL = Box(0, 0, 320, 256)


def channels(*attributes: str) -> str:
    return "".join(f"<Channel {each}/>" for each in attributes)


def is_picture(path, levels=1) -> bool:
    slide = open_slide(path)
    shown = slide.read(0, ALL)
    half = Box(0, 0, 160, 128)
    is_same = bool((shown == picture()).all()) and len(slide.levels) == levels
    if levels > 1:
        is_same &= bool((slide.read(1, half) == picture()[::2, ::2]).all())
    slide.close()
    return is_same and slide.mpp == 0.5


@pytest.mark.parametrize("tile", [(128, 128), None])
def test_three_planes_are_put_together(tmp_path, tile):
    xml = ome_image(inside=channels("", "", ""), ifd=None)
    assert is_picture(write_ome(tmp_path / "a.tif", *planes(picture()), images=xml, tile=tile))


@pytest.mark.parametrize(
    "stated",
    [
        ('Name="Red"', 'Name="Green"', 'Name="Blue"'),
        ('Name="R"', 'Name="G"', 'Name="B"'),
        ('Color="-16776961"', 'Color="16711935"', 'Color="65535"'),
        ('Name="Channel 0"', 'Name="Channel 1"', 'Name="Channel 2"'),
        ('Name="C:0" Color="-1"', 'Name="C:1" Color="-1"', 'Name="C:2" Color="-1"'),
    ],
)
def test_channels_are_red_green_and_blue_by_name_colour_or_order(tmp_path, stated):
    xml = ome_image(inside=channels(*stated), ifd=None)
    assert is_picture(write_ome(tmp_path / "a.tif", *planes(picture()), images=xml))


def test_channels_in_another_order_are_put_right(tmp_path):
    xml = ome_image(inside=channels('Name="Blue"', 'Name="Green"', 'Name="Red"'), ifd=None)
    assert is_picture(write_ome(tmp_path / "a.tif", *planes(picture())[::-1], images=xml))


def test_places_of_planes_are_followed(tmp_path):
    inside = channels("", "", "") + "".join(
        f'<TiffData FirstC="{channel}" IFD="{page}" PlaneCount="1"/>'
        for channel, page in ((0, 2), (1, 0), (2, 1))
    )
    red, green, blue = planes(picture())
    xml = ome_image(inside=inside, ifd=None)
    assert is_picture(write_ome(tmp_path / "a.tif", green, blue, red, images=xml))


def test_one_page_of_separate_planes_is_put_together(tmp_path):
    path = write_ome(tmp_path / "a.tif", planes(picture()), planarconfig="separate")
    assert is_picture(path)


def test_levels_may_be_pages_of_their_own(tmp_path):
    small = picture()[::2, ::2].copy()
    assert is_picture(write_ome(tmp_path / "a.tif", picture(), small), levels=2)
    xml = ome_image(inside="", ifd=None)
    pages = (*planes(picture()), *planes(small))
    assert is_picture(write_ome(tmp_path / "b.tif", *pages, images=xml), levels=2)


@pytest.mark.parametrize("split", [False, True])
def test_levels_may_be_sub_ifds(tmp_path, split):
    change = planes if split else np.asarray
    options = {
        "photometric": "minisblack" if split else "rgb",
        "tile": (128, 128),
        "compression": "lzw",
    }
    about = {"axes": "CYX" if split else "YXS", "PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm"}
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(change(picture()), subifds=1, metadata=about, **options)
        file.write(change(picture()[::2, ::2].copy()), subfiletype=1, **options)
    assert is_picture(path, levels=2)


def test_a_thumbnail_of_another_shape_is_no_level(tmp_path):
    assert is_picture(write_ome(tmp_path / "a.tif", picture(), picture(100, 120)), levels=1)


REFUSED = {
    "fluorescence": (
        ome_image(inside=channels('Name="DAPI"', 'Name="FITC"', 'Name="Cy3"'), ifd=None),
        "a picture of single channels that are not red, green and blue (DAPI, FITC, Cy3)",
    ),
    "wavelengths": (
        ome_image(inside=channels(*['EmissionWavelength="461"'] * 3), ifd=None),
        "a picture of single channels that are not red, green and blue (?, ?, ?)",
    ),
    "many channels": (
        ome_image(attributes='SizeC="7" Type="uint16"'),
        "fluorescence or another stack of 7 channels of type uint16",
    ),
    "16 bits": (
        ome_image(attributes='SizeC="3" Type="uint16"'),
        "a picture of 3 channels of type uint16",
    ),
    "grey": (ome_image(attributes='SizeC="1" Type="uint8"'), "a grayscale picture"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_rgb_is_refused_by_what_it_is(tmp_path, case):
    xml, found = REFUSED[case]
    path = write_ome(tmp_path / "a.tif", *planes(picture()), images=xml)
    with pytest.raises(NotRGB) as refusal:
        open_slide(path, mpp=0.5)
    assert str(refusal.value) == (
        f"{path} is {found}, not 8-bit RGB. H&E needs colour: export the brightfield scan as 8-bit "
        "RGB."
    )


@pytest.mark.parametrize(("extra", "fourth"), [("unassalpha", "an alpha"), (0, "a fourth")])
def test_rgb_with_a_fourth_channel_is_no_fluorescence(tmp_path, extra, fourth):
    path = tmp_path / "a.ome.tif"
    rgba = np.dstack([picture(), picture()[..., 0]])
    options = {"photometric": "rgb", "extrasamples": [extra], "metadata": {"axes": "YXS"}}
    tifffile.imwrite(path, rgba, tile=(128, 128), **options)
    with pytest.raises(NotRGB) as refusal:
        open_slide(path, mpp=0.5)
    assert str(refusal.value) == (
        f"{path} is RGB with {fourth} channel, not 8-bit RGB. Export it as 8-bit RGB, without "
        f"{fourth} channel."
    )


def test_focal_planes_are_refused(tmp_path):
    xml = ome_image(attributes='SizeC="3" SizeZ="5" Type="uint8"')
    with pytest.raises(UnreadableImage, match="it holds 5 focal planes"):
        open_slide(write_ome(tmp_path / "a.tif", images=xml))


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (ome_image(size=(640, 512)), "states 640 x 512 px, its page has 320 x 256 px"),
        (ome_image(ifd=9), "places planes on pages 9 of 1"),
        (ome_image() + "</Image>", "its OME-XML is damaged"),
        ("", "names no picture"),
        ('<BinaryOnly MetadataFile="x.companion.ome"/>', "in another file, x.companion.ome"),
        (ome_image("label") + ome_image("macro"), "names no scan, only: label, macro"),
    ],
)
def test_an_xml_that_does_not_fit_is_refused_even_with_a_scale(tmp_path, images, reason):
    path = write_ome(tmp_path / "a.tif", images=images)
    with pytest.raises(UnreadableImage, match=reason):
        open_slide(path, mpp=0.5)


def test_entities_are_never_expanded(tmp_path):
    text = OME.format(images=ome_image(scale='PhysicalSizeX="&a;"'))
    bomb = text.replace("<OME", '<!DOCTYPE OME [<!ENTITY a "0.5">]><OME')
    path = write_pages(tmp_path / "a.tif", picture(), description=bomb)
    with pytest.raises(UnreadableImage, match="declares a document type, which is not read"):
        open_slide(path, mpp=0.5)


# --- scale ------------------------------------------------------------------------------------

UNITS = {
    "um": "0.5",
    "µm": "0.5",
    "μm": "0.5",
    "&#181;m": "0.5",
    "&#xB5;m": "0.5",
    "&#x3BC;m": "0.5",
    "Âµm": "0.5",
    "micron": "0.5",
    "nm": "500",
    "mm": "0.0005",
    "cm": "5E-5",
    "m": "5e-7",
    "pm": "500000",
    "Å": "5000",
    "&#x212B;": "5000",
    "in": "0.00001968503937",
    "thou": "0.01968503937",
}


def with_scale(tmp_path, scale, **options):
    return write_ome(tmp_path / "a.tif", images=ome_image(scale=scale), **options)


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_of_length_is_read(tmp_path, unit):
    size = UNITS[unit]
    scale = (
        f'PhysicalSizeX="{size}" PhysicalSizeXUnit="{unit}" PhysicalSizeY="{size}" '
        f'PhysicalSizeYUnit="{unit}"'
    )
    assert open_slide(with_scale(tmp_path, scale)).mpp == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("unit", ["pixel", "reference frame", "furlong", "Mm", "?m"])
def test_a_unit_that_is_no_length_is_named(tmp_path, unit):
    path = with_scale(tmp_path, f'PhysicalSizeX="0.5" PhysicalSizeXUnit="{unit}"')
    with pytest.raises(MissingScale) as refusal:
        open_slide(path)
    assert str(refusal.value) == (
        f"{path} states a scale that is not understood: PhysicalSizeX = 0.5 {unit} in its OME-XML. "
        "Give it with --mpp (0.5 is usual for a 20x scan); it is never guessed."
    )
    assert open_slide(path, mpp=0.25).mpp == 0.25


@pytest.mark.parametrize(
    ("scale", "mpp"),
    [
        ('PhysicalSizeX="0.5"', 0.5),
        ('PhysicalSizeX="0.500" PhysicalSizeY="0.504"', 0.502),
        ('PhysicalSizeX="0,5" PhysicalSizeY="0,5"', 0.5),
    ],
)
def test_both_axes_count(tmp_path, scale, mpp):
    assert open_slide(with_scale(tmp_path, scale)).mpp == pytest.approx(mpp)


def test_pixels_that_are_not_square_are_refused(tmp_path):
    path = with_scale(tmp_path, 'PhysicalSizeX="0.25" PhysicalSizeY="0.5"')
    with pytest.raises(ConflictingScales) as refusal:
        open_slide(path)
    assert str(refusal.value) == (
        f"{path} states two scales that differ by more than 1 %: 0.25 um/px across, and 0.5 um/px "
        "down, in its OME-XML. Give the right one with --mpp, in micrometres per pixel."
    )
    assert open_slide(path, mpp=0.5).mpp == 0.5


def test_xml_and_tags_must_agree(tmp_path):
    resolution = {"resolution": (40_000, 40_000), "resolutionunit": 3}
    path = with_scale(tmp_path, SCALE, **resolution)
    with pytest.raises(ConflictingScales) as refusal:
        open_slide(path)
    assert str(refusal.value) == (
        f"{path} states two scales that differ by more than 1 %: 0.5 um/px in its OME-XML, and "
        "0.25 um/px in its tags XResolution and YResolution. Give the right one with --mpp, in "
        "micrometres per pixel."
    )
    assert open_slide(path, mpp=0.25).mpp == 0.25


@pytest.mark.parametrize("resolution", [(20_100, 20_100), (72, 72), (10, 10)])
def test_tags_that_agree_or_say_nothing_change_nothing(tmp_path, resolution):
    path = with_scale(tmp_path, SCALE, resolution=resolution, resolutionunit=3)
    assert open_slide(path).mpp == 0.5


def test_tags_are_used_where_the_xml_is_silent(tmp_path):
    path = with_scale(tmp_path, "", resolution=(20_000, 20_000), resolutionunit=3)
    assert open_slide(path).mpp == 0.5
    with pytest.raises(MissingScale, match="does not state its scale in micrometres per pixel"):
        open_slide(with_scale(tmp_path, ""))


@pytest.mark.parametrize("cut", [40, 200, 400])
def test_an_xml_that_is_cut_off_is_refused(tmp_path, cut):
    text = OME.format(images=ome_image())[:-cut]
    with pytest.raises(HistosynthError):
        open_slide(write_pages(tmp_path / "a.tif", picture(), description=text))
