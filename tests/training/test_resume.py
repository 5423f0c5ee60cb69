"""A run folder and its recipe: what may change, and recipes of earlier versions."""

import json

import pytest
from small import write_recipe

from histosynth.core.errors import BadRun, ResumeMismatch
from histosynth.pipeline.train import train
from histosynth.pipeline.train_options import read_train_recipe
from histosynth.training.resume import INPUTS_FILE, RECIPE_FILE, remember, remember_inputs

PRESENT_TO_OLD = {
    "classes": "kinds",
    "drop_classes": "drop_kinds",
    "mask_share": "hole_share",
    "min_learning_rate_share": "floor",
}


def with_old_names(values):
    """The same values under the keys of earlier versions."""
    if isinstance(values, dict):
        return {
            PRESENT_TO_OLD.get(key, key): with_old_names(value) for key, value in values.items()
        }
    if isinstance(values, list):
        return [with_old_names(value) for value in values]
    return values


def rename_keys(run, **changes):
    """Give the run folder the recipe.json of an earlier version; returns its text."""
    saved = run / RECIPE_FILE
    values = with_old_names(json.loads(saved.read_text()))
    for key, value in changes.items():
        values["conditions"][key] = value
    saved.write_text(json.dumps(values))
    return saved.read_text()


def test_a_run_whose_recipe_has_the_keys_of_an_earlier_version_goes_on(
    tmp_path, tissue, autoencoder
):
    run = tmp_path / "run"
    short = write_recipe(tmp_path, tissue, "base", start=autoencoder, steps=1, every=1)
    train(short, run, device="cpu")
    old = rename_keys(run)
    for key in PRESENT_TO_OLD.values():
        assert f'"{key}"' in old
    longer = write_recipe(tmp_path, tissue, "base", start=autoencoder, steps=2, every=1)
    assert train(longer, run, device="cpu")["steps"] == 2
    assert '"mask_share"' in (run / RECIPE_FILE).read_text()


def test_a_changed_value_under_an_old_key_is_still_refused(tmp_path, tissue, autoencoder):
    recipe = read_train_recipe(write_recipe(tmp_path, tissue, "base", start=autoencoder))
    run = tmp_path / "run"
    remember(recipe, run)
    rename_keys(run, hole_share=0.25)
    with pytest.raises(ResumeMismatch, match=r"changed: conditions\.mask_share"):
        remember(recipe, run)


def test_inputs_that_changed_are_named_and_those_that_cannot_be_read_refused(tmp_path):
    remember_inputs(tmp_path, {"train": "a", "base": "b"})
    remember_inputs(tmp_path, {"train": "a", "base": "b", "new": "c"})
    with pytest.raises(ResumeMismatch, match="what is in base"):
        remember_inputs(tmp_path, {"train": "a", "base": "x"})
    (tmp_path / INPUTS_FILE).write_text("{")
    with pytest.raises(BadRun, match="cannot be read"):
        remember_inputs(tmp_path, {"train": "a"})
