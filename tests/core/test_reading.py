"""What is read as it was meant, or refused: odd names, odd numbers, files over the limits."""

import json
from pathlib import Path

import pytest
from PIL import Image, TiffImagePlugin

from histosynth.annotation import reading_files
from histosynth.annotation.nuclei_files import read_nuclei
from histosynth.core import images
from histosynth.core import recipe as recipes
from histosynth.core.condition import Condition
from histosynth.core.errors import (
    BadNuclei,
    BadPairing,
    BadRecipe,
    BadSize,
    NoFiles,
    NotWritable,
    UnreadableImage,
)
from histosynth.core.images import read_mask, read_rgb
from histosynth.core.nuclei import ANY
from histosynth.core.pairing import list_files, pair_by_stem
from histosynth.core.synthetic import Synthetic, is_synthetic, read_recipe

CLASSES = ("epithelial", "lymphocyte", "stromal")


def read(path):
    return read_nuclei(
        path,
        size=(64, 48),
        mpp=0.5,
        classes=CLASSES,
    )


def test_a_tiff_that_describes_itself_in_json_is_not_ours(tmp_path, tile):
    path = tmp_path / "mine.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = '{"shape": [136, 128, 3]}'
    Image.fromarray(tile).save(path, tiffinfo=tags)
    assert read_recipe(path) is None and not is_synthetic(path)
    Synthetic(tile, Condition(None, (128, 136)), {"mpp": 0.5}).save(tmp_path / "made.tif")
    assert is_synthetic(tmp_path / "made.tif")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_saving_replaces_synthetic_pictures_and_others_only_on_request(tmp_path, tile, name):
    made = Synthetic(tile, Condition(None, (128, 136)), {"mpp": 0.5})
    path = tmp_path / name
    made.save(path)
    made.save(path)
    Image.fromarray(255 - tile).save(path)
    with pytest.raises(NotWritable, match=r"did not make.*overwrite=True"):
        made.save(path)
    assert (read_rgb(path) == 255 - tile).all()
    made.save(path, overwrite=True)
    assert is_synthetic(path)


def test_a_path_that_is_too_long_is_not_there():
    with pytest.raises(NoFiles, match="is not there"):
        list_files(Path("n" * 5000), [".png"])
    with pytest.raises(NoFiles):
        pair_by_stem(
            [Path("a.png")],
            Path("n" * 300),
            [".csv"],
            "nuclei file",
        )


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    def closed(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", closed)
    with pytest.raises(NoFiles, match=r"cannot be read \(Permission denied\)"):
        list_files(tmp_path, [".png"])


def test_files_of_one_stem_are_named_in_a_message_of_their_own(tmp_path):
    for name in ("t.png", "t.jpg", "u.png"):
        (tmp_path / name).write_text("")
    with pytest.raises(BadPairing) as caught:
        list_files(tmp_path, [".png", ".jpg"])
    assert "holds 2 files that share a stem with another (t.jpg, t.png)" in caught.value.problem
    assert "Rename them" in caught.value.remedy and "without a" not in str(caught.value)


def test_hidden_files_of_a_folder_are_passed_over(tmp_path):
    for name in ("a.png", "._a.png", ".b.png"):
        (tmp_path / name).write_text("")
    assert list_files(tmp_path, [".png"]) == [tmp_path / "a.png"]


@pytest.mark.parametrize("number", ["1_0", "٣", "1e5_0"])
def test_numbers_of_a_csv_are_plain(tmp_path, number):
    (tmp_path / "a.csv").write_text(f"x,y,class\n{number},2,stromal\n", encoding="utf-8")
    with pytest.raises(BadNuclei, match="line 2"):
        read(tmp_path / "a.csv")


def test_a_feature_without_properties_is_of_any_class(tmp_path):
    point = {"type": "Point", "coordinates": [5, 5]}
    (tmp_path / "a.geojson").write_text(json.dumps([{"geometry": point, "properties": None}]))
    assert read(tmp_path / "a.geojson").names() == [ANY]


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon", "coordinates": [[[1e200, 1], [1, 1e200], [3, 3]]]},
        {"type": "MultiPolygon", "coordinates": [[[[float("nan"), 1], [1, 2], [3, 3]]]]},
        {"type": "Polygon", "coordinates": [[["1", "2"], ["3", "4"], ["3", "9"]]]},
        {"type": "Point", "coordinates": [True, "5"]},
    ],
)
def test_coordinates_of_geojson_are_numbers_within_reason(tmp_path, geometry):
    (tmp_path / "a.geojson").write_text(json.dumps([{"geometry": geometry, "properties": {}}]))
    with pytest.raises(BadNuclei, match="feature 1"):
        read(tmp_path / "a.geojson")


def test_an_empty_first_line_is_no_header(tmp_path):
    (tmp_path / "a.csv").write_text("\n1,2,stromal\n")
    with pytest.raises(BadNuclei, match="begins with an empty line"):
        read(tmp_path / "a.csv")


def test_files_over_the_limits_are_refused_with_both_numbers(tmp_path, monkeypatch, tile_file):
    (tmp_path / "a.csv").write_text("x,y,class\n1,2,stromal\n3,4,stromal\n")
    monkeypatch.setattr(reading_files, "MAX_OBJECTS", 1)
    with pytest.raises(BadNuclei, match="2 nuclei, over the limit of 1"):
        read(tmp_path / "a.csv")
    monkeypatch.setattr(reading_files, "MAX_ANNOTATION_BYTES", 30)
    with pytest.raises(BadNuclei, match="34 bytes, over the limit of 30"):
        read(tmp_path / "a.csv")
    monkeypatch.setattr(images, "MAX_PIXELS", 128 * 136 - 1)
    for reader in (read_rgb, read_mask):
        with pytest.raises(UnreadableImage, match="128 x 136 px is over the limit of 17407 px"):
            reader(tile_file)
    (tmp_path / "a.toml").write_text("a = 1\n")
    monkeypatch.setattr(recipes, "MAX_TOML_BYTES", 5)
    with pytest.raises(BadRecipe, match="larger than 5 bytes"):
        recipes.read_toml(tmp_path / "a.toml")


@pytest.fixture
def tile_file(tmp_path, tile):
    Image.fromarray(tile).save(tmp_path / "tile.png")
    return tmp_path / "tile.png"


def test_the_size_of_a_tile_to_be_mended_is_no_multiple_of_one():
    assert "each side must be from 128 to 1024 px" in str(BadSize(50, 131, 128, 1024, 1))
    assert "each side must be a multiple of 8 from 128 to 1024 px" in str(
        BadSize(50, 131, 128, 1024, 8)
    )
