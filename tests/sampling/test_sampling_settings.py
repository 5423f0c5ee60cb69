"""The bundle's default settings with the user's options in their place, and appearances."""

from dataclasses import replace

import numpy as np
import pytest

from histosynth.core.errors import BadOption, NotRGB
from histosynth.model.adapters import AdapterInfo, add_adapter
from histosynth.sampling.options import SamplingOptions
from histosynth.sampling.painter import SamplingSettings
from histosynth.sampling.settings import default_settings, resolve_appearance, settings_for
from histosynth.testing import tiny_bundle
from histosynth.tissue.appearance import measure_appearance

OWN = SamplingSettings(
    steps=3,
    guidance=1.75,
    solver="euler",
    shift=2.5,
    guidance_span=(0.25, 0.75),
    few_steps=True,
)


@pytest.fixture
def bundle():
    bundle = tiny_bundle()
    bundle.info = replace(
        bundle.info,
        steps=3,
        guidance=1.75,
        solver="euler",
        shift=2.5,
        guidance_span=(0.25, 0.75),
    )
    return bundle


def learn_guidance(bundle, name, guidance):
    add_adapter(bundle.unet, name, rank=2, alpha=2.0, targets=["conv1"])
    facts = (name, 2, 2.0, ("conv1",), bundle.base_sha256, bundle.info.classes, 0.5)
    bundle.adapters[name] = AdapterInfo(*facts, guidance=guidance)


@pytest.mark.parametrize("verb", ["synthesize", "complete"])
def test_without_options_the_settings_are_the_bundles(bundle, verb):
    assert default_settings(bundle, verb) == OWN
    assert settings_for(bundle, verb, SamplingOptions()) == OWN


@pytest.mark.parametrize(
    ("verb", "options", "steps"),
    [
        ("complete", {}, 2),
        ("complete", {"solver": "euler"}, 2),
        ("complete", {"solver": "heun"}, 3),
        ("complete", {"exemplar": False}, 3),
        ("complete", {"steps": 9}, 9),
        ("synthesize", {}, 3),
    ],
)
def test_a_completion_from_copied_tissue_takes_steps_of_its_own(bundle, verb, options, steps):
    bundle.info = replace(bundle.info, completion_steps=2)
    assert settings_for(bundle, verb, SamplingOptions(**options)).steps == steps


@pytest.mark.parametrize(
    ("name", "verb", "other"),
    [("global", "synthesize", "complete"), ("local", "complete", "synthesize")],
)
def test_an_adapter_without_need_of_guidance_counts_for_its_own_verb(bundle, name, verb, other):
    learn_guidance(bundle, name, (0.5, 1.0))
    assert default_settings(bundle, verb) == replace(OWN, guidance=1.0)
    assert default_settings(bundle, other) == OWN


def test_an_adapter_that_has_learnt_tissue_is_guided(bundle):
    learn_guidance(bundle, "global", None)
    assert default_settings(bundle, "synthesize") == OWN


@pytest.mark.parametrize(
    "changes",
    [
        {"guidance": 0},
        {"guidance": 20},
        {"steps": 1},
        {"steps": 200},
        {"solver": "heun"},
        {"exemplar": False},
        {"guidance": 2.0, "steps": 7, "solver": "dpm"},
    ],
)
def test_options_take_the_place_of_single_settings(bundle, changes):
    found = settings_for(bundle, "synthesize", SamplingOptions(**changes))
    left_to_the_bundle = not changes.keys() & {"steps", "guidance", "solver"}
    assert found == replace(OWN, **changes, few_steps=left_to_the_bundle)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"guidance": -0.01}, "--guidance is -0.01, but must be from 0 to 20."),
        ({"guidance": 20.01}, "--guidance is 20.01, but must be from 0 to 20."),
        ({"guidance": float("nan")}, "--guidance is nan, but must be from 0 to 20."),
        ({"steps": 0}, "--steps is 0, but must be from 1 to 200."),
        ({"steps": 201}, "--steps is 201, but must be from 1 to 200."),
        ({"solver": "DPM"}, "--solver is DPM, but must be one of dpm, unipc, euler, heun."),
        ({"solver": ""}, "--solver is , but must be one of dpm, unipc, euler, heun."),
    ],
)
def test_options_that_cannot_be_used_are_refused_with_the_limits(bundle, changes, sentence):
    with pytest.raises(BadOption) as error:
        settings_for(bundle, "complete", SamplingOptions(**changes))
    assert str(error.value) == f"{sentence} Give another value."


def test_an_appearance_is_measured_named_or_left_to_the_palette(bundle, tile):
    measured = measure_appearance(tile)
    assert resolve_appearance(measured, bundle) is measured
    found = resolve_appearance(tile, bundle)
    assert found.frame == measured.frame
    assert (found.style == measured.style).all()
    assert (found.hue.hue == measured.hue.hue).all()
    for name, green in ((None, 1.1), ("stain-1", 1.1), ("stain-3", 1.3)):
        assert resolve_appearance(name, bundle).frame.scale == (1.0, green, 1.0)


def test_an_appearance_that_cannot_be_used_is_refused(bundle):
    with pytest.raises(BadOption) as error:
        resolve_appearance("purple", bundle)
    assert str(error.value) == (
        "the appearance is purple, but must be a picture or one of stain-1, stain-2, stain-3, "
        "stain-4. Give another value."
    )
    with pytest.raises(NotRGB) as error:
        resolve_appearance(np.zeros((4, 4, 3), np.float32), bundle)
    assert error.value.name == "the appearance"
