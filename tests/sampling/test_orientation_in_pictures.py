"""How fibres run in pictures: nuclei lie along them, and users are told where they do not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from json_contract import check_json
from typer.testing import CliRunner

import histosynth as hs
from histosynth.cli.main import app
from histosynth.core.errors import BadOption, SizeMismatch
from histosynth.core.orientation import FibreOrientation
from histosynth.model.opening import open_bundle
from histosynth.testing import tiny_bundle

SIZE = (128, 128)


def sloping(angle, *, strength=0.6, size=SIZE):
    twice = 2 * np.deg2rad(angle)
    cells = (size[1] // 8, size[0] // 8, 1)
    axes = np.tile([strength * np.cos(twice), strength * np.sin(twice)], cells)
    return FibreOrientation(axes, size)


@pytest.fixture(scope="module")
def bundle():
    """The one in the package."""
    return open_bundle(device="cpu", dtype="fp32")


@pytest.fixture
def stroma(bundle):
    """Stromal nuclei alone."""
    random = np.random.default_rng(0)
    xy = random.uniform(4, 120, (24, 2)).astype(np.float32)
    return hs.Nuclei(xy, np.full(24, 2, np.uint8), bundle.info.classes, SIZE, 0.5)


def test_fibres_run_as_they_are_stated(bundle):
    random = np.random.default_rng(0)
    xy = random.uniform(4, 250, (90, 2)).astype(np.float32)
    nuclei = hs.Nuclei(xy, np.full(90, 2, np.uint8), bundle.info.classes, (256, 256), 0.5)
    cosines = []
    for angle in (0, 90):
        stated = sloping(angle, size=(256, 256))
        (picture,) = hs.synthesize(nuclei, orientation=stated, bundle=bundle)
        cosines.append(hs.find_orientation(picture).axes[..., 0].mean())
    assert cosines[0] > 0.15 and cosines[1] < -0.15


def test_the_recipe_states_it_and_the_noise_stays(bundle, stroma):
    along, across, free = (
        hs.synthesize(stroma, orientation=each, bundle=bundle, steps=1)[0]
        for each in (sloping(0), sloping(90), None)
    )
    facts = along.recipe["orientation"]
    assert facts["share"] == 1.0 and facts["followed"] is True
    assert across.recipe["orientation"]["sha256"] != facts["sha256"]
    assert "orientation" not in free.recipe
    assert along.recipe["place"] == across.recipe["place"] == free.recipe["place"]
    assert (along.pixels != across.pixels).any() and (along.pixels != free.pixels).any()
    again = hs.synthesize(stroma, orientation=sloping(0), bundle=bundle, steps=1)[0]
    np.testing.assert_array_equal(along.pixels, again.pixels)


def test_nuclei_with_sizes_of_their_own_do_not_follow_it(bundle, stroma):
    sized = replace(stroma, shapes=np.tile(np.float32([40, 2, 30]), (len(stroma), 1)))
    along, across = (
        hs.synthesize(sized, orientation=sloping(angle), bundle=bundle, steps=1)[0]
        for angle in (0, 90)
    )
    np.testing.assert_array_equal(along.pixels, across.pixels)
    assert along.recipe["orientation"]["followed"] is False


def test_one_map_for_all_or_one_for_each(bundle, stroma):
    both = hs.synthesize(
        [stroma, stroma],
        orientation=[sloping(0), None],
        bundle=bundle,
        steps=1,
    )
    assert [("orientation" in each.recipe) for each in both] == [True, False]
    with pytest.raises(BadOption, match="a list of 1"):
        hs.synthesize([stroma, stroma], orientation=[sloping(0)], bundle=bundle)
    with pytest.raises(BadOption, match="a FibreOrientation"):
        hs.synthesize(stroma, orientation=np.zeros((16, 16, 2)), bundle=bundle)
    with pytest.raises(SizeMismatch, match="64 x 64"):
        hs.synthesize(stroma, orientation=sloping(0, size=(64, 64)), bundle=bundle)


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "cells.csv").write_text("x,y,class\n20,30,epithelial\n90,70,stromal\n")
    feature = {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": [[10, 10], [120, 110]]},
        "properties": {},
    }
    (tmp_path / "lines.geojson").write_text(json.dumps(feature))
    return tmp_path


def synthesized(inputs, *options):
    words = ["synthesize", "--nuclei", str(inputs / "cells.csv"), "--steps", "1"]
    words += ["--size", "128", "--out", str(inputs / "out"), "--json", *map(str, options)]
    return CliRunner().invoke(app, words)


def test_lines_of_a_file_are_followed(inputs):
    done = synthesized(inputs, "--orientation", inputs / "lines.geojson")
    assert done.exit_code == 0, done.output
    assert check_json(done.stdout).get("notes", []) == []
    (recipe,) = json.loads((inputs / "out" / "recipe.json").read_text()).values()
    assert 0.05 < recipe["orientation"]["share"] < 0.2 and recipe["orientation"]["followed"]


def test_a_folder_of_them_by_stem_and_tiles_of_a_grid(inputs):
    folder = inputs / "lines"
    folder.mkdir()
    (inputs / "lines.geojson").rename(folder / "cells.geojson")
    rows = "x,y,class\n20,30,stromal\n200,90,stromal\n300,130,stromal\n"
    (inputs / "cells.csv").write_text(rows)
    done = synthesized(inputs, "--orientation", folder, "--crop", "grid")
    assert done.exit_code == 0, done.output
    recipes = json.loads((inputs / "out" / "recipe.json").read_text())
    assert sorted("orientation" in each for each in recipes.values()) == [False, True]


def test_users_are_told_where_it_is_not_followed(inputs, tmp_path):
    folder = tmp_path / "tiny"
    tiny_bundle().save(folder)
    lines = inputs / "lines.geojson"
    done = synthesized(inputs, "--orientation", lines, "--bundle", folder)
    assert done.exit_code == 0, done.output
    (note,) = check_json(done.stdout)["notes"]
    assert note.startswith(f"{lines}: how fibres run is not followed: ")
    sized = "x,y,class,area_um2\n20,30,epithelial,50\n90,70,stromal,30\n"
    (inputs / "cells.csv").write_text(sized)
    done = synthesized(inputs, "--orientation", lines)
    (note,) = check_json(done.stdout)["notes"]
    assert note == (
        f"{lines}: how fibres run is not followed by {inputs / 'cells.csv'}: no size is drawn for "
        "any of its nuclei."
    )


def test_drawn_layouts_take_no_lines(inputs):
    words = ["synthesize", "--draw", "1", "--orientation", str(inputs / "lines.geojson")]
    words += ["--size", "128", "--out", str(inputs / "out")]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, BadOption) and "--orientation" in str(done.exception)
    assert not (inputs / "out").exists()


def test_maps_beside_all_tiles_of_a_grid_are_refused(inputs):
    text = (
        (inputs / "lines.geojson")
        .read_text()
        .replace("[[10, 10], [120, 110]]", "[[5e3, 1], [6e3, 1]]")
    )
    (inputs / "lines.geojson").write_text(text)
    (inputs / "cells.csv").write_text("x,y,class\n20,30,stromal\n200,130,stromal\n")
    done = synthesized(inputs, "--orientation", inputs / "lines.geojson", "--crop", "grid")
    assert done.exit_code == 1
    assert "none of its lines lies in a tile with nuclei" in done.output
    region = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[[5e3, 1], [6e3, 1], [6e3, 9], [5e3, 1]]]},
        "properties": {"classification": {"name": "lumen"}},
    }
    (inputs / "regions.geojson").write_text(json.dumps(region))
    done = synthesized(inputs, "--regions", inputs / "regions.geojson", "--crop", "grid")
    assert done.exit_code == 1
    assert "none of its places without tissue lies in a tile with nuclei" in done.output


def test_notes_of_lines_stand_in_recipes_of_cut_tiles_too(inputs):
    (inputs / "cells.csv").write_text("x,y,class,area_um2\n20,30,epithelial,50\n")
    words = ("--orientation", inputs / "lines.geojson", "--crop", "0,0")
    done = synthesized(inputs, *words)
    assert done.exit_code == 0, done.output
    (recipe,) = json.loads((inputs / "out" / "recipe.json").read_text()).values()
    assert "not followed" in recipe["notes"][0]


def test_a_map_that_is_known_nowhere_states_nothing(bundle, stroma):
    unknown = FibreOrientation(np.full((16, 16, 2), np.nan), SIZE)
    one, other = (
        hs.synthesize(stroma, orientation=each, bundle=bundle, steps=1)[0]
        for each in (unknown, None)
    )
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert "orientation" not in one.recipe
