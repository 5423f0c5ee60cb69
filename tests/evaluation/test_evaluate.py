"""`evaluate`: from folders or tile sets to a report, the same on every engine, stopped or not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluated import CLASSES, SIDE, barcode, config, evaluated, named, save, section
from markupsafe import escape
from pages import assert_accessible
from PIL import Image

from histosynth.core.geometry import Box
from histosynth.core.images import encode_png
from histosynth.core.nuclei import Nuclei
from histosynth.core.tile import TileRef
from histosynth.core.tileset import Row, write_rows


@pytest.fixture(scope="module")
def report(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated")
    return evaluated(config(world), out), out


def test_every_judge_that_the_inputs_allow_is_heard(report):
    found, out = report
    keys = [each.key for each in found.sections]
    assert keys == ["realism", "structure", "morphology", "layout", "copying", "quality", "stain"]
    facts = json.loads((out / "report.json").read_text())
    assert set(facts["sections"]) == set(keys)
    assert facts["synthetic"]["tiles"] == 36 and facts["synthetic"]["patients"] == 9
    assert facts["reference"]["patients"] == 12
    assert "<html" in (out / "report.html").read_text()


def test_every_section_has_its_verdict_and_every_number_a_plain_name(report):
    found, out = report
    page = (out / "report.html").read_text()
    facts = json.loads((out / "report.json").read_text())
    for each in found.sections:
        assert each.verdict.endswith(".") and each.verdict.count(".") >= 2
        assert facts["sections"][each.key]["verdict"] == each.verdict
        assert str(escape(each.verdict)) in page
        assert [finding.name for finding in each.findings if not finding.title] == []
    assert_accessible(page)


def test_variants_belong_to_the_nuclei_that_they_were_made_from(report):
    counts = named(report[0], "structure", "recall_blobs")
    assert counts.value.groups == 9 and counts.real.value > 0.8
    assert counts.value.value < counts.real.value  # other nuclei than asked for


def test_nothing_unseen_is_called_a_copy(report):
    assert section(report[0], "copying").facts["suspected"] == 0


def test_a_training_crop_among_made_tiles_is_called_a_copy_and_shown(world, tmp_path):
    synthetic = tmp_path / "made"
    synthetic.mkdir()
    for path in (world / "made").iterdir():
        (synthetic / path.name).write_bytes(path.read_bytes())
    source = np.asarray(Image.open(world / "train" / f"{barcode(25)}-0.png"))
    save(
        synthetic,
        f"{barcode(3)}-0_0",
        np.ascontiguousarray(np.rot90(source[31 : 31 + SIDE, 17 : 17 + SIDE])),
    )
    found = evaluated(config(world, synthetic=synthetic, metrics=("copying",)), tmp_path / "out")
    told = section(found, "copying")
    assert told.facts["suspected"] == 1
    assert f"{barcode(3)}-0_0" in told.verdict
    text, (mine, theirs) = told.galleries[0].rows[0]
    assert f"{barcode(25)}-0" in text
    assert (
        np.abs(mine.astype(int) - theirs.astype(int)).mean() < 20
    )  # lie on each other, to the pixel or two


def test_a_pool_says_what_one_process_says(world, report, tmp_path):
    again = evaluated(config(world, metrics=("copying",)), tmp_path, "pool")
    assert section(again, "copying").as_dict() == section(report[0], "copying").as_dict()


def test_running_again_measures_only_what_changed(world, tmp_path, monkeypatch):
    inputs = config(world, metrics=("stain",))
    evaluated(inputs, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".measured").iterdir()}
    evaluated(inputs, tmp_path)
    assert {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / ".measured").iterdir()
    } == before
    synthetic = tmp_path / "made"
    synthetic.mkdir()
    for number, path in enumerate(sorted((world / "made").iterdir())):
        dark = np.asarray(Image.open(path)) // 2 if number == 0 else np.asarray(Image.open(path))
        save(synthetic, path.stem, dark)
    after = evaluated(replace(inputs, synthetic=synthetic), tmp_path)
    assert {path.name for path in (tmp_path / ".measured").iterdir()} == set(before)
    assert named(after, "stain", "stain_od_red_difference").value.value != 0


def test_tile_sets_are_taken_as_folders_are(world, report, tmp_path):
    for side in ("real", "made"):
        rows = []
        for path in sorted((world / side).iterdir()):
            stem = path.stem.rsplit("_", 1)[0]
            pixels = np.asarray(Image.open(path))
            xy = np.loadtxt(
                world / "nuclei" / f"{stem}.csv",
                delimiter=",",
                skiprows=1,
                usecols=(0, 1),
            ).reshape(-1, 2)
            nuclei = Nuclei.of(
                xy,
                ["nucleus"] * len(xy),
                size=(SIDE, SIDE),
                mpp=0.5,
                classes=CLASSES,
            )
            ref = TileRef(path.stem, stem[:12], Box(0, 0, SIDE, SIDE), 0.5)
            rows.append(Row(ref, image=encode_png(pixels), nuclei=nuclei))
        folder = tmp_path / side
        folder.mkdir()
        write_rows(folder / "a.parquet", rows, {})
    sets = config(
        world,
        real=tmp_path / "real",
        synthetic=tmp_path / "made",
        conditions=None,
        metrics=("structure", "stain"),
    )
    found = evaluated(sets, tmp_path / "out")
    for key, name in (("structure", "F1_blobs"), ("stain", "stain_W1")):
        assert named(found, key, name).value.value == pytest.approx(
            named(report[0], key, name).value.value
        )
