"""`--device` and `--dtype` of every verb that runs a network."""

import json

import numpy as np
import pytest
from glass import write_slide
from PIL import Image
from small import write_recipe
from typer.testing import CliRunner

import histosynth as hs
from histosynth.annotation.nuclei_files import write_csv
from histosynth.cli.main import app
from histosynth.core.errors import BadOption
from histosynth.core.images import write_mask
from histosynth.core.synthetic import read_recipe
from histosynth.pipeline.evaluate import embedder_place
from histosynth.pipeline.train_options import TrainOptions, choose_recipe
from histosynth.tissue.layout import draw_layout

NOWHERE = (
    "the device is nowhere, but must be one that torch can use here, e.g. cpu. Give another value."
)
INT8 = "the number type is int8, but must be one of bf16, fp32, fp16. Give another value."
INT8_MEASURED = (
    "the number type is int8, but must be fp32 or bf16, where tiles are measured. "
    "Give another value."
)


@pytest.fixture
def inputs(tmp_path, tile, bundle_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(tile).save("tile.png")
    missing = np.zeros(tile.shape[:2], bool)
    missing[40:80, 30:90] = True
    write_mask("mask.png", missing)
    write_csv("cells.csv", draw_layout((128, 128), mpp=0.5, seed=0))
    write_slide(tmp_path / "s.tiff", width=480, height=400, levels=1)
    (tmp_path / "prepare.toml").write_text(
        'slides = ["s.tiff"]\ntiles.size = 256\nstain.method = "none"\n'
    )
    write_recipe(tmp_path, tmp_path, "autoencoder", steps=1)
    (tmp_path / "images").mkdir()
    for members in ("train.txt", "val.txt"):
        (tmp_path / members).write_text("")
    (tmp_path / "bundle").symlink_to(bundle_folder)
    return tmp_path


VERBS = {
    "synthesize": "synthesize --nuclei cells.csv --size 128 --bundle bundle --out out",
    "complete": "complete --image tile.png --mask mask.png --bundle bundle --out out",
    "demo": "demo --bundle bundle --out out",
    "doctor": "doctor --bundle bundle",
    "train": "train autoencoder-1.toml --out out",
    "quality train": "prepare quality train . --patient (.) --mpp 0.5 --out out",
    "prepare run": "prepare run prepare.toml --engine local --out out",
    "prepare nuclei": "prepare nuclei tile.png --mpp 0.5 --out out",
    "evaluate": "evaluate . . --mpp 0.5 --out out",
}
MEASURING = ("prepare run", "prepare nuclei", "evaluate")


def run(line, *more):
    result = CliRunner().invoke(app, [*line.split(), *more])
    return result


@pytest.mark.parametrize("verb", VERBS)
def test_a_device_or_type_that_is_not_there_is_refused_and_nothing_written(inputs, verb):
    result = run(VERBS[verb], "--device", "nowhere")
    if verb not in ("train", "quality train"):  # these read their data first
        assert str(result.exception) == NOWHERE
    assert isinstance(result.exception, hs.HistosynthError)
    result = run(VERBS[verb], "--dtype", "int8")
    assert str(result.exception) == (INT8_MEASURED if verb in MEASURING else INT8)
    assert not (inputs / "out").exists()


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_pictures_are_sampled_in_the_type_that_is_wanted(inputs, dtype):
    for verb, name in (("synthesize", "cells_0.png"), ("complete", "tile.png")):
        result = run(VERBS[verb], "--device", "cpu", "--dtype", dtype, "--steps", "1")
        assert result.exit_code == 0
        stated = read_recipe(inputs / "out" / name)["bundle"]
        assert (stated["dtype"], stated["device"]) == (
            {"fp32": "float32", "bf16": "bfloat16"}[dtype],
            "cpu",
        )


def test_doctor_examines_the_device_and_type_that_are_wanted(inputs):
    facts = json.loads(run(VERBS["doctor"], "--device", "cpu", "--dtype", "fp16", "--json").stdout)
    assert (facts["device"], facts["number_type"]) == ("cpu", "float16")


def test_a_training_runs_number_type_takes_the_recipes_place(inputs):
    recipe = inputs / "autoencoder-1.toml"
    for dtype, expected in ((None, "fp32"), ("bf16", "bf16"), ("float16", "fp16")):
        chosen = choose_recipe(recipe, TrainOptions(dtype=dtype))
        assert chosen.recipe.loop.precision == expected


def test_tiles_are_made_anew_in_another_number_type_alone(inputs):
    first = hs.prepare("prepare.toml", "set")
    again = hs.prepare("prepare.toml", "set", device="cpu", dtype="fp32")
    assert (first.written, again.written, again.finished) == (1, 0, 1)
    other = hs.prepare("prepare.toml", "set", dtype="bf16")
    assert (other.written, other.finished) == (1, 0)


def test_progress_of_prepare_goes_stage_after_stage(inputs, capsys):
    seen = []
    hs.prepare("prepare.toml", "set", progress=lambda *at: seen.append(at))
    tiles = seen[-1][1]
    assert seen[0] == (1, 1) and seen[-1] == (tiles, tiles)
    assert capsys.readouterr() == ("", "")
    hs.prepare("prepare.toml", "again", progress=True)
    shown = capsys.readouterr()
    assert shown.out == "" and "surveying slides: 100%" in shown.err
    assert "writing tiles: 100%" in shown.err


def test_the_embedders_type_is_stated_in_one_way():
    assert embedder_place(None, None, bf16=True) == embedder_place(None, "bf16", bf16=False)
    assert not embedder_place(None, "fp32", bf16=False).bf16
    with pytest.raises(BadOption) as caught:
        embedder_place(None, "fp32", bf16=True)
    assert str(caught.value) == (
        "--dtype is fp32, but must be bf16 next to --bf16, or left out. Give another value."
    )
