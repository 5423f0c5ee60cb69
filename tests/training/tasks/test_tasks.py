"""The tasks: which of them a recipe file is for, and that each is whole."""

from pathlib import Path

import pytest
from small import write_recipe

from histosynth.core.errors import BadOption, BadRecipe
from histosynth.core.recipe import read_toml
from histosynth.core.shipped_recipes import shipped_recipes
from histosynth.pipeline.train import dry_run
from histosynth.pipeline.train_options import TrainOptions, read_train_recipe
from histosynth.training.recipes import RECIPES, TASK_OF_LABEL, TEXT_ADAPTER_TASK
from histosynth.training.tasks import TASKS, find_task

ROOT = Path(__file__).parents[3]
FILES = [each.path for each in shipped_recipes().values() if each.verb == "train"]
SOURCES = sorted((ROOT / "src" / "histosynth" / "training").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_shipped_recipe_is_of_the_task_that_it_names(path):
    values = read_toml(path)
    task = find_task(values, path.name)
    assert values["task"] in task.labels
    assert isinstance(read_train_recipe(path), task.recipe)
    assert task.takes_base == isinstance(values.get("base"), str)


def test_a_recipe_that_names_a_base_is_for_the_text_adapter():
    assert find_task({"task": "local", "start": "x"}, "r") is TASKS["adapter"]
    assert find_task({"task": "local", "base": "x"}, "r") is TASKS["text adapter"]
    assert find_task({"task": "base", "base": {"layers": 2}}, "r") is TASKS["base"]


def test_an_unknown_task_is_refused_with_the_tasks_that_exist():
    with pytest.raises(BadRecipe) as refused:
        find_task({"task": "magic"}, "r.toml")
    for task in TASKS.values():
        for label in task.labels:
            assert label in str(refused.value)


def test_each_task_reads_the_recipe_of_its_name():
    assert {name: task.recipe for name, task in TASKS.items()} == RECIPES
    assert set(TASK_OF_LABEL.values()) | {TEXT_ADAPTER_TASK} == set(TASKS)
    for label, name in TASK_OF_LABEL.items():
        assert label in TASKS[name].labels


def test_a_recipe_without_a_task_is_for_the_adapter_global():
    assert find_task({"data": {}}, "r.toml") is TASKS["adapter"]
    assert RECIPES["adapter"]().task == "global"


def test_every_task_in_the_folder_is_in_the_dict():
    folder = ROOT / "src" / "histosynth" / "training" / "tasks"
    defining = {
        path.stem if path.parent == folder else path.parent.name
        for path in folder.rglob("*.py")
        if "= Task(" in path.read_text()
    }
    assert len(defining) == len(TASKS)


def test_no_code_of_training_tests_the_type_of_a_recipe():
    for path in SOURCES:
        text = path.read_text()
        assert "isinstance(recipe" not in text, path


def test_another_base_is_refused_where_a_recipe_names_none(tmp_path, tissue):
    recipe = write_recipe(tmp_path, tissue, "autoencoder")
    with pytest.raises(BadOption, match="--base"):
        dry_run(recipe, options=TrainOptions(base="anything"))


def test_a_dry_run_names_the_files_that_only_its_task_writes():
    assert "datasheet.json" in TASKS["text adapter"].writes
    assert all(not task.writes for task in TASKS.values() if not task.takes_base)
