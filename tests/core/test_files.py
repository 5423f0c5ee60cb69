"""Pictures, masks, marked output, recipes, pairing: what comes in and goes out."""

import json
import stat

import cv2
import numpy as np
import pytest
from PIL import Image

from histosynth.core import recipe as recipes
from histosynth.core.condition import Condition, Context
from histosynth.core.errors import (
    BadMask,
    BadOption,
    BadPairing,
    BadRecipe,
    NoFiles,
    NotRGB,
    NotWritable,
    SizeMismatch,
    UnreadableImage,
)
from histosynth.core.images import read_mask, read_rgb, write_mask
from histosynth.core.pairing import list_files, pair_by_stem
from histosynth.core.store import atomic_write, digest, write_text
from histosynth.core.synthetic import SOURCE_TYPE, Synthetic, read_recipe
from histosynth.training.tasks.autoencoder.recipe import AutoencoderRecipe


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("RGBA", "a picture with an alpha channel, not 8-bit RGB. Flatten it onto white"),
        ("L", "a grayscale picture, not 8-bit RGB. H&E needs colour"),
        ("I;16", "more than 8 bits per channel, not 8-bit RGB. Convert it"),
        ("P", "a P picture"),
    ],
)
def test_other_pixel_types_are_refused_with_the_remedy(tmp_path, mode, sentence):
    path = tmp_path / "x.png"
    Image.new(mode, (16, 16)).save(path)
    with pytest.raises(NotRGB) as caught:
        read_rgb(path)
    assert sentence in str(caught.value)


def test_a_truncated_png_is_refused(tmp_path, tile):
    path = tmp_path / "x.png"
    Image.fromarray(tile).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnreadableImage, match="cannot be read as an image"):
        read_rgb(path)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage):
        read_rgb(path)
    with pytest.raises(UnreadableImage):
        read_rgb(tmp_path / "absent.png")


def test_a_mask_is_true_where_any_channel_is_not_zero(tmp_path):
    mask = np.zeros((12, 10), bool)
    mask[3:5, 2:9] = True
    write_mask(tmp_path / "m.png", mask)
    assert (read_mask(tmp_path / "m.png") == mask).all()
    coloured = np.zeros((12, 10, 3), np.uint8)
    coloured[mask] = (0, 0, 1)
    Image.fromarray(coloured).save(tmp_path / "c.png")
    assert (read_mask(tmp_path / "c.png") == mask).all()


def test_what_is_transparent_in_a_mask_is_not_masked(tmp_path):
    picture = np.zeros((12, 10, 4), np.uint8)
    picture[..., :3] = 255
    picture[3:5, 2:9, 3] = 255
    Image.fromarray(picture).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png") == (picture[..., 3] > 0)).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_a_channel_are_refused(tmp_path, name):
    cv2.imwrite(str(tmp_path / name), np.full((16, 16, 3), 40_000, np.uint16))
    with pytest.raises(NotRGB, match="more than 8 bits"):
        read_rgb(tmp_path / name)


def test_offsets_in_a_file_are_not_taken_for_bits(tmp_path, tile):
    """Pillow gives raw mode, compression and offsets in one tuple; an offset may hold a 16."""
    path = tmp_path / "a.tif"
    unlucky = 0
    for height in range(40, len(tile)):
        Image.fromarray(tile[:height]).save(path, compression="tiff_adobe_deflate")
        with Image.open(path) as image:
            unlucky += "16" in str(image.tile)
        assert read_rgb(path).shape == (height, *tile.shape[1:])
    assert unlucky


def test_only_formats_that_start_no_program_are_opened(tmp_path):
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n")
    with pytest.raises(UnreadableImage, match="no known picture format"):
        read_rgb(tmp_path / "a.png")


def test_a_path_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(NotWritable):
        write_mask(tmp_path / "a.png", np.ones((4, 4), bool))
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"], "nothing half-written is left"


def test_a_jpeg_is_no_mask(tmp_path):
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "m.jpg")
    with pytest.raises(UnreadableImage, match="smears the edges"):
        read_mask(tmp_path / "m.jpg")


@pytest.mark.parametrize(
    ("mask", "error", "sentence"),
    [
        (np.zeros((136, 128), bool), BadMask, "The mask is empty"),
        (np.ones((136, 128), bool), BadMask, "covers the whole tile.*synthesize"),
        (
            np.ones((64, 64), bool),
            SizeMismatch,
            "The mask is 64 x 64 px, but its image is 128 x 136 px",
        ),
    ],
)
def test_masks_that_leave_nothing_to_do_are_refused(
    tile,
    mask,
    error,
    sentence,
):
    with pytest.raises(error, match=sentence):
        Context(tile, mask)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_synthetic_pictures_are_marked_and_hold_their_recipe(tmp_path, tile, name):
    recipe = {
        "histosynth": "0",
        "mpp": 0.5,
        "extent": "hole",
        "note": 'quotes " & <tags>',
    }
    path = tmp_path / name
    Synthetic(tile.copy(), Condition(None, (128, 136)), recipe).save(path)
    assert SOURCE_TYPE.encode() in path.read_bytes()
    assert digest(recipe).encode() in path.read_bytes()
    assert read_recipe(path) == recipe
    assert (read_rgb(path) == tile).all()
    with Image.open(path) as image:
        assert image.info["dpi"][0] == pytest.approx(50_800, rel=1e-3)


def test_a_format_that_would_change_pixels_is_refused(tmp_path, tile):
    with pytest.raises(BadOption, match=r"\.png, \.tif or \.tiff"):
        Synthetic(tile, Condition(None, (128, 136)), {}).save(tmp_path / "a.jpg")


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o044


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable, match=r"cannot be written.*Choose another --out"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_all_problems_of_a_recipe_are_reported_at_once(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(
        'task = "autoencoder"\nsede = 1\n[loop]\nsteps = "many"\nbatch = 4\n[data]\nmpp = 0.5\n'
    )
    with pytest.raises(BadRecipe) as caught:
        recipes.load(path, AutoencoderRecipe)
    text = str(caught.value)
    for problem in (
        "unknown key sede",
        "loop.steps must be int",
        "missing key loop.learning_rate",
        "missing key data.root",
    ):
        assert problem in text


@pytest.mark.parametrize("text", ["task = ", "\xff"])
def test_broken_toml_is_refused(tmp_path, text):
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BadRecipe):
        recipes.read_toml(path)


def test_folders_pair_by_stem_or_files_without_partner_are_named(tmp_path):
    for name in ("a.png", "b.png", "a.csv", "c.csv"):
        (tmp_path / name).write_text("")
    images = list_files(tmp_path, [".png"])
    with pytest.raises(BadPairing) as caught:
        pair_by_stem(images, tmp_path, [".csv"], "nuclei file")
    assert "1 without a nuclei file (b)" in str(caught.value)
    assert "1 nuclei file(s) without a partner (c)" in str(caught.value)
    assert (
        pair_by_stem(images, tmp_path / "a.csv", [".csv"], "nuclei file")
        == [tmp_path / "a.csv"] * 2
    )
    with pytest.raises(NoFiles):
        list_files(tmp_path / "absent", [".png"])


def test_digests_do_not_depend_on_key_order():
    assert digest({"a": 1, "b": [2, 3]}) == digest(json.loads('{"b": [2, 3], "a": 1}'))
    assert digest({"a": 1}) != digest({"a": 2})
