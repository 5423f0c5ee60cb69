"""Files of our own folders that a neighbour may have spoiled: surveys, records, caches, states."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from histosynth.core.errors import HistosynthError
from histosynth.core.recipe import as_dict
from histosynth.core.weights_folder import read_card
from histosynth.detectors.info import DetectorInfo
from histosynth.evaluation.jobs.measured_file import (
    is_written_by,
    read_measured,
    tile_numbers,
    write_measured,
)
from histosynth.pipeline.demo_files import _read_hashes
from histosynth.pipeline.prepare import prepare
from histosynth.preparation.recipe import PrepareRecipe
from histosynth.sampling.earlier_pictures import read_earlier_recipes
from histosynth.training.loop.best_weights import BestWeights
from histosynth.training.loop.run_log import RunLog
from histosynth.training.loop.state import TrainState
from histosynth.training.recipes.loop import LoopPlan
from histosynth.training.resume import refuse_other_recipe, remember_inputs

from .mutating import JSON_CHANGES, TEXT_CHANGES
from .trial import Format

_RECIPE = """slides = ["slides/*.png"]
mpp = 0.5
[tiles]
size = 32
tissue = 0.0
[stain]
method = "none"
[nuclei]
source = "none"
"""


def write_prepared(folder: Path) -> None:
    (folder / "slides").mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(60, 220, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "slides" / f"s{number}.png")
    (folder / "recipe.toml").write_text(_RECIPE)
    prepare(folder / "recipe.toml", folder / "set")


def prepare_again(path: Path, out: Path) -> None:
    folder = next(each for each in path.parents if (each / "recipe.toml").is_file())
    prepare(folder / "recipe.toml", folder / "set")


def _is_survey(path: Path) -> bool:
    return path.parent.name == ".survey"


def _is_record(path: Path) -> bool:
    is_mark = path.name in (".drawn", ".histosynth.jsonl")
    return "set" in path.parts and (path.suffix == ".json" or is_mark)


def _is_chunk(path: Path) -> bool:
    return "set" in path.parts and path.suffix == ".parquet"


def _write_measured(folder: Path) -> None:
    tiles = [
        {"name": "a", "patient": "p", "label": "", "layout": "a"},
        {"name": "b", "refused": "why"},
    ]
    values = {"0/area": np.arange(4.0), "0/grain": np.ones((2, 3), np.float32)}
    write_measured(folder / "a.safetensors", "key", tiles, values)


def _read_measured(path: Path, out: Path) -> None:
    is_written_by(path, "key")
    with contextlib.suppress(HistosynthError):
        tile_numbers(path, "area")
    read_measured(path)


def _write_state(folder: Path) -> None:
    _state().save(folder / "state.safetensors")


def _state() -> TrainState:
    torch.manual_seed(0)
    return TrainState(
        {"net": torch.nn.Linear(3, 2)}, LoopPlan(steps=4, batch=2, learning_rate=1e-3)
    )


def _load_state(path: Path, out: Path) -> None:
    _state().load(path)


def _write_notes(folder: Path) -> None:
    recipe = as_dict(PrepareRecipe(("a",)))
    (folder / "recipe.json").write_text(json.dumps(recipe))
    (folder / "inputs.json").write_text(json.dumps({"a": "0" * 64}))
    (folder / "log.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n')
    (folder / "best").mkdir()
    (folder / "best.json").write_text(json.dumps({"step": 2, "validation_loss": 0.4}))
    pictures = {"a.png": {"histosynth": "0.1", "mpp": 0.5}}
    (folder / "pictures.json").write_text(json.dumps(pictures))
    (folder / "demo.json").write_text(json.dumps({"sha256": {"a.png": "0" * 64}}))
    card = {"name": "a", "mpp": 0.5, "classes": ["x"], "widths": [8], "blocks": [1]}
    card |= {"threshold": 0.5, "sha256": "0" * 64}
    (folder / "card.json").write_text(json.dumps(card))


def _read_notes(path: Path, out: Path) -> None:
    """Each as its reader takes it; a refusal of any counts."""
    match path.name:
        case "recipe.json":
            refuse_other_recipe(PrepareRecipe(("a",)), path.parent)
        case "inputs.json":
            remember_inputs(path.parent, {"a": "0" * 64})
        case "log.jsonl":
            RunLog(path, 2)
        case "pictures.json":
            read_earlier_recipes(path)
        case "demo.json":
            _read_hashes(path)
        case "card.json":
            read_card(path, DetectorInfo)
        case _:
            BestWeights(path.parent)


FORMATS = (
    Format("records of prepare", write_prepared, prepare_again, JSON_CHANGES, is_seed=_is_survey),
    Format("other records of prepare", write_prepared, prepare_again, is_seed=_is_record),
    Format("finished chunks", write_prepared, prepare_again, is_seed=_is_chunk),
    Format("measured tiles", _write_measured, _read_measured),
    Format("state of training", _write_state, _load_state),
    Format("notes of runs", _write_notes, _read_notes, (*JSON_CHANGES[:4], *TEXT_CHANGES)),
)
