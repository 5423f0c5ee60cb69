"""`histosynth paint`."""

import csv
import re

import numpy as np
import openslide
import pytest
import tifffile
from json_contract import check_json
from slides_to_paint import write_full_bundle
from typer.testing import CliRunner

from histosynth.cli.main import app
from histosynth.core.errors import BadOption, MissingScale, NotWritable, UnknownClasses
from histosynth.engine import EngineOptions
from histosynth.pipeline.paint import engine_for
from histosynth.slides.writing import read_slide_recipe
from histosynth.tissue.layout import draw_layout


def run(*words):
    return check_json(outcome_of(*words, "--json").stdout)


def outcome_of(*words):
    arguments = ["paint", *map(str, words), "--engine", "local"]
    done = CliRunner().invoke(app, arguments)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def write_points(path, classes, size):
    nuclei = draw_layout(size, mpp=0.5, seed=4)
    names = [nuclei.classes[index] for index in nuclei.class_ids]
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["x", "y", "class"])
        for (x, y), name in zip(nuclei.xy.tolist(), names, strict=True):
            if name in classes:
                rows.writerow([round(x, 2), round(y, 2), name])
    return path


def test_a_layout_is_drawn_painted_and_written_beside_the_slide(tmp_path):
    out = tmp_path / "slide.ome.tiff"
    words = ("--size", "256x192", "--like", "model", "--codec", "deflate", "--out", out)
    found = run(*words)
    assert found["size"] == [256, 192]
    assert not found["was_there"]
    assert found["nuclei"] and sum(found["nuclei"].values()) > 5
    assert tifffile.imread(out).shape == (192, 256, 3)
    recipe = read_slide_recipe(out)
    assert recipe["synthetic"] is True
    assert recipe["verb"] == "paint"
    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert names == {"slide.ome.tiff", "slide.parquet", "slide.png", "slide.geojson"}
    before = out.read_bytes()
    assert run(*words)["was_there"]
    assert out.read_bytes() == before


def test_progress_is_in_mpx_a_second(tmp_path):
    bundle = write_full_bundle(tmp_path / "bundle")
    words = ("--size", "256x192", "--like", "model", "--bundle", bundle)
    shown = outcome_of(*words, "--out", tmp_path / "slide.ome.tiff").stderr
    speeds = re.findall(r"painting: .*, Mpx/s ([0-9.e+-]+)", shown)
    assert speeds and all(float(speed) > 0 for speed in speeds)


def test_a_slide_of_dicom_has_the_pixels_of_the_tiff(tmp_path):
    pytest.importorskip("pydicom", reason="needs the extra histosynth[dicom]")
    bundle = write_full_bundle(tmp_path / "bundle")
    words = ("--size", "256x192", "--like", "model", "--bundle", bundle)
    out = tmp_path / "slide.dicom"
    found = run(*words, "--codec", "jpeg2000", "--out", out)
    assert found["out"] == str(out)
    run(*words, "--codec", "deflate", "--out", tmp_path / "slide.ome.tiff")
    with openslide.OpenSlide(out / "slide-00.dcm") as slide:
        pixels = np.asarray(slide.read_region((0, 0), 0, (256, 192)).convert("RGB"))
    np.testing.assert_array_equal(pixels, tifffile.imread(tmp_path / "slide.ome.tiff"))
    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert {"slide.dicom", "slide.parquet", "slide.geojson"} <= names
    assert run(*words, "--codec", "jpeg2000", "--out", out)["was_there"]
    with pytest.raises(NotWritable, match="is not what these options give"):
        run(*words, "--out", out)


def test_nuclei_of_a_file_need_a_size_and_a_scale(tmp_path):
    points = write_points(tmp_path / "n.csv", ("lymphocyte", "stromal"), (256, 128))
    out = tmp_path / "slide.ome.tiff"
    with pytest.raises(BadOption, match="--size"):
        run("--nuclei", points, "--mpp", 0.5, "--out", out)
    with pytest.raises(MissingScale, match=r"n\.csv"):
        run("--nuclei", points, "--size", "256x128", "--out", out)
    found = run("--nuclei", points, "--size", "256x128", "--mpp", 0.5, "--out", out)
    assert found["layout"] is None
    assert tifffile.imread(out).shape == (128, 256, 3)


def test_options_that_cannot_be_used_are_refused_with_nothing_written(tmp_path):
    out = tmp_path / "slide.ome.tiff"
    size = ("--size", "256")
    with pytest.raises(BadOption, match=r"ends in \.ome\.tiff"):
        run(*size, "--out", tmp_path / "slide.png")
    with pytest.raises(BadOption, match="--region"):
        run(*size, "--region", "200,0,100,100", "--out", out)
    with pytest.raises(BadOption, match="--region"):
        run(*size, "--region", "1,2,3", "--out", out)
    with pytest.raises(BadOption, match=r"or in \.dicom for a folder"):
        run(*size, "--out", tmp_path / "slide.dcm")
    with pytest.raises(BadOption, match="codec"):
        run(*size, "--codec", "webp", "--out", out)
    with pytest.raises(BadOption, match="codec of DICOM is zstd"):
        run(*size, "--codec", "zstd", "--out", tmp_path / "slide.dicom")
    with pytest.raises(BadOption, match="--size"):
        run("--out", out)
    points = tmp_path / "n.csv"
    points.write_text("x,y,class\n10,10,adipocyte\n")
    with pytest.raises(UnknownClasses, match="adipocyte"):
        run("--nuclei", points, *size, "--mpp", 0.5, "--out", out)
    assert [path.name for path in tmp_path.iterdir()] == ["n.csv"]


def test_a_gpu_gets_one_process_unless_more_are_wanted():
    pool = EngineOptions("pool")
    two = EngineOptions("pool", 2)
    assert engine_for(pool, "cuda").name == "local"
    assert engine_for(two, "cuda:0") is two
    assert engine_for(pool, "cpu") is pool


def test_a_layout_without_nuclei_or_denser_than_training_is_told_before_it_is_painted(tmp_path):
    points = tmp_path / "n.csv"
    points.write_text("x,y,class\n")
    words = ("--size", "128x128", "--mpp", 0.5, "--codec", "deflate")
    found = run("--nuclei", points, *words, "--out", tmp_path / "empty.ome.tiff")
    assert found["warnings"] == ["the layout holds no nuclei: what is painted shows none"]
    rows = [f"{x},{y},stromal" for x in range(4, 128, 4) for y in range(4, 128, 4)]
    points.write_text("x,y,class\n" + "\n".join(rows) + "\n")
    found = run("--nuclei", points, *words, "--out", tmp_path / "dense.ome.tiff")
    assert any(
        text.startswith("stromal: up to 234,619 nuclei per mm2") for text in found["warnings"]
    )
