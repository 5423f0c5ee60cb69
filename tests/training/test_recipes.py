"""The recipes that ship are recipes, and start from what ships."""

from pathlib import Path

import pytest

from histosynth.core import recipe as recipes
from histosynth.core.errors import BadRecipe
from histosynth.core.shipped import COMPACT, starting_point
from histosynth.core.shipped_recipes import shipped_recipes
from histosynth.pipeline.train import dry_run
from histosynth.pipeline.train_options import TrainOptions, read_train_recipe
from histosynth.training.recipes.artefact import ArtefactPlan
from histosynth.training.recipes.autoencoder import AutoencoderPlan
from histosynth.training.recipes.detector import DetectorPlan
from histosynth.training.recipes.encoder import EncoderPlan
from histosynth.training.recipes.loop import LoopPlan
from histosynth.training.recipes.rare_labels import RareLabelOptions

OF_TRAINING = [each for each in shipped_recipes().values() if each.verb == "train"]
COMPACT_RECIPES = [each.name for each in OF_TRAINING if each.name.startswith("compact-")]
DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize("shipped", OF_TRAINING, ids=lambda each: each.name)
def test_a_shipped_recipe_can_be_read_and_starts_from_what_ships(shipped):
    recipe = read_train_recipe(shipped.name)
    assert getattr(recipe, "start", "") in ("", "compact")
    assert read_train_recipe(shipped.path) == recipe


def test_a_start_is_a_shipped_bundle_by_name_or_a_folder_next_to_the_recipe(tmp_path):
    assert starting_point("compact", tmp_path) == COMPACT
    assert (starting_point("compact", tmp_path, part="autoencoder") / "config.json").is_file()
    assert starting_point("./compact", tmp_path) == tmp_path / "compact"
    assert starting_point("runs/base", tmp_path, part="autoencoder") == tmp_path / "runs/base"


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared tissue does not lie beside this checkout")
@pytest.mark.parametrize("name", COMPACT_RECIPES)
def test_a_recipe_of_the_shipped_weights_finds_its_tissue_and_leaks_no_patient(name):
    plan = dry_run(name, options=TrainOptions(root=DATA))
    assert plan.tiles > 80 and plan.validation_patients == 8
    needs_no_nuclei = plan.task == "autoencoder" or name == "compact-detector-fast"
    assert needs_no_nuclei or plan.nuclei > 18_000


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared tissue does not lie beside this checkout")
def test_a_start_that_is_not_there_is_refused_before_anything_is_trained(tmp_path):
    path = tmp_path / "base.toml"
    text = shipped_recipes()["compact-base"].path.read_text()
    path.write_text(text.replace('"compact"', '"nowhere"'))
    with pytest.raises(BadRecipe) as refused:
        dry_run(path, options=TrainOptions(root=DATA))
    assert refused.value.problems == (f"start: there is no folder {tmp_path / 'nowhere'}",)


@pytest.mark.parametrize(
    ("plan", "values", "sentence"),
    [
        (DetectorPlan, {"widths": [8] * 9, "blocks": [1] * 9}, "as many, from 1 to 8, not 9 and 9"),
        (DetectorPlan, {"widths": [], "blocks": []}, "as many, from 1 to 8, not 0 and 0"),
        (DetectorPlan, {"widths": [8, 8]}, "widths and blocks must be as many"),
        (DetectorPlan, {"widths": [8, 16, 2000, 8]}, r"widths must lie in 1\.\.1024, not \[8, 16"),
        (EncoderPlan, {"widths": [8, 16, 0, 8]}, r"widths\[2\] must be at least 1, not 0"),
        (EncoderPlan, {"blocks": [1, 1, 1, -1]}, r"blocks\[3\] must not be negative, not -1"),
        (ArtefactPlan, {"depths": [1, 1, 1, 65]}, r"depths must lie in 1\.\.64"),
        (AutoencoderPlan, {"encoder_layers": [0, 1, 2, -1]}, r"encoder_layers\[3\] must not be"),
    ],
)
def test_a_network_that_no_reader_opens_is_refused_before_it_is_trained(plan, values, sentence):
    with pytest.raises(BadRecipe, match=sentence):
        recipes.build(values, plan)


def test_keys_of_earlier_versions_are_read():
    loop = {"steps": 1, "batch": 1, "learning_rate": 0.1, "floor": 0.2}
    assert recipes.build(loop, LoopPlan).min_learning_rate_share == 0.2
    options = recipes.build({"least_patients": 7}, RareLabelOptions)
    assert options.min_patients == 7
