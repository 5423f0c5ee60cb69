"""A detector that learns what another one finds, on tiles that nobody marked."""

import json

import pytest
import torch
from small import write_recipe

from histosynth.core.errors import BadRecipe
from histosynth.detectors.centroids import CentroidDetector, load_detector
from histosynth.detectors.fast_network import FastCentroidNet
from histosynth.pipeline.train import train
from histosynth.training.tasks.detector.teaching import answers_of, taught_loss

FAST = 'network = "fast"\nteacher = "centroids"\nwidths = [8, 16]\nblocks = [1, 1]\naside = 0.25\n'


def write_taught_recipe(folder, tissue, **counts):
    """A recipe of the fast network without nuclei of its own."""
    path = write_recipe(
        folder,
        tissue,
        "detector",
        **counts,
    )
    text = path.read_text().replace('points = "points"\n', "")
    head, _ = text.split("[model]\n")
    path.write_text(f"{head}[model]\n{FAST}")
    return path


def test_a_fast_detector_learns_from_tiles_without_nuclei(tissue, tmp_path):
    recipe = write_taught_recipe(
        tmp_path,
        tissue,
        steps=40,
        every=20,
    )
    train(recipe, tmp_path / "run", device="cpu")
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    losses = [row["validation_loss"] for row in map(json.loads, lines) if "validation_loss" in row]
    assert losses[-1] < losses[0]
    detector = load_detector(tmp_path / "run" / "weights")
    assert isinstance(detector.network, FastCentroidNet)
    assert detector.info.network == "fast" and detector.halo_px == FastCentroidNet.halo_px


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("mpp = 0.5\ncrop", "mpp = 1.0\ncrop", "works at 0.5"),
        ('"stromal"]', '"other"]', "must be those of centroids"),
    ],
)
def test_a_teacher_of_another_scale_or_other_classes_is_refused(
    tissue,
    tmp_path,
    old,
    new,
    problem,
):
    recipe = write_taught_recipe(tmp_path, tissue)
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new))
    with pytest.raises(BadRecipe, match=problem):
        train(recipe, tmp_path / "run", device="cpu")


def test_the_loss_of_a_teacher_s_own_answers_is_nothing():
    teacher: CentroidDetector = load_detector()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    with torch.no_grad():
        heat, classes = teacher.network(images)
    answers = answers_of(teacher, images)
    weights = {"peak_weight": 9.0, "class_weight": 0.5}
    own = taught_loss(
        heat[:, 0],
        classes,
        answers,
        **weights,
    )
    other = taught_loss(
        heat[:, 0] + 1,
        classes,
        answers,
        **weights,
    )
    assert abs(float(own)) < 1e-5 < float(other)
