"""`histosynth layout …`."""

import json

import numpy as np
import pytest
from json_contract import check_json
from typer.testing import CliRunner

from histosynth.annotation.layout_files import open_layout
from histosynth.cli.main import app
from histosynth.core.errors import BadLayouts, BadOption, BadTileSet, NotWritable
from histosynth.core.geometry import Box
from histosynth.core.images import encode_png
from histosynth.core.tile import TileRef
from histosynth.core.tileset import Row, write_rows
from histosynth.pipeline.layout_fitting import fit_layout_file
from histosynth.tissue.layout import draw_layout
from histosynth.tissue.layouts.model import SHIPPED_LAYOUTS, read_layouts


def run(*words):
    done = CliRunner().invoke(app, ["layout", *map(str, words), "--json"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return check_json(done.stdout)


def tile_set(folder, splits):
    """A tile set of drawn nuclei, a patient a tile."""
    rows = []
    for number, split in enumerate(splits):
        nuclei = draw_layout((256, 256), mpp=0.5, seed=number)
        pixels = np.zeros((256, 256, 3), np.uint8)
        ref = TileRef(f"s{number}", f"p{number}", Box(0, 0, 256, 256), 0.5)
        rows.append(Row(ref, image=encode_png(pixels), nuclei=nuclei, split=split))
    write_rows(folder / "tiles.parquet", rows, {})
    return folder


def test_a_layout_is_written_with_its_regions_and_a_picture(tmp_path):
    out = tmp_path / "l.parquet"
    found = run("sample", "--size", "1400x1000", "--seed", 2, "--out", out, "--geojson")
    layout = open_layout(out)
    assert len(layout) == sum(found["nuclei"].values()) > 100
    assert tuple(layout.size) == (1400, 1000)
    assert layout.facts["synthetic"] is True
    assert 0 < layout.empty(Box(0, 0, 1400, 1000)).mean() < 1
    assert len(json.loads((tmp_path / "l.geojson").read_text())["features"]) == len(layout)
    again = run("sample", "--size", "1400x1000", "--seed", 2, "--out", tmp_path / "m.parquet")
    assert again["digest"] == found["digest"]
    assert out.read_bytes() == (tmp_path / "m.parquet").read_bytes()


def test_regions_of_another_layout_are_not_left_next_to_one_without(tmp_path):
    out = tmp_path / "l.parquet"
    run("sample", "--size", "600", "--out", out)
    before = out.read_bytes()
    with pytest.raises(NotWritable, match="regions of another layout"):
        run("sample", "--size", "600", "--like", "model", "--out", out)
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--size", "600", "--mpp", "9"), "--mpp"),
        (("--size", "0"), "--size"),
        (("--size", "600", "--out", "l.csv"), "--out"),
    ],
)
def test_options_out_of_range_write_nothing(tmp_path, monkeypatch, words, problem):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadOption, match=problem):
        run("sample", "--out", "l.parquet", *words)
    assert not list(tmp_path.iterdir())


def far_reaching(values):
    values["forces"] = np.zeros((3, 3, 60)).tolist()


def without_numbers(values):
    values["densities"][0][3] = float("nan")


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        (far_reaching, BadOption, "a reach of 120 um"),
        (without_numbers, BadLayouts, "densities holds values beyond"),
    ],
)
def test_models_that_cannot_be_drawn_are_refused(tmp_path, change, error, problem):
    values = json.loads(SHIPPED_LAYOUTS.read_text())
    change(values)
    path = tmp_path / "m.json"
    path.write_text(json.dumps(values))
    with pytest.raises(error, match=problem):
        run("sample", "--size", "600", "--model", path, "--out", tmp_path / "l.parquet")


def test_a_model_is_fitted_to_training_patients_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("histosynth.tissue.layouts.fitting.ROUNDS", 1)
    monkeypatch.setattr("histosynth.tissue.layouts.fitting._AREA_MM2", 1.0)
    folder = tile_set(tmp_path / "tiles", ["train"] * 5 + ["val"] * 3)
    found = run("fit", folder, "--out", tmp_path / "m.json")
    assert (found["tiles"], found["patients"]) == (5, 5)
    model = read_layouts(tmp_path / "m.json")
    assert model.sha256 == found["digest"]
    done = run(
        "sample", "--size", "500", "--model", tmp_path / "m.json", "--out", tmp_path / "l.parquet"
    )
    assert set(done["nuclei"]) == set(model.classes)


def test_a_set_without_training_patients_is_refused(tmp_path):
    folder = tile_set(tmp_path / "tiles", ["val"] * 3)
    with pytest.raises(BadTileSet, match="0 nuclei of 0 patients"):
        fit_layout_file(folder, tmp_path / "m.json")
    assert not (tmp_path / "m.json").exists()
