"""Adapters that learn sizes of nuclei keep how fibres run on their tiles."""

import numpy as np
from small import write_recipe

import histosynth as hs
from histosynth.core.orientation import FibreOrientation
from histosynth.pipeline.train import train
from histosynth.tissue.layout import draw_layout
from histosynth.training.tasks.diffusion import building

NUCLEI = draw_layout((128, 128), mpp=0.5, seed=0)
TARGETS = 'targets = ["conv1", "to_q"]'


def test_the_adapter_keeps_it_and_lays_nuclei_along_fibres(tmp_path, tissue, base):
    recipe = write_recipe(tmp_path, tissue, "global", start=base)
    recipe.write_text(recipe.read_text().replace(TARGETS, f"{TARGETS}\nshapes = true"))
    train(recipe, tmp_path / "run", device="cpu")
    bundle = hs.open_bundle(base, device="cpu", dtype="fp32")
    orientation = bundle.load_adapter(tmp_path / "run" / "weights").orientation
    assert len(orientation.strengths) == 1 + len(NUCLEI.classes)
    assert len(orientation.alignment) == len(NUCLEI.classes)
    assert bundle.follows_orientation("global") and not bundle.follows_orientation(None)
    axes = np.tile(np.float32([0.5, 0]), (16, 16, 1))
    along = FibreOrientation(axes, (128, 128))
    (made,) = hs.synthesize(NUCLEI, orientation=along, bundle=bundle)
    assert made.recipe["nuclei"]["drawn_shapes"] > 0
    assert made.recipe["orientation"]["followed"] is True


def test_without_sizes_it_keeps_none(tmp_path, tissue, base):
    recipe = write_recipe(tmp_path, tissue, "global", start=base)
    train(recipe, tmp_path / "run", device="cpu")
    bundle = hs.open_bundle(base, device="cpu", dtype="fp32")
    assert bundle.load_adapter(tmp_path / "run" / "weights").orientation is None
    assert not bundle.follows_orientation("global")


def test_fibres_of_many_tiles_are_measured_on_some(tmp_path, tissue, base, monkeypatch):
    measured = []
    find = building.find_orientation
    monkeypatch.setattr(building, "_MAX_FIBRE_TILES", 2)
    monkeypatch.setattr(
        building,
        "find_orientation",
        lambda pixels, **options: measured.append(1) or find(pixels, **options),
    )
    recipe = write_recipe(tmp_path, tissue, "global", start=base)
    recipe.write_text(recipe.read_text().replace(TARGETS, f"{TARGETS}\nshapes = true"))
    train(recipe, tmp_path / "run", device="cpu")
    assert 1 <= len(measured) <= 2
