"""Inputs and results of the sampling verbs as files."""

import json

import numpy as np
import pytest
from PIL import Image

import histosynth as hs
from histosynth.annotation.nuclei_files import write_csv
from histosynth.core.errors import BadOption
from histosynth.core.geometry import Size
from histosynth.core.images import write_mask
from histosynth.core.nuclei import Nuclei
from histosynth.core.synthetic import read_recipe
from histosynth.pipeline.complete_files import complete_files
from histosynth.pipeline.synthesize_files import synthesize_files
from histosynth.sampling.options import SamplingOptions
from histosynth.sampling.solvers import SOLVERS

OPTIONS = SamplingOptions(steps=1)


def test_what_is_left_out_of_a_file_of_nuclei_stands_in_the_picture_s_recipe(
    tmp_path, bundle_folder
):
    features = [
        {
            "geometry": {"type": "Point", "coordinates": [20, 30]},
            "properties": {"class": "stromal"},
        },
        {"geometry": None, "properties": {}},
    ]
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(features))
    outcome = synthesize_files(
        path,
        tmp_path / "out",
        size=Size(128, 128),
        options=OPTIONS,
        bundle=bundle_folder,
    )
    notes = [f"{path}: left out objects without a geometry (1)."]
    assert outcome.notes == notes and outcome.as_dict()["notes"] == notes
    assert outcome.written, outcome.refused
    assert read_recipe(tmp_path / "out" / "a_0.png")["notes"] == notes


@pytest.mark.parametrize(("width", "height"), [(136, 160), (160, 136)])
def test_a_tile_that_is_not_square_is_completed_with_nuclei_on_all_of_it(
    tmp_path,
    bundle_folder,
    width,
    height,
):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "t.png")
    mask = np.zeros((height, width), bool)
    mask[40:80, 40:80] = True
    write_mask(tmp_path / "mask.png", mask)
    corners = np.array([[width - 2, 3], [3, height - 2]], np.float32)
    nuclei = Nuclei.of(
        corners,
        ["stromal", "stromal"],
        size=(width, height),
        mpp=0.5,
        classes=hs.CLASSES,
    )
    write_csv(tmp_path / "nuclei.csv", nuclei)
    outcome = complete_files(
        tmp_path / "t.png",
        tmp_path / "mask.png",
        tmp_path / "out.png",
        nuclei=tmp_path / "nuclei.csv",
        options=OPTIONS,
        bundle=bundle_folder,
    )
    assert outcome.refused == {}
    recipe = read_recipe(tmp_path / "out.png")
    assert recipe["size"] == [width, height]
    assert recipe["nuclei"]["counts"]["stromal"] == 2


@pytest.mark.parametrize("size", [Size(136, 160), Size(160, 136)])
def test_a_synthetic_tile_that_is_not_square_takes_nuclei_on_all_of_it(
    tmp_path,
    bundle_folder,
    size,
):
    corners = np.array([[size.width - 2, 3], [3, size.height - 2]], np.float32)
    nuclei = Nuclei.of(
        corners,
        ["stromal", "stromal"],
        size=size,
        mpp=0.5,
        classes=hs.CLASSES,
    )
    write_csv(tmp_path / "a.csv", nuclei)
    outcome = synthesize_files(
        tmp_path / "a.csv",
        tmp_path / "out",
        size=size,
        options=OPTIONS,
        bundle=bundle_folder,
    )
    assert outcome.refused == {}
    with Image.open(tmp_path / "out" / "a_0.png") as image:
        assert image.size == tuple(size)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_can_be_chosen_and_is_in_the_recipe(tmp_path, bundle_folder, solver):
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)
    write_csv(tmp_path / "a.csv", nuclei)
    synthesize_files(
        tmp_path / "a.csv",
        tmp_path / "out",
        size=Size(128, 128),
        options=SamplingOptions(solver=solver, steps=3),
        bundle=bundle_folder,
    )
    written = hs.read_rgb(tmp_path / "out" / "a_0.png")
    assert read_recipe(tmp_path / "out" / "a_0.png")["settings"]["solver"] == solver
    bundle = hs.open_bundle(bundle_folder)
    read = hs.read_nuclei(tmp_path / "a.csv", size=(128, 128), mpp=0.5, classes=hs.CLASSES)
    (picture,) = hs.synthesize(read, solver=solver, steps=3, bundle=bundle)
    assert (picture.pixels == written).all()


def test_a_solver_of_ones_own_is_one_entry(bundle_folder, monkeypatch):
    bundle = hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")
    calls = []

    def one_step(denoise, noise, *, steps, shift, on_progress):
        calls.append((steps, shift))
        return denoise(noise, noise.new_ones(len(noise)))

    monkeypatch.setitem(SOLVERS, "one-step", one_step)
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)
    (picture,) = hs.synthesize(nuclei, solver="one-step", steps=3, bundle=bundle)
    assert calls == [(3, bundle.info.shift)]
    assert picture.recipe["settings"]["solver"] == "one-step"


def test_an_unknown_solver_is_refused_with_the_names_of_the_others(bundle_folder, tile):
    bundle = hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)
    with pytest.raises(BadOption, match="--solver is magic, but must be one of dpm, unipc"):
        hs.synthesize(nuclei, solver="magic", bundle=bundle)
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:60, 40:60] = True
    with pytest.raises(BadOption, match="--solver is magic"):
        hs.complete(tile, mask, solver="magic", bundle=bundle)
