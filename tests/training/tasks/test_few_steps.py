"""Adapters that do in few steps what another does: training, loading, sampling."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small import write_adapter_recipe as recipe_with

import histosynth as hs
from histosynth.core.errors import AdapterMismatch, BadRecipe
from histosynth.core.geometry import Size
from histosynth.model.adapters import (
    ADAPTER_FILE,
    FewSteps,
    merged,
    read_adapter,
    write_adapter,
)
from histosynth.model.conditioning import random_maps, style_length
from histosynth.model.opening import _replace_adapter
from histosynth.pipeline.train import train
from histosynth.pipeline.train_options import choose_recipe
from histosynth.sampling.options import SamplingOptions
from histosynth.sampling.paths import follow_path
from histosynth.sampling.settings import settings_for

NUCLEI = hs.draw_layout((128, 128), mpp=0.5, seed=0)


def predicted(bundle):
    """The clean estimate of one noisy tile without nuclei."""
    random = torch.Generator().manual_seed(0)
    maps = random_maps(1, classes=3, size=Size(128, 128), generator=random)
    channels = len(bundle.info.latent_mean)
    noisy = torch.randn(1, channels, 16, 16, generator=random)
    style = torch.zeros(1, style_length(len(bundle.info.style_mean), len(bundle.info.labels)))
    features = bundle.features(maps)
    return bundle.denoiser.predict_x0(noisy, torch.tensor([0.5]), features, style)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, tissue, base):
    """Folder of an adapter that follows sizes."""
    folder = tmp_path_factory.mktemp("teacher")
    recipe = recipe_with(folder, tissue, base, "shapes = true", steps=20, rate="3e-2")
    train(recipe, folder / "run", device="cpu")
    return folder / "run" / "weights"


@pytest.fixture(scope="module")
def student(tmp_path_factory, tissue, base, teacher):
    """Run folder of an adapter that has learnt two steps of it."""
    folder = tmp_path_factory.mktemp("student")
    options = f'shapes = true\nstart = "{teacher}"\nfew_steps = {{ steps = 2, teacher_steps = 4 }}'
    recipe = recipe_with(folder, tissue, base, options, steps=40, rate="2e-3", every=10)
    train(recipe, folder / "run", device="cpu")
    return folder / "run"


@pytest.fixture
def bundle(base, teacher, student):
    found = hs.open_bundle(base, device="cpu", dtype="fp32")
    found.load_adapter(teacher)
    found.load_adapter(student / "weights")
    return found


def test_the_adapter_names_what_it_has_learnt_from(student, teacher, bundle):
    info, _ = read_adapter(student / "weights" / ADAPTER_FILE)
    sha256 = bundle.adapter_sha256["global"]
    assert info.name == "global-few-steps"
    assert info.few_steps == FewSteps(2, "global", sha256)
    assert info.sizes == () and not (student / "weights" / "structure").exists()
    changed = load_file(student / "weights" / ADAPTER_FILE)
    assert any(
        not torch.equal(value, changed[name])
        for name, value in load_file(teacher / ADAPTER_FILE).items()
    )


def test_its_steps_end_nearer_to_the_teachers_path_than_before(student):
    rows = [json.loads(line) for line in (student / "log.jsonl").read_text().splitlines()]
    errors = [row["validation_global_error"] for row in rows if "validation_global_error" in row]
    assert errors[-1] < 0.8 * errors[0]


def test_it_samples_where_steps_are_left_to_the_bundle(bundle):
    recipe = hs.synthesize(NUCLEI, bundle=bundle)[0].recipe
    assert recipe["bundle"]["adapter"] == "global-few-steps"
    settings = recipe["settings"]
    assert (settings["steps"], settings["solver"], settings["guidance"]) == (2, "euler", 1.0)
    assert recipe["nuclei"]["drawn_shapes"] > 0  # its teacher's sizes
    (stated,) = hs.synthesize(NUCLEI, bundle=bundle, steps=2)
    assert stated.recipe["bundle"]["adapter"] == "global-few-steps"


@pytest.mark.parametrize("option", [{"steps": 4}, {"guidance": 1.2}, {"solver": "euler"}])
def test_a_user_who_states_steps_solver_or_guidance_gets_the_teacher(bundle, option):
    recipe = hs.synthesize(NUCLEI, bundle=bundle, **option)[0].recipe
    assert recipe["bundle"]["adapter"] == "global"
    assert recipe["settings"]["steps"] == option.get("steps", bundle.info.steps)


def test_it_lies_on_its_teacher(bundle):
    """Merged or active, its change is added to that of its teacher, whose encoder it uses."""
    changes = {}
    for name in ("global", "global-few-steps"):
        state = bundle.with_merged_adapter(name).unet.state_dict()
        changes[name] = {key: value.clone() for key, value in state.items()}
    base = bundle.unet.state_dict()
    layer = next(key for key in base if key.endswith("conv1.base_layer.weight"))
    plain = layer.replace(".base_layer", "")
    own = merged(bundle.unet, "global-few-steps").state_dict()[plain] - base[layer]
    assert own.abs().max() > 0
    found = changes["global-few-steps"][plain] - changes["global"][plain]
    torch.testing.assert_close(found, own, atol=1e-5, rtol=1e-4)
    merged_bundle = bundle.with_merged_adapter("global-few-steps")
    assert merged_bundle.structure is bundle.structures["global"]
    assert merged_bundle.sizes == bundle.adapters["global"].sizes
    with bundle.using_adapter("global-few-steps"), torch.inference_mode():
        active = predicted(bundle)
    with torch.inference_mode():
        torch.testing.assert_close(active, predicted(merged_bundle), atol=1e-4, rtol=1e-4)
    assert bundle.follows_shapes("global-few-steps")


def test_completions_take_many_steps(bundle, tmp_path):
    pixels = hs.synthesize(NUCLEI, bundle=bundle, steps=1)[0].pixels
    mask = np.zeros((128, 128), bool)
    mask[40:80, 40:80] = True
    recipe = hs.complete(pixels, mask, nuclei=NUCLEI, bundle=bundle).recipe
    assert recipe["settings"]["steps"] == bundle.info.steps
    assert recipe["bundle"]["adapter"] != "global-few-steps"


def test_another_teacher_than_it_has_learnt_from_samples_itself(base, teacher, student, tmp_path):
    other = shutil.copytree(teacher, tmp_path / "other")
    tensors = load_file(other / ADAPTER_FILE)
    info, _ = read_adapter(other / ADAPTER_FILE)
    changed = {name: value * 1.01 for name, value in tensors.items()}
    write_adapter(other / ADAPTER_FILE, info, changed)
    for folder, expected in ((teacher, "global-few-steps"), (other, "global")):
        bundle = hs.open_bundle(base, device="cpu", dtype="fp32")
        bundle.load_adapter(student / "weights")
        bundle.load_adapter(folder)
        recipe = hs.synthesize(NUCLEI, bundle=bundle, steps=2)[0].recipe
        assert recipe["bundle"]["adapter"] == expected
        assert settings_for(bundle, "synthesize", SamplingOptions()).few_steps


def test_few_steps_of_a_teacher_that_the_bundle_has_not_are_not_opened(
    student, teacher, base, tmp_path
):
    """They would never be used, and pictures would come from the bundle's own adapter."""
    bundle = hs.open_bundle(base, device="cpu", dtype="fp32")
    bundle.load_adapter(teacher)
    _replace_adapter(bundle, student / "weights")
    without = hs.open_bundle(base, device="cpu", dtype="fp32")
    with pytest.raises(AdapterMismatch, match="from another adapter global than the bundle's"):
        _replace_adapter(without, student / "weights")


