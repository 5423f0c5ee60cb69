"""Each verb that writes into a folder leaves the files of the user there as they are."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from glass import write_pixels
from PIL import Image

from histosynth.core.errors import NotWritable
from histosynth.core.own_files import OWN_RECORD
from histosynth.engine import EngineOptions
from histosynth.evaluation.report import Material, Report, refuse_foreign_reports, write_report
from histosynth.pipeline.agreement import compare_annotators
from histosynth.pipeline.prepare import TileOptions, cut_tiles
from histosynth.pipeline.prepare_steps import (
    check_files,
    detect_nuclei,
    split_patients_of_table,
    stain_files,
)
from histosynth.training.resume import refuse_other_recipe

MINE = "of the user"
OTHERS = (
    "histosynth did not write what is there, or it was changed since. Move it elsewhere, or "
    "choose another --out."
)


@pytest.fixture
def pictures(tmp_path, tile):
    (tmp_path / "pictures").mkdir()
    Image.fromarray(tile).save(tmp_path / "pictures" / "a.png")
    Image.fromarray(tile[::-1].copy()).save(tmp_path / "pictures" / "b.png")
    return tmp_path / "pictures"


@pytest.fixture
def slide(tmp_path):
    (tmp_path / "slides").mkdir()
    noise = np.random.default_rng(0).integers(90, 190, (300, 300, 3), np.uint8)
    write_pixels(tmp_path / "slides" / "s.tiff", noise)
    return tmp_path / "slides" / "s.tiff"


def stain(pictures, out):
    stain_files(pictures, out, method="reinhard", target=None)


def find(pictures, out):
    detect_nuclei(pictures, out, mpp=0.5, detector="blobs", form="csv")


def check(pictures, out):
    check_files(pictures, out, mpp=0.5)


def split(pictures, out):
    table = pictures / "table.csv"
    table.write_text("slide\na\nb\nc\nd\n")
    split_patients_of_table(
        table,
        out / "splits.csv",
        shares=(0.5, 0.25, 0.25),
        pattern="",
        seed=0,
    )


def agree(pictures, out):
    for name in ("anna", "ben"):
        (pictures.parent / name).mkdir(exist_ok=True)
        (pictures.parent / name / "a.csv").write_text("x,y,class\n5,5,t\n60,60,u\n")
    compare_annotators(pictures.parent / "anna", pictures.parent / "ben", out, mpp=0.5)


STEPS = [
    (stain, "b.png"),
    (stain, "look/contact.png"),
    (find, "b.csv"),
    (check, "quality.csv"),
    (split, "splits.csv"),
    (agree, "a.png"),
    (agree, "agreement.json"),
]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("step, name", STEPS, ids=lambda each: getattr(each, "__name__", each))
def test_a_step_replaces_its_own_results_only(pictures, tmp_path, step, name):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text(MINE)
    with pytest.raises(NotWritable) as refusal:
        step(pictures, out)
    assert str(refusal.value) == f"{out / name} cannot be written: {OTHERS}"
    assert contents(out) == {out / name: MINE.encode()}
    (out / name).unlink()
    step(pictures, out)
    first = contents(out)
    step(pictures, out)
    assert contents(out) == first and first[out / OWN_RECORD]
    (out / name).write_text(MINE)  # corrected by hand
    with pytest.raises(NotWritable):
        step(pictures, out)
    assert (out / name).read_text() == MINE


@pytest.mark.parametrize("step", [stain, find, check, split, agree], ids=lambda each: each.__name__)
def test_a_folder_without_its_record_is_taken_where_bytes_are_equal(pictures, tmp_path, step):
    out = tmp_path / "out"
    step(pictures, out)
    first = contents(out)
    (out / OWN_RECORD).unlink()  # an earlier release, or copied without hidden files
    step(pictures, out)
    assert contents(out) == first


def cut(slide, out):
    return cut_tiles(
        [str(slide)],
        out,
        tiles=TileOptions(size=128, tissue=0.0),
        mpp=0.5,
        engine=EngineOptions("local"),
    )


@pytest.mark.parametrize(
    "name", ["recipe.json", "prepare.json", "look/contact.png", "look/s.png", "look/s.geojson"]
)
def test_a_tile_set_replaces_its_own_files_only(slide, tmp_path, name):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text(MINE)
    with pytest.raises(NotWritable) as refusal:
        cut(slide, out)
    assert str(refusal.value) == f"{out / name} cannot be written: {OTHERS}"
    found = contents(out)
    found.pop(out / ".lock", None)
    assert found == {out / name: MINE.encode()}


@pytest.mark.parametrize("name", ["s-notes.parquet", "s-0000.parquet"])
def test_parquet_files_of_the_user_are_neither_replaced_nor_removed(slide, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    pq.write_table(pa.table({"mine": [1]}), out / name)
    with pytest.raises(NotWritable, match="a tile set is all Parquet files of a folder"):
        cut(slide, out)
    assert pq.read_table(out / name).to_pylist() == [{"mine": 1}]


def test_a_tile_set_of_an_earlier_release_goes_on(slide, tmp_path):
    out = tmp_path / "out"
    cut(slide, out)
    (out / OWN_RECORD).unlink()
    shutil.copy(slide, slide.with_name("t.tiff"))
    done = cut(slide.with_name("*.tiff"), out)
    assert done.written
    assert (out / "look" / "t.png").exists()
    # from now on there is a record, and what comes to be there is of the user
    shutil.copy(slide, slide.with_name("u.tiff"))
    (out / "look" / "u.png").write_text(MINE)
    with pytest.raises(NotWritable):
        cut(slide.with_name("*.tiff"), out)
    assert (out / "look" / "u.png").read_text() == MINE


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_a_report_replaces_reports_only(tmp_path, name):
    report = Report("t", Material("synthetic", 1))
    (tmp_path / name).write_text('{"title": "mine"}')
    for write in (lambda: write_report(report, tmp_path), lambda: refuse_foreign_reports(tmp_path)):
        with pytest.raises(NotWritable) as refusal:
            write()
        assert str(refusal.value) == f"{tmp_path / name} cannot be written: {OTHERS}"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (tmp_path / name).unlink()
    write_report(report, tmp_path)
    (tmp_path / OWN_RECORD).unlink()  # as an earlier release left it
    paths = write_report(Report("u", Material("synthetic", 1)), tmp_path)
    assert json.loads(paths[0].read_text())["title"] == "u"


@pytest.mark.parametrize(
    "name",
    ["inputs.json", "log.jsonl", "best.json", "weights/mine", "best/mine", "pictures/0000100.png"],
)
def test_training_begins_in_no_folder_with_files_of_others(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(MINE)
    with pytest.raises(NotWritable) as refusal:
        refuse_other_recipe(None, tmp_path)
    assert str(refusal.value) == (
        f"{tmp_path / name} cannot be written: it is there already, in a folder in which no "
        "training began. Choose another --out."
    )


def test_training_takes_a_folder_with_other_pictures(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "mine.png").write_text(MINE)
    (tmp_path / "weights").mkdir()
    refuse_other_recipe(None, tmp_path)
