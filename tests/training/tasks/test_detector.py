"""The detector's training: it learns, it can be resumed exactly, its threshold comes from patients
aside."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small import write_recipe

from histosynth.core.errors import BadRecipe, BadWeights
from histosynth.core.geometry import Size
from histosynth.core.nuclei import Nuclei
from histosynth.detectors.centroids import load_detector
from histosynth.pipeline.train import train
from histosynth.pipeline.train_options import read_train_recipe
from histosynth.training.tasks import TASKS
from histosynth.training.tasks.detector.train_task import (
    DetectorTrainTask,
    MarkedTile,
    Peaks,
    patients_for_threshold,
)
from histosynth.training.tasks.task import RunContext

CLASSES = ("epithelial", "lymphocyte", "stromal")


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


def one_nucleus_of_each(class_ids):
    """Nuclei of these classes, all at the centre of a crop of 64 px."""
    return Nuclei(
        np.full((len(class_ids), 2), 32.0, np.float32),
        np.array(class_ids, np.uint8),
        CLASSES,
        Size(64, 64),
        0.5,
    )


def class_loss(tissue, tmp_path, class_ids):
    """The class loss of a crop whose centre has nuclei of these classes."""
    recipe = read_train_recipe(write_recipe(tmp_path, tissue, "detector"))
    opened = TASKS["detector"].check(recipe, tmp_path)
    torch.manual_seed(0)
    context = RunContext(tmp_path, tmp_path, "cpu", None, None, None, None)
    task = TASKS["detector"].build(recipe, opened, context).train_task
    task.plan = replace(task.plan, class_weight=1.0)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    loss = task._loss(image, [one_nucleus_of_each(class_ids)])
    task.plan = replace(task.plan, class_weight=0.0)
    heat_loss = task._loss(image, [one_nucleus_of_each(class_ids)])
    return float((loss - heat_loss).detach())


def test_a_cell_that_two_classes_share_teaches_no_class(tissue, tmp_path):
    assert class_loss(tissue, tmp_path, [1]) > 0.1
    assert class_loss(tissue, tmp_path, [1, 2]) == pytest.approx(0, abs=1e-6)


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


@pytest.mark.parametrize(
    ("found", "marked", "expected"),
    [
        ([0, 0], [0, 0], {"f1": 1.0, "f1_epithelial": 1.0}),
        ([0, 2], [0, 0], {"f1": 1.0, "f1_epithelial": 2 / 3, "f1_stromal": 0.0}),
        ([], [1, 1], {"f1": 0.0, "f1_lymphocyte": 0.0}),
        ([], [], {"f1": 1.0}),
    ],
)
def test_a_class_that_is_neither_marked_nor_found_has_no_score(found, marked, expected):
    """It would be 1, as if the class were detected."""
    places = np.array([[20, 20], [60, 60]], np.float32)
    names = [CLASSES[class_id] for class_id in marked]
    nuclei = Nuclei.of(
        places[: len(marked)],
        names,
        size=(100, 100),
        mpp=0.5,
        classes=CLASSES,
    )
    heat = np.ones(len(found), np.float32)
    peaks = Peaks(places[: len(found)], np.array(found, np.int64), heat)
    task = SimpleNamespace(
        data=SimpleNamespace(classes=CLASSES),
        network=SimpleNamespace(classes=len(CLASSES)),
        _find=lambda pixels, threshold: peaks,
    )
    tile = MarkedTile(np.zeros((100, 100, 3), np.uint8), nuclei)
    assert DetectorTrainTask.scores(task, [tile], 0.5) == pytest.approx(expected)
