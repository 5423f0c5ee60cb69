"""Marked output, recipes, pairing, and files that appear whole: what comes in and goes out."""

import json
import stat

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
    NotWritable,
    SizeMismatch,
)
from histosynth.core.images import read_rgb
from histosynth.core.marking import SOURCE_TYPE
from histosynth.core.pairing import list_files, pair_by_stem
from histosynth.core.store import atomic_write, digest, write_text
from histosynth.core.synthetic import Synthetic, read_recipe
from histosynth.training.recipes.autoencoder import AutoencoderRecipe


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
        'task = "autoencoder"\nsede = 1\n[loop]\nsteps = "many"\nbatch = 0\n[data]\nmpp = 72\n'
    )
    with pytest.raises(BadRecipe) as caught:
        recipes.load(path, AutoencoderRecipe)
    text = str(caught.value)
    for problem in (
        "unknown key sede",
        "loop.steps must be int",
        "loop.batch must be at least 1, not 0",
        "data.mpp must lie in [0.05, 20], not 72.0",
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