@pytest.mark.parametrize(
    ("task", "options", "problem"),
    [
        ("local", "", "adapter.few_steps is for `global`"),
        ("global", "structure = true", "leave guided and structure out"),
        ("global", 'start = ""', "few_steps needs start"),
    ],
)
def test_what_few_steps_cannot_be_learnt_from_is_refused(
    tmp_path, tissue, base, task, options, problem
):
    few = "few_steps = { steps = 2, teacher_steps = 4 }"
    start = "" if "start" in options else 'start = "x"\n'
    recipe = recipe_with(tmp_path, tissue, base, f"{start}{options}\n{few}", task=task)
    with pytest.raises(BadRecipe, match="recipe") as refused:
        choose_recipe(recipe)
    assert any(problem in each for each in refused.value.problems), refused.value.problems


def test_a_run_begins_with_few_steps_that_were_learnt_before(
    tmp_path, tissue, base, teacher, student
):
    few = f'few_steps = {{ steps = 2, teacher_steps = 4, start = "{student}/weights" }}'
    options = f'shapes = true\nstart = "{teacher}"\n{few}'
    train(recipe_with(tmp_path, tissue, base, options, rate="1e-9"), tmp_path / "run", device="cpu")
    first = load_file(student / "weights" / ADAPTER_FILE)
    then = load_file(tmp_path / "run" / "weights" / ADAPTER_FILE)
    for name, value in first.items():
        torch.testing.assert_close(then[name], value, atol=1e-4, rtol=2e-3)


def test_few_steps_begin_with_nothing_else(tmp_path, tissue, base, teacher):
    few = f'few_steps = {{ steps = 2, teacher_steps = 4, start = "{teacher}" }}'
    recipe = recipe_with(tmp_path, tissue, base, f'shapes = true\nstart = "{teacher}"\n{few}')
    with pytest.raises(BadRecipe) as refused:
        train(recipe, tmp_path / "run", device="cpu")
    assert list(refused.value.problems) == [
        "adapter.few_steps.start is the adapter global, which takes many"
    ]
    assert not (tmp_path / "run").exists()
    alone = 'start = "x"\nfew_steps = { start = "y" }'
    with pytest.raises(BadRecipe) as refused:
        choose_recipe(recipe_with(tmp_path, tissue, base, alone))
    assert any("few_steps.start needs few_steps.steps" in each for each in refused.value.problems)


def test_teacher_steps_are_a_multiple_of_steps(tmp_path, tissue, base):
    few = 'start = "x"\nfew_steps = { steps = 3, teacher_steps = 8 }'
    with pytest.raises(BadRecipe) as refused:
        choose_recipe(recipe_with(tmp_path, tissue, base, few))
    assert any("multiple of steps, 3, not 8" in each for each in refused.value.problems)


def test_a_path_is_followed_at_times_of_its_own_steps():
    """Towards one point the flow is straight: (1 - t) point + t noise."""
    noise = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    point = torch.full_like(noise, 0.5)
    middle, end = follow_path(lambda noisy, time: point, noise, times=[0.5, 0.0], steps=8)
    torch.testing.assert_close(middle, 0.5 * point + 0.5 * noise, atol=2e-3, rtol=0)
    torch.testing.assert_close(end, point, atol=5e-3, rtol=0)  # the first time is 0.999
    with pytest.raises(ValueError, match=r"8 steps do not come by the times \[0.3\]"):
        follow_path(lambda noisy, time: point, noise, times=[0.3, 0.0], steps=8)
