"""Recipes of every task and of `prepare run`, and the files that they name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from histosynth.core.errors import HistosynthError
from histosynth.core.recipe import as_dict
from histosynth.pipeline.prepare import plan_preparation
from histosynth.pipeline.train import dry_run
from histosynth.preparation.recipe import read_prepare_recipe
from histosynth.training.balance.patient_table import read_patient_traits

from .mutating import TEXT_CHANGES, Change, Random, pick
from .trial import Format

_LOOP = """[loop]
steps = 4
batch = 2
learning_rate = 1e-3
precision = "fp32"
[data]
root = "."
mpp = 0.5
crop = 64
views = 2
classes = ["epithelial", "lymphocyte"]
[[data.train]]
images = "images"
points = "points"
members = "train.txt"
patient = "^(..)"
mpp = 0.5
label = "breast"
[data.train.map]
"Tumor" = "epithelial"
[[data.validation]]
images = "images"
points = "points"
members = "val.txt"
patient = "^(..)"
mpp = 0.5
"""
_MODELS = {
    "autoencoder": "[model]\nlatent_channels = 4\nanchored = 2\nwidths = [16, 16, 32, 32]\n",
    "detector": "[model]\nwidths = [8, 16]\nblocks = [1, 1]\naside = 0.25\n",
    "encoder": "[model]\nwidths = [8, 16]\nblocks = [1, 1]\nproject = 16\n",
}
_PREPARE = """slides = ["images/a*.png", "images/b*.png"]
mpp = 0.5
patient = "^(..)"
table = "slides.csv"
[tiles]
size = 32
mpp = 0.5
[stain]
method = "none"
[quality]
blur = 0.1
[nuclei]
source = "none"
[split]
train = 0.5
validation = 0.0
test = 0.5
"""
_PATHS = (
    "\\u0000",
    "a\\u0000b",
    "x" * 5000,
    "x" * 300,
    "~",
    "../" * 40,
    "/dev/zero",
    "/dev/stdin",
    "fifo",
    "loop",
    ".",
    "",
    "/",
    "images/aa.png",
)


def _write_tiles(folder: Path) -> None:
    for part in ("images", "points"):
        (folder / part).mkdir()
    for number, name in enumerate(("aa", "ab", "bb")):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
        text = "x,y,class\n1,2,epithelial\n9,9,lymphocyte\n"
        (folder / "points" / f"{name}.csv").write_text(text)
    (folder / "train.txt").write_text("aa.png\nab.png\n")
    (folder / "val.txt").write_text("bb.png\n")
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")


def _write_train(folder: Path) -> None:
    _write_tiles(folder)
    for task, model in _MODELS.items():
        text = _LOOP.replace("batch = 2", "batch = 8") if task == "encoder" else _LOOP
        loop = text if task == "detector" else text.replace('points = "points"\n', "")
        (folder / f"{task}.toml").write_text(f'task = "{task}"\nseed = 3\n{loop}{model}')


def _write_prepare(folder: Path) -> None:
    _write_tiles(folder)
    (folder / "prepare.toml").write_text(_PREPARE)
    (folder / "slides.csv").write_text("slide,patient,label\naa,p1,x\nab,p1,x\nbb,p2,y\n")


def _write_traits(folder: Path) -> None:
    rows = ["patient,slide,age,sex,country", "p1,aa,63,f,de", 'p2,"bb",71,m,fr', "p3,cc,,,"]
    (folder / "patients.csv").write_text("\n".join(rows) + "\n")


def change_path(content: bytes, random: Random) -> bytes:
    """A text of a recipe set to a path that no user wants opened."""
    lines = content.decode().split("\n")
    keys = ("root", "images", "points", "members", "table", "target", "start", "slides", "folder")
    found = [index for index, line in enumerate(lines) if line.split(" ")[0] in keys]
    index = pick(random, found)
    key = lines[index].split(" ")[0]
    text = pick(random, _PATHS)
    lines[index] = f'{key} = ["{text}"]' if key == "slides" else f'{key} = "{text}"'
    return "\n".join(lines).encode()


def change_type(content: bytes, random: Random) -> bytes:
    """A value of a recipe set to one of another type or size."""
    lines = content.decode().split("\n")
    found = [index for index, line in enumerate(lines) if " = " in line]
    index = pick(random, found)
    values = (
        "-1",
        "0",
        "true",
        "nan",
        "inf",
        "1e400",
        "[]",
        "{}",
        '""',
        "1979-05-27",
        "0x" + "f" * 40,
    )
    more = ("9" * 400, "[[[[[[1]]]]]]", "{a.b.c.d = 1}", "'''\n'''", '"\\u0000"', "9" * 5000)
    lines[index] = f"{lines[index].split(' = ')[0]} = {pick(random, (*values, *more))}"
    return "\n".join(lines).encode()


def _plan_training(path: Path, out: Path) -> None:
    dry_run(path, out / "run")


def _plan_prepare(path: Path, out: Path) -> None:
    json.dumps(as_dict(read_prepare_recipe(path.parent / "prepare.toml")))
    facts = plan_preparation(path.parent / "prepare.toml", mpp=None)
    if facts["refused"]:
        raise HistosynthError(str(facts["refused"]), "")


def _read_traits(path: Path, out: Path) -> None:
    read_patient_traits(path)


_CHANGES: tuple[Change, ...] = (*(change_path,) * 5, *(change_type,) * 5, *TEXT_CHANGES)
FORMATS = (
    Format(
        "recipes of training",
        _write_train,
        _plan_training,
        _CHANGES,
        is_seed=lambda path: path.suffix == ".toml",
    ),
    Format(
        "recipe of prepare",
        _write_prepare,
        _plan_prepare,
        _CHANGES,
        is_seed=lambda path: path.suffix == ".toml",
    ),
    Format(
        "slides.csv",
        _write_prepare,
        _plan_prepare,
        TEXT_CHANGES,
        is_seed=lambda path: path.name == "slides.csv",
    ),
    Format("table of patients", _write_traits, _read_traits, TEXT_CHANGES),
)
