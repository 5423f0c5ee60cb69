"""Adapters that learn sizes and shapes of nuclei."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from json_contract import check_json
from safetensors.torch import save_file
from small import write_recipe
from typer.testing import CliRunner

import histosynth as hs
from histosynth.cli.main import app
from histosynth.core import recipe as recipes
from histosynth.core.errors import BadWeights
from histosynth.core.nucleus_shapes import known_shapes
from histosynth.model.adapters import ADAPTER_FILE, read_adapter
from histosynth.model.conditioning import ItemConditions
from histosynth.model.parts import load_part
from histosynth.model.structure import StructureEncoder
from histosynth.pipeline.train import train
from histosynth.testing import tiny_bundle
from histosynth.tissue.layout import draw_layout
from histosynth.training.recipes.diffusion import DiffusionPlan
from histosynth.training.tasks.diffusion.batches import CropBatches

NUCLEI = draw_layout((128, 128), mpp=0.5, seed=0)


def with_area(area_um2):
    shapes = np.tile(np.float32([area_um2, 1.5, 30]), (len(NUCLEI), 1))
    return replace(NUCLEI, shapes=shapes)


def shapes_recipe(folder, tissue, base, *, guided=""):
    recipe = write_recipe(folder, tissue, "global", start=base)
    told = f'targets = ["conv1", "to_q"]\nshapes = true\n{guided}'
    recipe.write_text(recipe.read_text().replace('targets = ["conv1", "to_q"]', told))
    return recipe


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, tissue, base):
    """A trained bundle with an adapter that sees shapes, and the adapter's folder."""
    folder = tmp_path_factory.mktemp("shapes")
    guided = "[adapter.guided]\nnuclei = 1.0\n"
    result = train(shapes_recipe(folder, tissue, base, guided=guided), folder / "run", device="cpu")
    assert result["steps"] == 4
    return folder / "run" / "weights"


def test_the_adapter_has_a_structure_encoder_that_sees_shapes(adapter, base):
    encoder = load_part(adapter / "structure", StructureEncoder)
    assert encoder.config.shapes
    old = load_part(base / "structure", StructureEncoder)
    width = old.enter[0].weight.shape[1]
    assert encoder.enter[0].weight[:, width:].abs().max() > 0  # it learnt something of them


def test_pictures_follow_shapes(adapter, base):
    bundle = hs.open_bundle(base, device="cpu", dtype="fp32")
    bundle.load_adapter(adapter)
    small, large, unknown = (
        hs.synthesize(each, bundle=bundle, steps=2, seed=1)[0].pixels
        for each in (with_area(20), with_area(90), NUCLEI)
    )
    assert (small != large).any() and (small != unknown).any()


def test_a_base_that_does_not_see_them_makes_the_same_picture(base):
    bundle = hs.open_bundle(base, device="cpu", dtype="fp32")
    with_shapes, without = (
        hs.synthesize(each, bundle=bundle, steps=2, seed=1)[0].pixels
        for each in (with_area(20), NUCLEI)
    )
    np.testing.assert_array_equal(with_shapes, without)


def test_shapes_are_dropped_by_their_share():
    batches = CropBatches.__new__(CropBatches)
    batches.plan = DiffusionPlan(drop_shapes=0.4)
    random = np.random.default_rng(0)
    told = [batches._without_some_shapes(with_area(30), random) for _ in range(400)]
    known = np.array([known_shapes(each.shapes).mean() for each in told])
    assert (known == 1).mean() == pytest.approx(0.6, abs=0.08)
    assert (known == 0).mean() == pytest.approx(0.2, abs=0.06)
    some = known[(known > 0) & (known < 1)]
    assert some.mean() == pytest.approx(0.7, abs=0.05)
    assert batches._without_some_shapes(NUCLEI, random) is NUCLEI


def test_the_adapter_keeps_typical_sizes_and_nuclei_without_one_get_theirs(adapter, base):
    bundle = hs.open_bundle(base, device="cpu", dtype="fp32")
    sizes = bundle.load_adapter(adapter).sizes
    assert len(sizes) == len(NUCLEI.classes)
    measured = [index for index, of_class in enumerate(sizes) if of_class.area_um2]
    assert measured
    drawn = int(np.isin(NUCLEI.class_ids, measured).sum())
    own = hs.synthesize(NUCLEI, bundle=bundle, steps=2, seed=1)[0]
    assert own.recipe["nuclei"]["drawn_shapes"] == drawn
    stated = hs.synthesize(with_area(30), bundle=bundle, steps=2, seed=1)[0]
    assert "drawn_shapes" not in stated.recipe["nuclei"]
    assert stated.recipe["nuclei"]["shapes"]["known"] == len(NUCLEI)
    again = hs.synthesize(NUCLEI, bundle=bundle, steps=2, seed=1)[0]
    np.testing.assert_array_equal(own.pixels, again.pixels)


def test_an_adapter_without_sizes_draws_none(base):
    bundle = hs.open_bundle(base, device="cpu", dtype="fp32")
    made = hs.synthesize(NUCLEI, bundle=bundle, steps=2, seed=1)[0]
    assert "drawn_shapes" not in made.recipe["nuclei"]


def test_sizes_of_other_classes_in_its_file_are_refused(adapter, base, tmp_path):
    info, tensors = read_adapter(adapter / ADAPTER_FILE)
    facts = recipes.as_dict(info) | {"sizes": recipes.as_dict(info)["sizes"][:1]}
    folder = tmp_path / "altered"
    shutil.copytree(adapter, folder)
    save_file(tensors, folder / ADAPTER_FILE, {"histosynth": json.dumps(facts)})
    with pytest.raises(BadWeights, match="sizes must be of each of the 3 classes, or none"):
        hs.open_bundle(base, device="cpu", dtype="fp32").load_adapter(folder)


def test_an_adapter_that_sees_no_shapes_draws_what_it_drew_without_them():
    states = []
    for nuclei in (with_area(30), NUCLEI):
        batches = CropBatches.__new__(CropBatches)
        batches.plan = DiffusionPlan(drop_nuclei=0.0, drop_style=1.0)
        batches.bundle = tiny_bundle()
        batches.style_std = torch.ones(2)
        random = np.random.default_rng(0)
        view = SimpleNamespace(styles=[torch.zeros(2)])
        batches._dropped(ItemConditions(nuclei, style=torch.zeros(2)), view, random)
        states.append(random.bit_generator.state)
    assert states[0] == states[1]


def test_inspect_shows_typical_sizes(adapter, base, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(base, folder)
    shutil.copytree(adapter, folder / "adapters" / "global")
    done = CliRunner().invoke(app, ["bundle", "inspect", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    (found,) = check_json(done.stdout)["adapters"]
    assert len(found["sizes"]) == 3 and max(len(each["area_um2"]) for each in found["sizes"]) == 15
