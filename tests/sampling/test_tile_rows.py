"""Tile sets of synthetic tiles: marked, with nuclei and recipes, resumed like pictures."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from locking import another_run
from PIL import Image

from histosynth.annotation.nuclei_files import write_csv
from histosynth.core.errors import BadOption, FolderInUse, NotWritable
from histosynth.core.marking import RECIPE_KEY, SOURCE_TYPE
from histosynth.core.nuclei import Nuclei
from histosynth.core.tileset import TileSet
from histosynth.evaluation.config import InputOptions
from histosynth.evaluation.inputs.collections import open_collection
from histosynth.pipeline.synthesize_files import ResultOptions, synthesize_files
from histosynth.sampling import tile_rows
from histosynth.sampling.options import SamplingOptions
from histosynth.tissue.layout import draw_layout
from histosynth.training.data.sources import TileSource, open_source

CLASSES = ("epithelial", "lymphocyte", "stromal")
STEM = "TCGA-A7-A0D9-01Z-00-DX2"


@pytest.fixture
def place(tmp_path):
    write_csv(tmp_path / "cells" / f"{STEM}.csv", draw_layout((128, 128), mpp=0.5, seed=0))
    write_csv(tmp_path / "cells" / "bare.csv", Nuclei.none((128, 128), 0.5, CLASSES))
    return tmp_path


def synthesize(place, bundle_folder, variants=2, patient="", on_progress=None, **options):
    return synthesize_files(
        place / "cells",
        place / "set",
        size=(128, 128),
        variants=variants,
        options=SamplingOptions(steps=1, **options),
        results=ResultOptions(format="tileset", patient=patient),
        bundle=bundle_folder,
        on_progress=on_progress,
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def test_rows_hold_tissue_nuclei_recipe_and_the_mark(place, bundle_folder):
    outcome = synthesize(place, bundle_folder, label="breast")
    names = [f"{STEM}-0.parquet", "bare-0.parquet"]
    assert sorted(path.name for path in outcome.written) == names
    rows = list(TileSet(place / "set").rows())
    assert [row.tile_id for row in rows] == [
        f"{STEM}_0_0_0",
        f"{STEM}_1_0_0",
        "bare_0_0_0",
        "bare_1_0_0",
    ]
    first, _, bare, _ = rows
    asked = draw_layout((128, 128), mpp=0.5, seed=0)
    np.testing.assert_allclose(first.nuclei.xy, asked.xy, atol=0.001)
    assert first.nuclei.names() == asked.names()
    assert bare.nuclei is not None and len(bare.nuclei) == 0
    assert [row.ref.patient for row in rows] == ["TCGA-A7-A0D9"] * 2 + ["bare"] * 2
    assert first.label == "breast" and first.split == "" and first.ref.mpp == 0.5
    recipe = json.loads(first.recipe)
    assert recipe["synthetic"] is True and recipe["verb"] == "synthesize"
    with Image.open(BytesIO(first.image)) as image:
        assert json.loads(image.text[RECIPE_KEY]) == recipe
        assert SOURCE_TYPE in image.text["XML:com.adobe.xmp"]
    table = pq.read_table(place / "set" / names[0])
    assert table["synthetic"].to_pylist() == [True, True]
    facts = json.loads(table.schema.metadata[b"histosynth"])
    assert facts == {"version": 1, "verb": "synthesize", "synthetic": True}


def test_pixels_are_those_of_the_pictures(place, bundle_folder):
    synthesize(place, bundle_folder, variants=1)
    synthesize_files(
        place / "cells",
        place / "png",
        size=(128, 128),
        options=SamplingOptions(steps=1),
        bundle=bundle_folder,
    )
    for row in TileSet(place / "set").rows():
        assert row.image == (place / "png" / f"{row.ref.slide}.png").read_bytes()


def test_the_same_command_leaves_every_file_and_more_variants_keep_the_others(
    place, bundle_folder, monkeypatch
):
    monkeypatch.setattr(tile_rows, "ROWS_PER_FILE", 2)
    synthesize(place, bundle_folder)
    before = contents(place / "set")
    outcome = synthesize(place, bundle_folder)
    assert contents(place / "set") == before and len(outcome.finished) == 2
    assert outcome.notes == [
        "4 of 4 tiles were there already, with the same recipe, and stay unchanged."
    ]
    outcome = synthesize(place, bundle_folder, variants=3)
    after = contents(place / "set")
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == [f"{STEM}-1.parquet", "bare-1.parquet"]
    assert len(list(TileSet(place / "set").rows())) == 6
    synthesize(place, bundle_folder, variants=1, seed=5)
    rows = list(TileSet(place / "set").rows())
    seeds = [json.loads(row.recipe)["seed"] for row in rows]
    assert seeds == [5, 0, 0, 5, 0, 0]


def test_a_run_that_was_stopped_keeps_its_tiles_and_goes_on(place, bundle_folder):
    whole = place / "whole"
    synthesize(place, bundle_folder, variants=3, batch=1)
    (place / "set").rename(whole)

    def stop(done, total):
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(place, bundle_folder, variants=3, batch=1, on_progress=stop)
    kept = len(list(TileSet(place / "set").rows()))
    assert 0 < kept < 6
    outcome = synthesize(place, bundle_folder, variants=3, batch=1)
    assert outcome.notes == [
        f"{kept} of 6 tiles were there already, with the same recipe, and stay unchanged."
    ]
    assert contents(place / "set") == contents(whole)


def test_two_runs_do_not_write_the_same_file(place, bundle_folder):
    (place / "set").mkdir()
    with another_run(place / "set", [f"{STEM}-0.parquet"]), pytest.raises(FolderInUse):
        synthesize(place, bundle_folder)
    assert not contents(place / "set")


def test_sets_of_tissue_and_files_that_were_changed_stay(place, bundle_folder):
    synthesize(place, bundle_folder)
    name = f"{STEM}-0.parquet"
    mine = (place / "set" / name).read_bytes() + b"x"
    (place / "set" / name).write_bytes(mine)
    with pytest.raises(NotWritable, match="histosynth did not write what is there"):
        synthesize(place, bundle_folder)
    assert (place / "set" / name).read_bytes() == mine
    (place / "set" / name).rename(place / "set" / "tissue.parquet")
    with pytest.raises(NotWritable) as refusal:
        synthesize(place, bundle_folder)
    assert str(refusal.value) == (
        f"{place / 'set' / 'tissue.parquet'} cannot be written: it belongs to another tile set, "
        "and synthetic tiles would be mixed with its. Choose another --out."
    )


def test_train_and_evaluate_read_the_set(place, bundle_folder):
    synthesize(place, bundle_folder)
    examples = open_source(TileSource("set"), root=place, mpp=0.5, classes=CLASSES)
    assert [len(each.nuclei) > 0 for each in examples] == [True, True, False, False]
    assert {each.patient for each in examples} == {"TCGA-A7-A0D9", "bare"}
    side = open_collection(place / "set", InputOptions(), synthetic=True)
    assert [item.given_nuclei for item in side.items] == [True, True, False, False]
    assert side.sizes == {(128, 128): 4}


def test_patients_come_from_a_pattern(place, bundle_folder):
    synthesize(place, bundle_folder, variants=1, patient="^(TCGA-..)")
    patients = [row.ref.patient for row in TileSet(place / "set").rows()]
    assert patients == ["TCGA-A7", "bare"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"format": "tileset", "labels": ("csv",)},
            "--labels is csv, but must be left out with --format tileset, whose rows hold the "
            "nuclei. Give another value.",
        ),
        (
            {"patient": "(.)"},
            "--patient is (.), but must be given together with --format tileset. Give another "
            "value.",
        ),
    ],
)
def test_options_that_do_not_go_together(options, sentence):
    with pytest.raises(BadOption) as refusal:
        ResultOptions(**options)
    assert str(refusal.value) == sentence


def test_a_folder_is_not_left_behind_where_the_pattern_is_none(place, bundle_folder):
    with pytest.raises(Exception, match="is no pattern"):
        synthesize(place, bundle_folder, patient="(")
    assert not Path(place / "set").exists()
