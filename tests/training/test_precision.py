"""`precision = "auto"`: the device decides, and a run that was begun keeps its number type."""

import json

import pytest
from small import write_recipe

from histosynth.core.errors import BadRun
from histosynth.pipeline.train import dry_run, train
from histosynth.training.precision import with_known_precision
from histosynth.training.recipes.autoencoder import AutoencoderRecipe


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_run_records_the_number_type_and_goes_on_with_it(
    tmp_path,
    tissue,
    monkeypatch,
    precision,
):
    path = write_recipe(tmp_path, tissue, "autoencoder", steps=2)
    path.write_text(path.read_text().replace('precision = "fp32"\n', ""))
    monkeypatch.setenv("HISTOSYNTH_DTYPE", precision)
    run = tmp_path / "run"
    train(path, run, device="cpu")
    saved = json.loads((run / "recipe.json").read_text())
    assert saved["loop"]["precision"] == precision
    monkeypatch.setenv("HISTOSYNTH_DTYPE", "fp32" if precision == "bf16" else "bf16")
    assert dry_run(path, run).steps == 2  # not refused as another recipe
    path.write_text(path.read_text().replace("steps = 2", "steps = 4"))
    train(path, run, device="cpu")
    saved = json.loads((run / "recipe.json").read_text())
    assert saved["loop"]["precision"] == precision


def test_a_cpu_without_instructions_for_bf16_computes_in_fp32(monkeypatch):
    recipe = AutoencoderRecipe()
    assert recipe.loop.precision == "auto"
    monkeypatch.delenv("HISTOSYNTH_DTYPE", raising=False)
    for has, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr("histosynth.tensors.device.has_bf16_instructions", lambda has=has: has)
        assert with_known_precision(recipe, None, "cpu").loop.precision == precision


def test_a_saved_recipe_that_is_none_is_refused(tmp_path):
    (tmp_path / "recipe.json").write_text("[]")
    with pytest.raises(BadRun):
        with_known_precision(AutoencoderRecipe(), tmp_path, "cpu")
