"""The pipeline is called as those of diffusers are: bar, callback, pictures, refusals."""

import io

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.callbacks import SDCFGCutoffCallback
from PIL import Image

from histosynth import Cancelled, HistosynthPipeline, complete, draw_layout, open_bundle, synthesize
from histosynth.core.errors import BadOption, InputError
from histosynth.core.synthetic import is_synthetic
from histosynth.diffusers import BundleComponent

NUCLEI = "Nuclei or a list of them, as read_nuclei returns"


@pytest.fixture(scope="module")
def bundle(bundle_folder):
    return open_bundle(bundle_folder, dtype="fp32", device="cpu")


@pytest.fixture
def pipe(bundle):
    pipe = HistosynthPipeline(BundleComponent(bundle))
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def nuclei():
    return draw_layout((128, 128), mpp=0.5, seed=0)


def test_the_bar_counts_solver_steps_and_obeys_the_config(pipe, nuclei):
    shown = io.StringIO()
    # a bar that is redrawn at each step, and not as time passes
    pipe.set_progress_bar_config(file=shown, mininterval=0, miniters=1, desc="tiles")
    pipe(nuclei, seed=0, num_inference_steps=3, num_images_per_prompt=2)
    lines = shown.getvalue().replace("\n", "").split("\r")
    assert "tiles: 100%" in lines[-1] and "6/6" in lines[-1]
    silent = io.StringIO()
    pipe.set_progress_bar_config(file=silent, disable=True)
    pipe(nuclei, seed=0, num_inference_steps=3)
    assert silent.getvalue() == ""


def test_the_callback_of_diffusers_is_called_after_each_step_and_changes_nothing(
    pipe, bundle, nuclei
):
    seen = []

    def callback(own, index, timestep, values):
        seen.append((own is pipe, index, round(timestep), sorted(values), own.num_timesteps))
        previews.extend(values["step"].preview())
        return values

    previews = []
    found = pipe(nuclei, seed=3, num_inference_steps=3, callback_on_step_end=callback).tiles[0]
    timesteps = [timestep for _, _, timestep, _, _ in seen]
    assert [(own, index, names, steps) for own, index, _, names, steps in seen] == [
        (True, index, ["step"], 3) for index in range(3)
    ]
    assert timesteps[0] > 900 and timesteps == sorted(timesteps, reverse=True)
    assert [each.recipe["preview"]["step"] for each in previews] == [1, 2, 3]
    other = synthesize(nuclei, seed=3, steps=3, bundle=bundle)[0]
    np.testing.assert_array_equal(found.pixels, other.pixels)
    assert found.recipe == other.recipe


def test_an_interrupt_ends_the_call_with_what_is_complete(pipe, nuclei):
    calls = []

    def callback(own, index, timestep, values):
        calls.append(index)
        own._interrupt = len(calls) == 3

    # two sizes are two batches
    layouts = [nuclei, draw_layout((128, 136), mpp=0.5, seed=0)]
    with pytest.raises(Cancelled) as error:
        pipe(layouts, seed=0, num_inference_steps=2, callback_on_step_end=callback)
    assert len(error.value.finished) == 1 and calls == [0, 1, 0] and pipe.interrupt
    assert len(pipe(layouts, seed=0, num_inference_steps=2).images) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"callback_on_step_end_tensor_inputs": ["latents"]},
            "callback_on_step_end_tensor_inputs is latents, but must be left out: a callback "
            'receives {"step": step}, and step.preview() are the pictures.',
        ),
        (
            {"callback_on_step_end": SDCFGCutoffCallback()},
            "callback_on_step_end_tensor_inputs is prompt_embeds, but must be left out: a callback "
            'receives {"step": step}, and step.preview() are the pictures.',
        ),
        (
            {"callback_on_step_end": lambda *_: {"latents": None}},
            "what the callback returns is latents, but must be nothing, or what it received: seed "
            "and settings alone make a picture again.",
        ),
        ({"nuclei": "H&E, breast"}, f"nuclei is of type str, but must be {NUCLEI}."),
        ({"nuclei": [None]}, f"nuclei is of type NoneType, but must be {NUCLEI}."),
        (
            {"generator": [torch.Generator()]},
            "generator is of type list, but must be one torch.Generator: each picture has its own "
            "noise.",
        ),
    ],
)
def test_calls_that_would_not_do_what_they_seem_to_are_refused(pipe, nuclei, options, sentence):
    with pytest.raises(BadOption) as error:
        pipe(**{"nuclei": nuclei, **options})
    assert str(error.value) == f"{sentence} Give another value."


def test_images_of_pillow_are_completed_alone_and_in_lists(pipe, bundle, tile, nuclei, tmp_path):
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:80, 40:90] = True
    image, mask_image = Image.fromarray(tile), Image.fromarray(mask)
    expected = complete(tile, mask, seed=3, bundle=bundle).pixels
    alone = pipe(image=image, mask_image=mask_image, seed=3)
    several = pipe(nuclei=[None, None], image=[image] * 2, mask_image=[mask_image] * 2, seed=3)
    for found in (*alone.images, *several.images):
        np.testing.assert_array_equal(np.asarray(found), expected)
    assert len(several.tiles) == 2
    several.images[1].save(tmp_path / "a.png")
    assert is_synthetic(tmp_path / "a.png")
    with pytest.raises(BadOption, match="must be those of one tile for one image, or left out"):
        pipe([nuclei], image=image, mask_image=mask_image)


@pytest.mark.parametrize(
    "name", ["enable_model_cpu_offload", "enable_sequential_cpu_offload", "enable_group_offload"]
)
def test_bundles_are_not_offloaded_in_parts(pipe, name):
    with pytest.raises(InputError) as error:
        getattr(pipe, name)(device="cpu")
    assert str(error.value) == (
        "A bundle is not offloaded: its networks stay on one device. Move it whole by "
        'pipe.to("cuda") and pipe.to("cpu").'
    )


def test_it_shows_itself_in_a_line_for_each_component(pipe):
    assert repr(pipe.components["bundle"]) == f"BundleComponent({pipe.bundle.bundle!r})"
    assert len(repr(pipe)) < 300
    assert isinstance(pipe, DiffusionPipeline)
