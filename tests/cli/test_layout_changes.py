"""`histosynth layout edit`, `layout field` and `layout compare`."""

import json

import numpy as np
import pytest
import tifffile
from json_contract import check_json
from typer.testing import CliRunner

from histosynth.annotation.field_files import DensityField, read_field, write_field
from histosynth.annotation.layout_files import open_layout, write_layout
from histosynth.annotation.nuclei_files import write_csv
from histosynth.cli.main import app
from histosynth.core.errors import (
    BadField,
    BadOption,
    BadRegions,
    BadTileSet,
    MissingScale,
    UnknownClasses,
)
from histosynth.core.geometry import Box
from histosynth.pipeline.layout_fields import field_of
from histosynth.pipeline.layout_fitting import fit_layout_file
from histosynth.pipeline.slide_layouts import draw_slide_layout
from histosynth.tissue.layout import draw_layout
from histosynth.tissue.layouts.model import SHIPPED_LAYOUTS, read_layouts
from histosynth.tissue.layouts.slide_rows import SlideRows
from histosynth.tissue.layouts.trained_densities import COMPACT_DENSITIES, DensityTally

SIDE = 3000


def run(*words):
    done = CliRunner().invoke(app, ["layout", *map(str, words), "--json"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return check_json(done.stdout)


@pytest.fixture(scope="module")
def layout_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("layout") / "l.parquet"
    run("sample", "--size", SIDE, "--like", "model", "--seed", 4, "--out", path)
    return path


def rows_of(path):
    layout = open_layout(path)
    nuclei = layout.window(Box(0, 0, *layout.size))
    steps = np.rint(nuclei.xy.astype(float) * 100).astype(int)
    return {
        (x, y, nuclei.classes[c])
        for (x, y), c in zip(steps.tolist(), nuclei.class_ids.tolist(), strict=True)
    }


def inside(row, box=(1000, 800, 1000, 900)):
    x, y, width, height = box
    return (
        x * 100 - 50 <= row[0] < (x + width) * 100 and y * 100 - 50 <= row[1] < (y + height) * 100
    )


def test_nuclei_outside_the_region_stay_and_those_inside_are_added(layout_path, tmp_path):
    out = tmp_path / "m.parquet"
    words = ("--raise", "stromal=3", "--region", "1000,800,1000,900", "--out", out)
    found = run("edit", layout_path, *words)
    before, after = rows_of(layout_path), rows_of(out)
    assert before <= after
    new = after - before
    assert all(inside(row) and row[2] == "stromal" for row in new)
    there = sum(inside(row) and row[2] == "stromal" for row in before)
    assert len(new) == found["added"]["stromal"] == pytest.approx(2 * there, rel=0.25)
    assert open_layout(out).facts["synthetic"] is True
    again = tmp_path / "n.parquet"
    run("edit", layout_path, *words[:-1], again)
    assert again.read_bytes() == out.read_bytes()


def test_a_class_is_cleared_in_polygons_alone(layout_path, tmp_path):
    ring = [[1000, 800], [2000, 800], [1500, 1700], [1000, 800]]
    region = tmp_path / "r.geojson"
    shape = {"type": "Polygon", "coordinates": [ring]}
    feature = {
        "type": "Feature",
        "geometry": shape,
        "properties": {"classification": {"name": "a"}},
    }
    region.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    out = tmp_path / "m.parquet"
    found = run("edit", layout_path, "--clear", "epithelial", "--region", region, "--out", out)
    gone = rows_of(layout_path) - rows_of(out)
    assert len(gone) == found["removed"]["epithelial"] > 50
    assert all(inside(row) and row[2] == "epithelial" for row in gone)
    assert not rows_of(out) - rows_of(layout_path)
    middle = [
        row for row in rows_of(out) if abs(row[0] - 150_000) < 10_000 and 900_00 < row[1] < 130_000
    ]
    assert middle and not any(row[2] == "epithelial" for row in middle)


def test_lymphocytes_infiltrate_the_border_of_epithelium(layout_path, tmp_path):
    out = tmp_path / "m.parquet"
    found = run("edit", layout_path, "--infiltrate", "lymphocyte=4", "--border", 40, "--out", out)
    everywhere = run(
        "edit", layout_path, "--infiltrate", "lymphocyte=4", "--out", tmp_path / "n.parquet"
    )
    assert 100 < found["added"]["lymphocyte"] < 0.7 * everywhere["added"]["lymphocyte"]
    assert found["added"]["epithelial"] == found["added"]["stromal"] == 0


@pytest.mark.parametrize(
    ("words", "error", "problem"),
    [
        (("--raise", "mitosis=3"), UnknownClasses, "mitosis; known are epithelial, lymphocyte"),
        (("--raise", "stromal=0.5"), BadOption, "--raise is stromal=0.5"),
        (("--thin", "stromal=1.5"), BadOption, "--thin is stromal=1.5"),
        (("--raise", "stromal"), BadOption, "CLASS=NUMBER"),
        (("--clear", "stromal", "--region", "0,0,9"), BadOption, "--region"),
        (("--clear", "stromal", "--border", "5"), BadOption, "--border"),
        ((), BadOption, "the edit is missing"),
        (
            ("--clear", "stromal", "--region", "50000,50000,100,100"),
            BadRegions,
            "from 50,000,50,000 to 50,100,50,100 px, and the slide has 3,000 x 3,000",
        ),
    ],
)
def test_edits_that_cannot_be_made_write_nothing(layout_path, tmp_path, words, error, problem):
    with pytest.raises(error, match=problem):
        run("edit", layout_path, *words, "--out", tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()


def test_a_layout_is_not_edited_in_place(layout_path):
    before = layout_path.read_bytes()
    with pytest.raises(BadOption, match="another file than the layout"):
        run("edit", layout_path, "--clear", "stromal", "--out", layout_path)
    assert layout_path.read_bytes() == before


def test_a_slide_is_drawn_again_by_its_field(layout_path, tmp_path):
    field = tmp_path / "f.tif"
    found = run("field", layout_path, "--out", field)
    assert found["cells"] == [94, 94]
    read = read_field(field)
    assert read.classes == ("epithelial", "lymphocyte", "stromal")
    original = open_layout(layout_path).window(Box(0, 0, SIDE, SIDE)).counts()
    for name, per_mm2 in zip(read.classes, read.per_mm2, strict=True):
        assert per_mm2.mean() * 2.25 == pytest.approx(original[name], rel=0.05)
    drawn = draw_slide_layout((SIDE, SIDE), field=field).window(Box(0, 0, SIDE, SIDE))
    for name, count in drawn.counts().items():
        assert count == pytest.approx(original[name], rel=0.12)
    with pytest.raises(BadField, match=r"covers 1,504 x 1,504 um, and the slide is 1,000 x 1,000"):
        draw_slide_layout((2000, 2000), field=field)
    assert draw_slide_layout(field=field).size == (3008, 3008)  # 94 cells of 16 um
    assert draw_slide_layout(field=read, mpp=0.25).size == (6016, 6016)


def test_a_size_is_that_of_a_field_that_states_it(tmp_path):
    field = tmp_path / "f.tif"
    model = read_layouts(SHIPPED_LAYOUTS)
    values = np.full((len(model.classes), 9, 13), 500.0)
    write_field(field, DensityField(values, model.classes, 16.0))
    found = run("sample", "--field", field, "--out", tmp_path / "drawn.parquet")
    assert found["size"] == [416, 288]
    maps = tmp_path / "maps.npz"
    np.savez(maps, per_mm2=values, classes=np.array(model.classes))
    for words in ((), ("--field", maps)):
        with pytest.raises(BadOption, match="--size is missing"):
            run("sample", *words, "--out", tmp_path / "other.parquet")
    assert not (tmp_path / "other.parquet").exists()
    with pytest.raises(BadOption, match="--mpp is 0"):
        draw_slide_layout(field=field, mpp=0.0)


@pytest.mark.parametrize(
    ("values", "options", "problem"),
    [
        (np.full((1, 4, 4), np.nan), {}, "16 densities are negative or no numbers"),
        (np.full((1, 4, 4), -1.0), {}, "16 densities are negative or no numbers"),
        (np.full((1, 4, 4), 1e5), {}, "100,000 nuclei per mm2"),
        (np.zeros((2, 4, 4)), {}, "2 pages, and 1 classes|does not name a class for each page"),
        (np.zeros((1, 4, 4)), {"cell_um": 8.0}, "its cells are 16 um, and --field-cell is 8"),
        (np.zeros((1, 4, 4)), {"classes": ["b"]}, "its pages are a, and --field-classes b"),
    ],
)
def test_maps_that_cannot_be_are_refused(tmp_path, values, options, problem):
    path = tmp_path / "f.tif"
    write_field(path, DensityField(values, ("a",), 16.0))
    with pytest.raises(BadField, match=problem):
        read_field(path, **options)


def test_a_plain_tiff_needs_classes_and_a_scale(tmp_path):
    path = tmp_path / "f.tif"
    tifffile.imwrite(path, np.zeros((2, 4, 4), np.float32), photometric="minisblack")
    with pytest.raises(BadField, match="state --field-classes"):
        read_field(path)
    with pytest.raises(BadField, match="state --field-cell"):
        read_field(path, classes=["a", "b"])
    assert read_field(path, classes=["a", "b"], cell_um=20.0).size_um == (80.0, 80.0)
    with pytest.raises(BadOption, match=r"--field-cell is 20\.0"):
        field_of(None, cell_um=20.0)
    assert field_of(path) == path
    assert field_of(path, "a, b", 20.0).classes == ("a", "b")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(BadField):
        read_field(path, classes=["a", "b"], cell_um=20.0)


def folder_of_files(folder, count=8):
    folder.mkdir()
    for number in range(count):
        write_csv(folder / f"{number}.csv", draw_layout((400, 400), mpp=0.5, seed=number))
    return folder


def test_a_layout_is_compared_with_a_folder_of_files(layout_path, tmp_path):
    folder = folder_of_files(tmp_path / "real")
    words = ("--tile-size", 400, "--mpp", 0.5, "--reference", folder)
    found = run("compare", layout_path, *words, "--out", tmp_path / "a")
    itself = run("compare", folder, *words, "--out", tmp_path / "b")
    assert (found["windows"], found["units"], found["are_patients"]) == (200, 8, False)
    assert all(each["value"] == 0 for each in itself["distances"].values())
    assert found["distances"]["pairs"]["times"] > 1.5
    low, high = found["distances"]["pairs"]["interval"]
    assert low < high
    page = (tmp_path / "a" / "report.html").read_text()
    assert "<polyline" in page and "http" not in page.split("</style>")[1]
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert report["distances"][0]["value"] == found["distances"]["pairs"]["value"]


def test_folders_of_files_state_size_and_scale(tmp_path):
    folder = folder_of_files(tmp_path / "real", 3)
    with pytest.raises(BadOption, match="--tile-size is missing"):
        fit_layout_file(folder, tmp_path / "m.json")
    with pytest.raises(MissingScale):
        fit_layout_file(folder, tmp_path / "m.json", tile_size=(400, 400))
    with pytest.raises(BadTileSet, match="3 patients or files"):
        run(
            "compare",
            folder,
            "--reference",
            folder,
            "--tile-size",
            400,
            "--mpp",
            0.5,
            "--out",
            tmp_path / "a",
        )


def test_a_model_is_fitted_to_files(tmp_path, monkeypatch):
    folder = folder_of_files(tmp_path / "real", 4)
    monkeypatch.setattr("histosynth.tissue.layouts.fitting.ROUNDS", 1)
    monkeypatch.setattr("histosynth.tissue.layouts.fitting._AREA_MM2", 1.0)
    words = ("--tile-size", 400, "--mpp", 0.5)
    found = run("fit", folder, *words, "--out", tmp_path / "m.json")
    assert (found["tiles"], found["patients"]) == (4, 4)
    assert "4 files (patients unknown)" in read_layouts(tmp_path / "m.json").about


def test_places_denser_than_in_training_are_named():
    x = np.arange(100) % 10 * 1000 + 30_000
    y = np.arange(100) // 10 * 1000 + 30_000
    rows = SlideRows(x, y, np.full(100, 2, np.uint8))
    tally = DensityTally(("epithelial", "lymphocyte", "stromal"), (1000, 1000), 0.5)
    tally.add_rows(rows)
    (place,) = tally.beyond(COMPACT_DENSITIES)
    assert place.name == "stromal"
    assert place.per_mm2 == pytest.approx(len(rows) / 0.0144)
    assert "5,556" in place.sentence(COMPACT_DENSITIES)


def test_a_layout_without_nuclei_cannot_be_compared(tmp_path):
    path = tmp_path / "l.parquet"
    write_layout(path, [], classes=["lymphocyte"], size=(900, 900), mpp=0.5, facts={})
    folder = folder_of_files(tmp_path / "real")
    with pytest.raises(BadOption, match="a layout without nuclei"):
        run(
            "compare",
            path,
            "--reference",
            folder,
            "--tile-size",
            400,
            "--mpp",
            0.5,
            "--out",
            tmp_path / "a",
        )
