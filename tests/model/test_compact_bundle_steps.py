"""How many steps the bundle in the package takes, and by which adapter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import histosynth as hs
from histosynth.core.errors import AdapterMismatch

NUCLEI = hs.draw_layout((128, 128), mpp=0.5, seed=0)


def facts(recipe: dict) -> tuple[object, ...]:
    settings = recipe["settings"]
    return recipe["bundle"]["adapter"], settings["steps"], settings["solver"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("global-few-steps", 2, "euler")),
        ({"steps": 2}, ("global-few-steps", 2, "euler")),
        ({"steps": 2, "solver": "euler", "guidance": 1.0}, ("global-few-steps", 2, "euler")),
        ({"steps": 2, "guidance": 1.5}, ("global", 2, "unipc")),
        ({"solver": "euler"}, ("global", 8, "euler")),
        ({"steps": 2, "solver": "unipc"}, ("global", 2, "unipc")),
        ({"steps": 3}, ("global", 3, "unipc")),
        ({"solver": "dpm"}, ("global", 8, "dpm")),
    ],
)
def test_whole_tiles_take_two_learnt_steps_unless_others_are_stated(options, expected):
    (picture,) = hs.synthesize(NUCLEI, **options)
    assert facts(picture.recipe) == expected


def test_a_picture_is_made_again_from_its_own_recipe():
    (picture,) = hs.synthesize(NUCLEI)
    stated = {key: picture.recipe["settings"][key] for key in ("steps", "solver", "guidance")}
    (again,) = hs.synthesize(NUCLEI, **stated)
    np.testing.assert_array_equal(picture.pixels, again.pixels)


def test_few_steps_of_another_teacher_are_refused():
    bundle = replace(hs.open_bundle(device="cpu"))
    bundle.adapter_sha256 = {**bundle.adapter_sha256, "global": "0" * 64}
    assert bundle.few_steps_of("global") is None
    with pytest.raises(AdapterMismatch, match="another adapter 'global'"):
        bundle.with_merged_adapter("global-few-steps")


def test_completions_take_six_steps():
    (tile,) = hs.synthesize(NUCLEI)
    mask = np.zeros((128, 128), bool)
    mask[40:80, 40:80] = True
    completed = hs.complete(tile, mask, nuclei=NUCLEI)
    assert facts(completed.recipe) == ("local", 6, "unipc")
    completed = hs.complete(tile, mask, nuclei=NUCLEI, exemplar=False)
    assert facts(completed.recipe) == ("local", 8, "unipc")


def test_two_learnt_steps_are_near_many():
    (few,) = hs.synthesize(NUCLEI, grain=False)
    (many,) = hs.synthesize(NUCLEI, grain=False, steps=16)
    (untaught,) = hs.synthesize(NUCLEI, grain=False, steps=2, solver="unipc")

    def apart(picture: hs.Synthetic) -> float:
        return float(np.abs(picture.pixels.astype(float) - many.pixels).mean())

    assert apart(few) < 0.7 * apart(untaught)
