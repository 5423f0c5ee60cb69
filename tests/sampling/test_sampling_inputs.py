"""Files of the sampling verbs: conditions, appearances, targets and earlier recipes."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from histosynth.core.errors import (
    BadOption,
    BadPairing,
    BadSize,
    NotWritable,
    ScaleMismatch,
    UnknownClasses,
    UnknownLabel,
)
from histosynth.core.geometry import Size
from histosynth.core.images import write_mask
from histosynth.core.nuclei import ANY_CLASS
from histosynth.sampling.earlier_pictures import read_earlier_recipes
from histosynth.sampling.files import (
    ConditionReader,
    check_name,
    completion_targets,
    find_appearances,
    read_appearance,
    refuse_inputs_as_targets,
)
from histosynth.sampling.options import SamplingOptions
from histosynth.testing import tiny_bundle
from histosynth.tissue.appearance import measure_appearance

FOREIGN = "something that histosynth did not make is there already"


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle()


@pytest.fixture
def picture(tmp_path, tile):
    path = tmp_path / "tile.png"
    Image.fromarray(tile).save(path)
    return path


def write_points(path, *rows):
    path.write_text("x,y,class\n" + "".join(f"{row}\n" for row in rows))
    return path


def same_appearance(one, other):
    return one.frame == other.frame and (one.style == other.style).all()


# conditions


def test_a_reader_takes_the_scale_of_the_bundle_and_no_map_and_no_label_by_default(bundle):
    reader = ConditionReader.of(bundle, SamplingOptions())
    assert reader.bundle is bundle
    assert reader.mpp == 0.5
    assert reader.class_map == {}
    assert reader.label is None


def test_the_condition_of_a_whole_tile_holds_what_the_options_and_the_file_state(tmp_path, bundle):
    classes = tmp_path / "map.toml"
    classes.write_text('"Tumor" = "epithelial"\n')
    options = SamplingOptions(mpp=0.52, classes=classes, label="breast")
    reader = ConditionReader.of(bundle, options)
    points = write_points(tmp_path / "a.csv", "5.5,6,Tumor", "7,130,stromal")
    condition = reader.whole(points, Size(128, 136))
    assert condition.nuclei.xy.tolist() == [[5.5, 6.0], [7.0, 130.0]]
    assert condition.nuclei.names() == ["epithelial", "stromal"]
    assert condition.nuclei.classes == bundle.info.classes
    assert condition.nuclei.size == condition.size == Size(128, 136)
    assert condition.nuclei.mpp == 0.52
    assert condition.label == "breast"
    assert condition.context is None


def test_the_condition_of_a_completion_holds_image_mask_and_nuclei(tmp_path, bundle, tile):
    image = tmp_path / "t.png"
    Image.fromarray(tile[:131]).save(image)
    mask = np.zeros((131, 128), bool)
    mask[40:60, 30:50] = True
    write_mask(tmp_path / "mask.png", mask)
    reader = ConditionReader.of(bundle, SamplingOptions(label="breast"))
    points = write_points(tmp_path / "a.csv", "5,130,stromal")
    condition = reader.masked(image, tmp_path / "mask.png", points)
    assert (condition.context.pixels == tile[:131]).all()
    assert (condition.context.mask == mask).all()
    assert condition.size == Size(128, 131)
    assert condition.label == "breast"
    assert condition.nuclei.xy.tolist() == [[5.0, 130.0]]
    assert reader.masked(image, tmp_path / "mask.png", None).nuclei is None


def test_conditions_that_the_bundle_cannot_follow_are_refused_as_they_are_read(tmp_path, bundle):
    reader = ConditionReader.of(bundle, SamplingOptions())
    unclassified = write_points(tmp_path / "a.csv", "5,6,any")
    with pytest.raises(UnknownClasses):
        reader.whole(unclassified, Size(128, 128))
    with pytest.raises(BadSize):
        reader.whole(write_points(tmp_path / "b.csv"), Size(120, 128))
    Image.fromarray(np.full((120, 128, 3), 200, np.uint8)).save(tmp_path / "small.png")
    mask = np.zeros((120, 128), bool)
    mask[5, 5] = True
    write_mask(tmp_path / "mask.png", mask)
    with pytest.raises(BadSize):
        reader.masked(tmp_path / "small.png", tmp_path / "mask.png", None)


def test_an_unknown_label_is_refused_before_anything_is_read(bundle):
    with pytest.raises(UnknownLabel):
        ConditionReader.of(bundle, SamplingOptions(label="liver"))


@pytest.mark.parametrize("mpp", [0, -0.5, 1000, float("inf"), float("nan")])
def test_a_scale_lies_above_0_and_below_1000(bundle, mpp):
    with pytest.raises(BadOption) as error:
        ConditionReader.of(bundle, SamplingOptions(mpp=mpp))
    assert str(error.value) == (
        f"--mpp is {mpp}, but must be micrometres per pixel, above 0 and below 1000. "
        "Give another value."
    )


@pytest.mark.parametrize("mpp", [0.001, 0.25, 1, 999.9])
def test_a_scale_that_is_far_from_the_bundles_is_another_error(bundle, mpp):
    with pytest.raises(ScaleMismatch) as error:
        ConditionReader.of(bundle, SamplingOptions(mpp=mpp))
    assert str(error.value) == (
        f"The scale is {mpp:g} um/px, but this bundle paints at 0.5 um/px (within 20%). "
        "Resample the tile and its nuclei to 0.5 um/px, or use another bundle."
    )


# appearances


def test_a_name_of_the_palette_stands_for_every_file(bundle, tmp_path):
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    found = find_appearances("stain-2", files, bundle)
    assert len(found) == 2
    assert all(each.frame.scale == (1.0, 1.2, 1.0) for each in found)
    default = find_appearances(None, files, bundle)
    assert [each.frame.scale for each in default] == [(1.0, 1.1, 1.0)] * 2


def test_a_picture_is_measured_once_for_every_file(bundle, tmp_path, picture, tile):
    found = find_appearances(str(picture), [tmp_path / "a.csv", tmp_path / "b.csv"], bundle)
    assert len(found) == 2 and found[0] is found[1]
    assert same_appearance(found[0], measure_appearance(tile))
    assert read_appearance(found[0]) is found[0]


def test_a_folder_holds_a_picture_for_each_file(bundle, tmp_path, tile):
    folder = tmp_path / "stains"
    folder.mkdir()
    files = [tmp_path / "b.csv", tmp_path / "a.csv"]
    Image.fromarray(tile).save(folder / "a.png")
    Image.fromarray(tile[::-1, :64]).save(folder / "b.tif")
    found = find_appearances(str(folder), files, bundle)
    assert found == [folder / "b.tif", folder / "a.png"]
    assert same_appearance(read_appearance(found[0]), measure_appearance(tile[::-1, :64]))
    (folder / "b.tif").unlink()
    with pytest.raises(BadPairing) as error:
        find_appearances(str(folder), files, bundle)
    assert str(error.value) == (
        "The folders do not pair by file name: 1 without a reference picture (b). "
        "Give both files the same stem, e.g. a.png and a.csv."
    )


@pytest.mark.parametrize(("appearance", "shown"), [("purple", "purple"), ("", "empty")])
def test_an_appearance_that_is_neither_name_nor_path_is_refused(bundle, appearance, shown):
    with pytest.raises(BadOption) as error:
        find_appearances(appearance, [], bundle)
    assert str(error.value) == (
        f"the appearance is {shown}, but must be a picture or one of stain-1, stain-2, stain-3, "
        "stain-4. Give another value."
    )


# targets


@pytest.mark.parametrize("name", ["out.png", "out.tif", "out.tiff", "OUT.PNG"])
def test_one_image_may_be_written_to_a_file(tmp_path, picture, name):
    assert completion_targets([picture], picture, tmp_path / name) == [tmp_path / name]


@pytest.mark.parametrize("name", ["out", "there.jpg"])
def test_one_image_may_be_written_into_a_folder(tmp_path, picture, name):
    (tmp_path / "there.jpg").mkdir()
    out = tmp_path / name
    assert completion_targets([picture], picture, out) == [out / "tile.png"]


@pytest.mark.parametrize("name", ["out", "out.v2", "there.png"])
def test_a_folder_is_written_into_a_folder(tmp_path, name):
    (tmp_path / "there.png").mkdir()
    images = [tmp_path / "in" / "a.tif", tmp_path / "in" / "b.c.jpg"]
    out = tmp_path / name
    expected = [out / "a.png", out / "b.c.png"]
    assert completion_targets(images, tmp_path, out) == expected


def test_one_image_is_not_written_to_a_file_of_another_format(tmp_path, picture):
    out = tmp_path / "out.jpg"
    with pytest.raises(BadOption) as error:
        completion_targets([picture], picture, out)
    assert str(error.value) == (
        f"--out is {out}, but must be a folder, or a file ending in .png, .tif or .tiff. "
        "Give another value."
    )


def test_a_folder_is_not_written_to_one_file(tmp_path, picture):
    out = tmp_path / "out.png"
    with pytest.raises(BadOption) as error:
        completion_targets([picture], tmp_path, out)
    assert str(error.value) == (
        f"--out is {out}, but must be a folder, for {tmp_path} is one. Give another value."
    )


def test_a_result_never_replaces_an_input(tmp_path, picture):
    out = tmp_path / "x" / ".."
    targets = [tmp_path / "other.png", out / "tile.png"]
    refuse_inputs_as_targets(targets[:1], [picture], out)
    (tmp_path / "x").mkdir()
    with pytest.raises(BadOption) as error:
        refuse_inputs_as_targets(targets, iter([tmp_path / "mask.png", picture]), out)
    assert str(error.value) == (
        f"--out is {out}, but must be another place than the inputs': a completed tile would "
        "replace its original. Give another value."
    )


def test_a_name_may_have_240_bytes(tmp_path):
    check_name(tmp_path / ("a" * 236 + ".png"))
    check_name(tmp_path / ("é" * 118 + ".png"))
    for stem in ("a" * 237, "é" * 118 + "a"):
        target = tmp_path / f"{stem}.png"
        with pytest.raises(NotWritable) as error:
            check_name(target)
        assert error.value.path == target
        assert error.value.reason == "its name has 241 bytes, and 240 are the most"


# earlier recipes


def test_recipes_of_pictures_that_are_still_there_are_kept(tmp_path):
    path = tmp_path / "recipe.json"
    assert read_earlier_recipes(path) == {}
    recipes = {
        "a_0.png": {"histosynth": "1", "label": "é"},
        "gone_0.png": {"histosynth": "1"},
    }
    path.write_text(json.dumps(recipes, ensure_ascii=False), encoding="utf-8")
    (tmp_path / "a_0.png").write_bytes(b"")
    assert read_earlier_recipes(path) == {"a_0.png": recipes["a_0.png"]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '["histosynth"]',
        '{"a.png": "histosynth"}',
        '{"a.png": {}}',
        '{"a.png": {"histosynth": "1"}, "b.png": {"name": "x"}}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_a_file_that_is_no_list_of_recipes_is_not_replaced(tmp_path, text):
    path = tmp_path / "recipe.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(NotWritable) as error:
        read_earlier_recipes(path)
    assert (error.value.path, error.value.reason) == (path, FOREIGN)


def test_a_folder_or_a_broken_link_in_the_recipes_place_is_not_replaced(tmp_path):
    (tmp_path / "folder.json").mkdir()
    os.symlink(tmp_path / "nowhere", tmp_path / "link.json")
    for name in ("folder.json", "link.json"):
        with pytest.raises(NotWritable) as error:
            read_earlier_recipes(tmp_path / name)
        assert error.value.reason == FOREIGN


def test_a_folder_of_a_pictures_name_is_no_picture(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text('{"a.png": {"histosynth": "1"}}')
    (tmp_path / "a.png").mkdir()
    assert read_earlier_recipes(path) == {}


def test_nuclei_of_unspecified_class_are_read_where_the_bundle_knows_them(tmp_path):
    bundle = tiny_bundle()
    bundle.info = replace(bundle.info, any_class=True)
    points = write_points(tmp_path / "a.csv", "5,6,any")
    condition = ConditionReader.of(bundle, SamplingOptions()).whole(points, Size(128, 128))
    assert condition.nuclei.class_ids.tolist() == [ANY_CLASS]
