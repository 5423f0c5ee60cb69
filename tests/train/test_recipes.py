"""The recipes that ship are recipes."""

from pathlib import Path

import pytest

from histosynth.pipeline.training import dry_run, read_train_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.toml"))
DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_can_be_read(path):
    assert read_train_recipe(path).task in path.stem


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared tissue does not lie beside this checkout")
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_finds_its_tissue_and_leaks_no_patient(path):
    plan = dry_run(path)
    assert plan.tiles > 100 and plan.validation_patients == 8
    assert plan.task == "autoencoder" or plan.nuclei > 18_000
