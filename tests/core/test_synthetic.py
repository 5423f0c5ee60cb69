"""Marks of synthetic pictures: XMP, recipe and resolution in the file, and what may be replaced."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from histosynth.core.condition import Condition
from histosynth.core.errors import BadOption, NotRGB, NotWritable
from histosynth.core.images import read_rgb
from histosynth.core.marking import xmp_packet
from histosynth.core.store import digest
from histosynth.core.synthetic import (
    Synthetic,
    is_own_picture,
    is_synthetic,
    open_own_pictures,
    read_recipe,
    write_synthetic,
)

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
XMP = "{http://ns.adobe.com/xap/1.0/}"
OWN = "{urn:histosynth:1}"
RECIPE = {"seed": 3, "histosynth": "1.2.3", "extent": 'mask "a" & <b>', "mpp": 0.25, "note": "ü"}
NOT_OURS = (
    "something that histosynth did not make is there, or it was changed since (overwrite=True "
    "replaces it)"
)
CHANGED = "histosynth did not write what is there, or it was changed since"
LINKED = "it is a link, and no link inside a folder of results is followed"


def described(packet):
    (description,) = ElementTree.fromstring(packet).iter(f"{RDF}Description")
    return description.attrib


def synthetic(tile, recipe):
    return Synthetic(tile, Condition(None, (128, 136)), recipe)


@pytest.mark.parametrize(
    ("recipe", "tool", "extent"),
    [
        (RECIPE, "histosynth 1.2.3", 'mask "a" & <b>'),
        ({}, "histosynth", "tile"),
    ],
)
def test_the_packet_names_source_program_extent_and_digest(recipe, tool, extent):
    assert described(xmp_packet(recipe)) == {
        f"{RDF}about": "",
        f"{IPTC}DigitalSourceType": (
            "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
        ),
        f"{XMP}CreatorTool": tool,
        f"{OWN}extent": extent,
        f"{OWN}recipeSha256": digest(recipe),
        f"{OWN}notice": "Synthetic. For research use; not for diagnosis.",
    }


@pytest.mark.parametrize(
    ("recipe", "dots_per_metre"), [(RECIPE, 4_000_000), ({"seed": 1}, 2_000_000)]
)
def test_a_png_holds_packet_recipe_and_resolution(tmp_path, tile, recipe, dots_per_metre):
    path = tmp_path / "a.PNG"
    write_synthetic(path, tile, recipe)
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.text == {
            "XML:com.adobe.xmp": xmp_packet(recipe),
            "histosynth:recipe": json.dumps(recipe, sort_keys=True),
        }
        assert image.info["dpi"] == pytest.approx((dots_per_metre * 0.0254,) * 2)
    assert (read_rgb(path) == tile).all()


@pytest.mark.parametrize("suffix", [".tif", ".tiff"])
@pytest.mark.parametrize(("recipe", "dots_per_inch"), [(RECIPE, 101_600), ({"seed": 1}, 50_800)])
def test_a_tiff_holds_packet_recipe_and_resolution(tmp_path, tile, recipe, dots_per_inch, suffix):
    path = tmp_path / f"a{suffix}"
    write_synthetic(path, tile, recipe)
    with Image.open(path) as image:
        assert image.format == "TIFF"
        assert image.tag_v2[700] == xmp_packet(recipe).encode()
        assert image.tag_v2.tagtype[700] == 1  # BYTE
        assert json.loads(image.tag_v2[270]) == recipe
        assert image.tag_v2[270] == json.dumps(recipe, sort_keys=True)
        assert image.info["compression"] == "tiff_adobe_deflate"
        assert image.info["dpi"] == (dots_per_inch, dots_per_inch)
    assert (read_rgb(path) == tile).all()
    assert read_recipe(path) == recipe and is_synthetic(path)


@pytest.mark.parametrize(("name", "ending"), [("a.JPG", ".JPG"), ("a", "missing")])
def test_another_ending_is_refused(tmp_path, tile, name, ending):
    with pytest.raises(BadOption) as caught:
        synthetic(tile, {}).save(str(tmp_path / name))
    assert caught.value.problem == (
        f"the output file's ending is {ending}, but must be .png, .tif or .tiff."
    )
    assert list(tmp_path.iterdir()) == []


def test_pixels_of_a_synthetic_tile_are_rgb_and_cannot_be_changed(tile):
    result = synthetic(tile, {})
    assert (result.pixels == tile).all() and result.pixels.dtype == np.uint8
    assert not result.pixels.flags.writeable and tile.flags.writeable
    with pytest.raises(NotRGB, match=r"^synthetic tile is an array of shape"):
        synthetic(tile[..., 0], {})


def save_with_text(path, tile, text):
    """A picture of another program: no packet in a PNG, ours in a TIFF."""
    if path.suffix == ".png":
        metadata = PngImagePlugin.PngInfo()
        metadata.add_text("histosynth:recipe", text)
        Image.fromarray(tile).save(path, pnginfo=metadata)
    else:
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[700] = xmp_packet({}).encode()
        tags[270] = text
        Image.fromarray(tile).save(path, tiffinfo=tags)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("text", ["{", "[1]", '"text"', ""])
def test_text_that_is_no_recipe_does_not_count(tmp_path, tile, name, text):
    save_with_text(tmp_path / name, tile, text)
    assert read_recipe(tmp_path / name) is None
    assert not is_synthetic(tmp_path / name)
    save_with_text(tmp_path / name, tile, '{"seed": 1}')
    assert read_recipe(tmp_path / name) == {"seed": 1}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_pictures_of_other_programs_are_not_synthetic(tmp_path, tile, name):
    path = tmp_path / name
    Image.fromarray(tile).save(path)
    assert read_recipe(path) is None and is_synthetic(path) is False


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_not_synthetic(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert is_synthetic(tmp_path / "a.png") is False
    assert is_synthetic(tmp_path) is False
    assert is_synthetic(tmp_path / "absent.png") is False


def test_only_pictures_that_histosynth_wrote_are_replaced(tmp_path, tile):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("text")
    reasons = {"folder.png": CHANGED, "link.png": LINKED, "text.png": CHANGED}
    for name, reason in reasons.items():
        path = tmp_path / name
        with pytest.raises(NotWritable) as caught:
            open_own_pictures(tmp_path).refuse_foreign([name])
        assert (caught.value.path, caught.value.reason) == (path, reason)
        with pytest.raises(NotWritable) as caught:
            synthetic(tile, {}).save(path)
        assert caught.value.reason == NOT_OURS
        assert caught.value.path == path
    open_own_pictures(tmp_path).refuse_foreign(["absent.png"])
    path = tmp_path / "text.png"
    synthetic(tile, {"seed": 1}).save(path, overwrite=True)
    open_own_pictures(tmp_path).refuse_foreign(["text.png"])
    synthetic(tile, {"seed": 2}).save(path)
    assert read_recipe(path) == {"seed": 2}


def edit(path):
    """Change pixels as a careful user does: all texts and the resolution stay."""
    with Image.open(path) as image:
        pixels = np.asarray(image).copy()
        texts = PngImagePlugin.PngInfo()
        for key, text in image.text.items():
            texts.add_itxt(key, text)
        dpi = image.info["dpi"]
    pixels[:9] ^= 1
    Image.fromarray(pixels).save(path, pnginfo=texts, dpi=dpi)


def test_a_picture_that_was_edited_with_its_texts_is_of_the_user(tmp_path, tile):
    path = tmp_path / "a.png"
    write_synthetic(path, tile, RECIPE, open_own_pictures(tmp_path))
    own = open_own_pictures(tmp_path)
    own.refuse_foreign(["a.png"])
    edit(path)
    assert read_recipe(path) == RECIPE
    for write in (
        lambda: own.refuse_foreign(["a.png"]),
        lambda: write_synthetic(path, tile, {**RECIPE, "seed": 4}, own),
    ):
        with pytest.raises(NotWritable) as caught:
            write()
        assert str(caught.value) == (
            f"{path} cannot be written: {CHANGED}. Move it elsewhere, or choose another --out."
        )
    assert (read_rgb(path) != tile).any()


@pytest.mark.parametrize("mpp", ["1e400", "0", "-1", "null", '"x"', "true", "NaN", "9" * 400])
def test_a_recipe_of_others_with_an_impossible_scale_is_no_own_picture(tmp_path, tile, mpp):
    save_with_text(tmp_path / "a.png", tile, f'{{"mpp": {mpp}}}')
    assert read_recipe(tmp_path / "a.png") is not None
    assert not is_own_picture(tmp_path / "a.png")
