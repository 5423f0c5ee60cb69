"""`synthesize` and `complete` with labels, tile sets, sizes, crops and drawn layouts."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from histosynth.annotation.nuclei_files import read_nuclei, write_csv
from histosynth.cli.main import app
from histosynth.core.errors import HistosynthError
from histosynth.core.images import read_rgb, write_mask
from histosynth.core.nuclei import Nuclei
from histosynth.core.synthetic import read_recipe
from histosynth.core.tileset import TileSet
from histosynth.tissue.layout import draw_layout
from histosynth.tissue.layouts.model import read_layouts

CLASSES = ("epithelial", "lymphocyte", "stromal")


@pytest.fixture
def run(bundle_folder):
    def call(*arguments, code=0):
        words = [str(each) for each in (*arguments, "--bundle", bundle_folder, "--steps", 1)]
        result = CliRunner().invoke(app, words)
        if isinstance(result.exception, HistosynthError):
            assert code == 1, result.exception
            return str(result.exception)
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout) if "--json" in arguments else result.output

    return call


@pytest.fixture
def cells(tmp_path):
    """A layout of 256 x 192 px."""
    folder = tmp_path / "cells"
    write_csv(folder / "a.csv", draw_layout((256, 192), mpp=0.5, seed=0))
    return folder


def sizes(folder):
    found = {}
    for path in sorted(folder.glob("*.png")):
        height, width = read_rgb(path).shape[:2]
        found[path.name] = (width, height)
    return found


def read(path, size):
    return read_nuclei(path, size=size, mpp=0.5, classes=CLASSES)


def test_labels_in_all_formats(run, cells, tmp_path):
    out = tmp_path / "out"
    words = ("synthesize", "--nuclei", cells, "--size", "256x192", "--out", out, "--json")
    told = run(*words, "-n", 2, "--labels", "csv,geojson,coco,yolo")
    assert [path.rpartition("/")[2] for path in told["written"]] == ["a_0.png", "a_1.png"]
    for number in range(2):
        for name in (f"csv/a_{number}.csv", f"geojson/a_{number}.geojson"):
            found = read(out / name, (256, 192))
            asked = read(cells / "a.csv", (256, 192))
            np.testing.assert_allclose(found.xy, asked.xy, atol=0.001)
    assert len((out / "a_1.txt").read_text().splitlines()) == len(asked)
    coco = json.loads((out / "coco" / "annotations.json").read_text())
    assert len(coco["annotations"]) == 2 * len(asked)
    (out / "csv" / "a_1.csv").unlink()
    again = run(*words, "-n", 2)  # labels that are there are kept up to date
    assert len(again["finished"]) == 2 and not (out / "csv" / "a_1.csv").exists()
    run(*words, "-n", 2, "--labels", "csv")
    assert (out / "csv" / "a_1.csv").exists()


def test_labels_follow_nuclei_that_change(run, cells, tmp_path):
    out = tmp_path / "out"
    words = ("synthesize", "--nuclei", cells, "--size", "256x192", "--out", out, "--json")
    run(*words, "--labels", "csv,yolo")
    write_csv(cells / "a.csv", Nuclei.none((256, 192), 0.5, CLASSES))
    run(*words)
    assert len(read(out / "csv" / "a_0.csv", (256, 192))) == 0
    assert (out / "a_0.txt").read_text() == ""


def test_a_label_of_the_user_stops_the_run_before_anything_is_painted(run, cells, tmp_path):
    out = tmp_path / "out"
    (out / "csv").mkdir(parents=True)
    (out / "csv" / "a_0.csv").write_text("mine")
    words = ("synthesize", "--nuclei", cells, "--size", "256x192", "--out", out, "--labels", "csv")
    assert "histosynth did not write what is there" in run(*words, code=1)
    assert (out / "csv" / "a_0.csv").read_text() == "mine" and not list(out.glob("*.png"))


def test_drawn_layouts_are_labelled_and_do_not_depend_on_their_number(run, tmp_path):
    words = ("synthesize", "--size", 128, "--seed", 3, "--json")
    run(*words, "--draw", 2, "--out", tmp_path / "two")
    run(*words, "--draw", 1, "--out", tmp_path / "one", "--labels", "geojson")
    assert sizes(tmp_path / "two") == {"layout-0_0.png": (128, 128), "layout-1_0.png": (128, 128)}
    first = (tmp_path / "two" / "layout-0_0.png").read_bytes()
    assert (tmp_path / "one" / "layout-0_0.png").read_bytes() == first
    assert not (tmp_path / "one" / "csv").exists()
    by_csv = read(tmp_path / "two" / "csv" / "layout-0_0.csv", (128, 128))
    by_geojson = read(tmp_path / "one" / "geojson" / "layout-0_0.geojson", (128, 128))
    np.testing.assert_allclose(by_csv.xy, by_geojson.xy, atol=0.001)
    recipe = read_recipe(tmp_path / "two" / "layout-1_0.png")
    model = read_layouts().sha256
    assert recipe["layout"] == {"model": model, "seed": 3, "number": 1}


def test_drawn_layouts_take_appearances_in_turn(run, tmp_path):
    words = ("synthesize", "--draw", 3, "--size", 128, "--out")
    run(*words, tmp_path / "a", "--appearance", "palette")
    scales = []
    for number in range(3):
        recipe = read_recipe(tmp_path / "a" / f"layout-{number}_0.png")
        scales.append(recipe["appearance"]["scale"][1])
    assert scales == [1.1, 1.2, 1.3]


def test_sizes_of_their_own(run, cells, tmp_path, tile):
    write_csv(cells / "b.csv", draw_layout((128, 136), mpp=0.5, seed=1))
    Image.fromarray(tile).save(cells / "b.png")  # 128 x 136 px
    out = tmp_path / "out"
    told = run("synthesize", "--nuclei", cells, "--size", "auto", "--out", out, "--json")
    assert sizes(out) == {"a_0.png": (256, 192), "b_0.png": (128, 136)}
    assert told["notes"] == [
        "Sizes come from how far the objects of a file reach, where it has no picture (files: 1, "
        f"first {cells / 'a.csv'}: 256 x 192 px)."
    ]
    looks = tmp_path / "looks"
    looks.mkdir()
    Image.fromarray(np.tile(tile, (2, 3, 1))[:200, :264]).save(looks / "a.png")
    Image.fromarray(tile).save(looks / "b.png")
    words = ("synthesize", "--nuclei", cells, "--size", "auto", "--appearance", looks, "--json")
    assert "notes" not in run(*words, "--out", tmp_path / "more")
    assert sizes(tmp_path / "more") == {"a_0.png": (264, 200), "b_0.png": (128, 136)}


def test_a_size_that_cannot_be_painted_names_the_nearest(run, cells, tmp_path):
    Image.fromarray(np.full((195, 259, 3), 180, np.uint8)).save(cells / "a.png")
    words = ("synthesize", "--nuclei", cells, "--size", "auto", "--out", tmp_path / "o", "--json")
    (sentence,) = run(*words, code=1)["refused"].values()
    assert "A tile of 259 x 195 px cannot be painted" in sentence
    assert sentence.endswith(
        "The nearest size that works is 256 x 192 px; --crop centre cuts such a tile out of the "
        "layout, --crop grid several."
    )
    told = run(*words, "--crop", "centre")
    assert sizes(tmp_path / "o") == {"a_0.png": (256, 192)}
    assert read_recipe(tmp_path / "o" / "a_0.png")["window"] == [1, 1, 256, 192]
    assert "lie outside of their tiles and were left out (files: 1)." in told["notes"][0]


def test_a_grid_holds_each_nucleus_in_its_place(run, cells, tmp_path):
    out = tmp_path / "out"
    words = ("synthesize", "--nuclei", cells, "--size", "128", "--crop", "grid", "--out", out)
    run(*words, "--labels", "csv")
    assert set(sizes(out)) == {"a_x0_y0_0.png", "a_x128_y0_0.png"}
    whole = read(cells / "a.csv", (256, 192))
    right = read(out / "csv" / "a_x128_y0_0.csv", (128, 128))
    wanted = whole.xy[(whole.xy[:, 0] >= 127.5) & (whole.xy[:, 1] < 127.5)] - [128, 0]
    np.testing.assert_allclose(right.xy, wanted, atol=0.001)


def test_a_window_without_any_of_the_nuclei_is_refused(run, cells, tmp_path):
    out = tmp_path / "out"
    words = ("synthesize", "--nuclei", cells, "--size", 128, "--crop", "900,8", "--out", out)
    (sentence,) = run(*words, "--json", code=1)["refused"].values()
    count = len(read(cells / "a.csv", (256, 192)))
    problem = f"none of its {count} nuclei lies in the tile of 128 x 128 px at 900,8; they reach"
    assert problem in sentence and not out.exists()


def test_tile_sets(run, cells, tmp_path):
    out = tmp_path / "set"
    words = ("synthesize", "--nuclei", cells, "--size", "256x192", "--format", "tileset")
    told = run(*words, "-n", 2, "--out", out, "--json")
    assert told["written"] == [str(out / "a-0.parquet")]
    assert [row.tile_id for row in TileSet(out).rows()] == ["a_0_0_0", "a_1_0_0"]
    run("synthesize", "--draw", 1, "--size", 128, "--format", "tileset", "--out", out)
    assert len(TileSet(out)) == 3


def test_many_refusals_are_one_line(run, cells, tmp_path):
    for number in range(12):
        (cells / f"bad{number:02}.csv").write_text("x,y,class\n1,1,Tumor\n")
    words = ("synthesize", "--nuclei", cells, "--size", "256x192", "--out", tmp_path / "out")
    lines = [line for line in run(*words, code=3).splitlines() if line.startswith("histosynth: ")]
    names = ", ".join(str(cells / f"bad{number:02}.csv") for number in range(3))
    assert lines == [
        f"histosynth: 12 files, first {names}: Unknown nucleus class: Tumor; known are epithelial, "
        'lymphocyte, stromal. Map yours with --classes map.toml, one line a class such as "Tumor" '
        '= "epithelial"; in a recipe with the source\'s map.'
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--draw", 0), "--draw is 0, but must be from 1 to 10,000. Give another value."),
        (
            ("--draw", 1, "--nuclei", "a.csv"),
            "--draw is given together with --nuclei, but must be given in place of --nuclei. Give "
            "another value.",
        ),
        (
            ("--draw", 1, "--crop", "centre"),
            "--crop is given together with --draw, but must be left out, as layouts are drawn. "
            "Give another value.",
        ),
        (
            ("--draw", 1, "--size", "auto"),
            "--size is auto, and the picture of --appearance is missing, but must be in pixels, or "
            "that of a picture. Give another value.",
        ),
        (
            ("--draw", 1, "--format", "jpg"),
            "--format is jpg, but must be png or tileset. Give another value.",
        ),
    ],
)
def test_options_that_cannot_be_used(run, tmp_path, words, sentence):
    assert run("synthesize", *words, "--out", tmp_path / "out", code=1) == sentence
    assert not (tmp_path / "out").exists()


def test_neither_nuclei_nor_a_number_is_wrong_usage(run, tmp_path):
    assert "give the nuclei, or --draw N" in run("synthesize", "--out", tmp_path / "o", code=2)


def test_completed_tiles_are_labelled_where_their_nuclei_are_known(run, tmp_path, tile):
    Image.fromarray(tile).save(tmp_path / "t.png")
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:90, 30:100] = True
    write_mask(tmp_path / "mask.png", mask)
    write_csv(tmp_path / "t.csv", draw_layout((128, 136), mpp=0.5, seed=0))
    out = tmp_path / "out" / "done.png"
    words = ("complete", "--image", tmp_path / "t.png", "--mask", tmp_path / "mask.png")
    sentence = run(*words, "--out", out, "--labels", "csv", code=1)
    assert sentence.startswith("--labels is csv for done.png, of which no nuclei are known")
    assert not out.exists()
    run(*words, "--nuclei", tmp_path / "t.csv", "--out", out, "--labels", "csv,coco")
    found = read(tmp_path / "out" / "csv" / "done.csv", (128, 136))
    asked = read(tmp_path / "t.csv", (128, 136))
    np.testing.assert_allclose(found.xy, asked.xy, atol=0.001)
    coco = json.loads((tmp_path / "out" / "coco" / "annotations.json").read_text())
    assert coco["images"][0]["file_name"] == "done.png"
    assert "its labels are there (coco, csv)" in run(*words, "--out", out, code=1)
