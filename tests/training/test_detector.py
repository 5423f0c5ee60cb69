"""The detector's training: it learns, it can be resumed exactly, its threshold comes from patients
aside."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small import write_recipe

from histosynth.core.errors import BadRecipe, BadWeights
from histosynth.detectors.centroids import load_detector
from histosynth.pipeline.train import train
from histosynth.training.tasks.detector.train_task import patients_for_threshold


def test_it_learns_to_find_fake_nuclei_and_its_weights_load(tissue, tmp_path):
    done = train(
        write_recipe(
            tmp_path,
            tissue,
            "detector",
            steps=150,
            every=150,
        ),
        tmp_path / "run",
        device="cpu",
    )
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["validation_f1"] > 0.7  # 0.4 before training
    detector = load_detector(tmp_path / "run" / "weights")
    assert done["weights"] == str(tmp_path / "run" / "weights")
    assert (
        detector.classes == ("epithelial", "lymphocyte", "stromal")
        and 0 < detector.info.threshold < 1
    )
    found = detector(np.full((100, 90, 3), 240, np.uint8))
    assert found.xy.shape == (len(found), 2)


def test_a_stopped_run_that_goes_on_is_the_run_that_was_never_stopped(tissue, tmp_path):
    recipes = [write_recipe(tmp_path, tissue, "detector", steps=steps) for steps in (4, 8)]
    for recipe in recipes:  # a rate that falls depends on the number of steps
        recipe.write_text(recipe.read_text().replace("warmup = 2", "warmup = 2\ncooldown = 0.0"))
    for recipe, run in ((recipes[1], "one"), (recipes[0], "two"), (recipes[1], "two")):
        train(recipe, tmp_path / run, device="cpu")
    one, two = (
        load_file(tmp_path / run / "weights" / "model.safetensors") for run in ("one", "two")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_the_threshold_s_patients_give_no_gradient_and_do_not_depend_on_order():
    patients = [f"P{n}" for n in range(50)]
    aside = patients_for_threshold(patients, 0.12)
    assert len(aside) == 6 and aside == patients_for_threshold(list(reversed(patients)), 0.12)
    assert aside == patients_for_threshold(patients * 3, 0.12)


def test_tiles_without_nuclei_are_refused(tissue, tmp_path):
    path = write_recipe(tmp_path, tissue, "detector")
    path.write_text(path.read_text().replace('points = "points"\n', ""))
    with pytest.raises(BadRecipe, match="have no nuclei"):
        train(path, tmp_path / "run", device="cpu")


def test_changed_weights_do_not_load(tissue, tmp_path):
    train(
        write_recipe(tmp_path, tissue, "detector"),
        tmp_path / "run",
        device="cpu",
    )
    weights = tmp_path / "run" / "weights" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(BadWeights, match="sha256"):
        load_detector(tmp_path / "run" / "weights")
