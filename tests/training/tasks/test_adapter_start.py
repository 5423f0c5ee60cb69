"""Runs that begin with an adapter in place of a new one."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from small import ADAPTER_TARGETS as TARGETS
from small import write_adapter_recipe as recipe_with

import histosynth as hs
from histosynth.core import recipe as recipes
from histosynth.core.errors import AdapterMismatch, BadRecipe, ResumeMismatch
from histosynth.model.adapters import ADAPTER_FILE, base_sha256, read_adapter
from histosynth.model.loading import load_bundle
from histosynth.model.parts import load_part
from histosynth.model.structure import StructureEncoder
from histosynth.pipeline.train import plan_training, train
from histosynth.pipeline.train_options import choose_recipe
from histosynth.training.recipes.adapter_options import AdapterPlan
from histosynth.training.tasks.diffusion.adapter_start import open_adapter_start


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tissue, base):
    """Folder of a trained adapter."""
    folder = tmp_path_factory.mktemp("first")
    train(recipe_with(folder, tissue, base, ""), folder / "run", device="cpu")
    return folder / "run" / "weights"


@pytest.fixture(scope="module")
def sized(tmp_path_factory, tissue, base, weights):
    """Folder of an adapter that sees sizes, begun with the first one."""
    folder = tmp_path_factory.mktemp("sized")
    options = f'shapes = true\nstart = "{weights}"'
    recipe = recipe_with(folder, tissue, base, options, rate="1e-9")
    train(recipe, folder / "run", device="cpu")
    return folder / "run" / "weights"


def test_a_run_begins_with_the_weights_of_another(sized, weights, base):
    first = load_file(weights / ADAPTER_FILE)
    then = load_file(sized / ADAPTER_FILE)
    assert first.keys() == then.keys() and len(first) > 4
    assert any("lora_B" in name and value.any() for name, value in first.items())
    for name, value in first.items():
        torch.testing.assert_close(then[name], value, atol=1e-4, rtol=2e-3)
    recorded = json.loads((sized.parent / "inputs.json").read_text())
    assert set(recorded) == {"train", "validation", "base", "adapter"}
    encoder = load_part(sized / "structure", StructureEncoder)
    assert encoder.config.shapes
    bundle = hs.open_bundle(base, device="cpu", dtype="fp32")
    assert bundle.load_adapter(sized).sizes


def test_its_structure_encoder_goes_on_too(tmp_path, tissue, base, sized):
    folder = shutil.copytree(sized, tmp_path / "changed")
    file = folder / "structure" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    save_file({name: value * 1.5 for name, value in tensors.items()}, file)
    options = f'shapes = true\nstart = "{folder}"'
    recipe = recipe_with(tmp_path, tissue, base, options, rate="1e-9")
    train(recipe, tmp_path / "run", device="cpu")
    found = load_file(tmp_path / "run" / "weights" / "structure" / file.name)
    for name, value in tensors.items():
        torch.testing.assert_close(found[name], value * 1.5, atol=1e-4, rtol=2e-3)


def test_the_base_is_as_it_was(base, weights, tmp_path):
    bundle = load_bundle(base)
    before = base_sha256(bundle.unet)
    names = [name for name, _ in bundle.unet.named_modules()]
    plan = AdapterPlan(rank=4, targets=("conv1", "to_q"), start=str(weights))
    begun = open_adapter_start(SimpleNamespace(task="global", adapter=plan), bundle, tmp_path)
    assert begun.encoder is None and begun.weights
    assert [name for name, _ in bundle.unet.named_modules()] == names
    assert base_sha256(bundle.unet) == before and not bundle.adapters
    new = SimpleNamespace(task="global", adapter=AdapterPlan())
    assert open_adapter_start(new, bundle, tmp_path) is None


def test_the_digest_covers_the_structure_encoder(base, sized, tmp_path):
    bundle = load_bundle(base)
    folder = shutil.copytree(sized, tmp_path / "changed")
    file = folder / "structure" / "diffusion_pytorch_model.safetensors"
    save_file({name: value * 1.5 for name, value in load_file(file).items()}, file)
    plan = AdapterPlan(rank=4, targets=("conv1", "to_q"), shapes=True)
    first, again, changed = (
        open_adapter_start(
            SimpleNamespace(task="global", adapter=replace(plan, start=str(start))),
            bundle,
            tmp_path,
        ).sha256
        for start in (sized, sized, folder)
    )
    assert first == again != changed


def test_the_one_in_the_package_has_a_name(tmp_path, tissue):
    recipe = recipe_with(tmp_path, tissue, "compact", "")
    text = recipe.read_text().replace(TARGETS, 'shapes = true\nstart = "compact"')
    recipe.write_text(text.replace("rank = 4", "rank = 16"))
    plan = plan_training(choose_recipe(recipe), tmp_path / "run")
    assert plan.task == "global" and plan.cost.trained > 500_000


@pytest.mark.parametrize(
    ("task", "options", "problem"),
    [
        ("global", 'start = "none"', "adapter.start: there is no folder "),
        ("local", 'start = "WEIGHTS"', "adapter.start is an adapter named global, not local"),
        ("global", 'start = "WEIGHTS"\nalpha = 8.0', "alpha is 8, but that of adapter.start 16"),
        ("global", 'start = "SIZED"', "adapter.start follows sizes of nuclei: set adapter.shapes"),
    ],
)
def test_adapters_that_do_not_fit_are_refused(
    tmp_path, tissue, base, weights, sized, task, options, problem
):
    options = options.replace("WEIGHTS", str(weights)).replace("SIZED", str(sized))
    recipe = recipe_with(tmp_path, tissue, base, options, task=task)
    with pytest.raises(BadRecipe) as error:
        train(recipe, tmp_path / "run", device="cpu")
    assert problem in str(error.value)
    assert not (tmp_path / "run").exists()


def test_rank_and_layers_must_be_the_same(tmp_path, tissue, base, weights):
    recipe = recipe_with(tmp_path, tissue, base, f'start = "{weights}"')
    text = recipe.read_text().replace("rank = 4", "rank = 8")
    recipe.write_text(text.replace(TARGETS, 'targets = ["conv2"]'))
    with pytest.raises(BadRecipe) as error:
        train(recipe, tmp_path / "run", device="cpu")
    assert error.value.problems == (
        "adapter.rank is 8, but that of adapter.start 4",
        "adapter.targets must be those of adapter.start: conv1, to_q",
    )


def test_an_adapter_of_another_base_is_refused(tmp_path, tissue, base, weights):
    info, tensors = read_adapter(weights / ADAPTER_FILE)
    folder = tmp_path / "other"
    folder.mkdir()
    facts = recipes.as_dict(info) | {"base_sha256": "0" * 64}
    save_file(tensors, folder / ADAPTER_FILE, {"histosynth": json.dumps(facts)})
    recipe = recipe_with(tmp_path, tissue, base, f'start = "{folder}"')
    with pytest.raises(AdapterMismatch, match="trained on another base"):
        train(recipe, tmp_path / "run", device="cpu")


def test_another_adapter_under_the_same_name_is_refused_on_resume(tmp_path, tissue, base, weights):
    folder = shutil.copytree(weights, tmp_path / "weights")
    recipe = recipe_with(tmp_path, tissue, base, f'start = "{folder}"', steps=2)
    train(recipe, tmp_path / "run", device="cpu")
    info, tensors = read_adapter(folder / ADAPTER_FILE)
    facts = json.dumps(recipes.as_dict(info))
    halved = {name: value / 2 for name, value in tensors.items()}
    save_file(halved, folder / ADAPTER_FILE, {"histosynth": facts})
    recipe_with(tmp_path, tissue, base, f'start = "{folder}"', steps=4)
    with pytest.raises(ResumeMismatch, match="what is in adapter"):
        train(recipe, tmp_path / "run", device="cpu")
