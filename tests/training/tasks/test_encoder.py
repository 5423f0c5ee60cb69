"""The encoder's training: it learns, it can be resumed exactly, and what it writes can be seen
with."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small import write_recipe

from histosynth.core.errors import BadRecipe, BadWeights
from histosynth.encoders.histo import load_encoder
from histosynth.pipeline.train import train
from histosynth.training.tasks.encoder.degradation import degrade


def test_it_learns_similarity_and_degradations(tissue, tmp_path):
    path = write_recipe(
        tmp_path,
        tissue,
        "encoder",
        steps=40,
        every=20,
    )
    train(path, tmp_path / "run", device="cpu")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in log if "loss" in row]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert {"validation_harm", "validation_nuclei", "validation_rank"} <= log[-1].keys()
    assert (tmp_path / "run" / "pictures" / "0000040.png").is_file()
    encoder = load_encoder(tmp_path / "run" / "weights")
    found = encoder.embed(np.zeros((2, 50, 70, 3), np.uint8))
    assert found.features.shape[0] == 2 and np.isfinite(found.features).all()


def test_a_stopped_run_that_goes_on_is_the_run_that_was_never_stopped(tissue, tmp_path):
    recipes = [write_recipe(tmp_path, tissue, "encoder", steps=steps) for steps in (2, 4)]
    for recipe in recipes:  # a rate that falls depends on the number of steps
        recipe.write_text(recipe.read_text().replace("warmup = 2", "warmup = 2\ncooldown = 0.0"))
    for recipe, run in ((recipes[1], "one"), (recipes[0], "two"), (recipes[1], "two")):
        train(recipe, tmp_path / run, device="cpu")
    one, two = (
        load_file(tmp_path / run / "weights" / "model.safetensors") for run in ("one", "two")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_each_degradation_changes_a_picture_as_much_as_its_strength():
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert np.array_equal(degrade(picture, np.zeros(3), random), picture)
    blurred, noisy, packed = (
        degrade(picture, np.eye(3)[kind], random).astype(float) for kind in range(3)
    )
    assert blurred.std() < 0.5 * picture.std()
    flat = np.full((64, 64, 3), 128, np.uint8)
    assert degrade(flat, np.eye(3)[1], random).std() == pytest.approx(14, rel=0.1)
    assert not np.array_equal(packed, picture) and np.array_equal(
        degrade(flat, np.eye(3)[2], random), flat
    )
    assert noisy.shape == picture.shape


def test_a_batch_too_small_to_measure_a_spread_is_refused(tissue, tmp_path):
    path = write_recipe(tmp_path, tissue, "encoder")
    path.write_text(path.read_text().replace("batch = 8", "batch = 4"))
    with pytest.raises(BadRecipe, match="at least 8"):
        train(path, tmp_path / "run", device="cpu")


def test_changed_weights_do_not_load(tissue, tmp_path):
    train(
        write_recipe(tmp_path, tissue, "encoder", steps=2, every=2),
        tmp_path / "run",
        device="cpu",
    )
    weights = tmp_path / "run" / "weights" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(BadWeights, match="sha256"):
        load_encoder(tmp_path / "run" / "weights")
