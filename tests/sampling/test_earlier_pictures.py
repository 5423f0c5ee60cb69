"""Finished pictures are not sampled again, changed ones are; recipes of killed runs are found."""

import json
import os

import numpy as np
import pytest
from locking import another_run
from PIL import Image, PngImagePlugin

from histosynth.annotation.nuclei_files import write_csv
from histosynth.core.errors import FolderInUse, NotWritable
from histosynth.core.images import write_mask
from histosynth.core.marking import RECIPE_KEY
from histosynth.core.own_files import OWN_RECORD
from histosynth.pipeline.complete_files import complete_files
from histosynth.pipeline.synthesize_files import synthesize_files
from histosynth.sampling.options import SamplingOptions
from histosynth.tissue.layout import draw_layout


@pytest.fixture
def place(tmp_path):
    for index in range(3):
        write_csv(
            tmp_path / "cells" / f"c{index}.csv", draw_layout((128, 128), mpp=0.5, seed=index)
        )
    return tmp_path


def synthesize(place, bundle_folder, nuclei="cells", **options):
    return synthesize_files(
        place / nuclei,
        place / "out",
        size=(128, 128),
        options=SamplingOptions(steps=1, **options),
        bundle=bundle_folder,
    )


def times(place):
    return {path.name: path.stat().st_mtime_ns for path in (place / "out").glob("*.png")}


def change_pixels(path):
    with Image.open(path) as image:
        recipe = image.text[RECIPE_KEY]
        pixels = np.asarray(image).copy()
    pixels[0, 0] ^= 1
    text = PngImagePlugin.PngInfo()
    text.add_itxt(RECIPE_KEY, recipe)
    Image.fromarray(pixels).save(path, pnginfo=text)


def add_line(path):
    path.write_text(path.read_text() + "\n")


def test_only_pictures_that_are_absent_are_sampled_again(place, bundle_folder):
    assert synthesize(place, bundle_folder).finished == []
    out = place / "out"
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    before = times(place)
    outcome = synthesize(place, bundle_folder)
    assert times(place) == before and len(outcome.finished) == len(outcome.written) == 3
    assert outcome.notes == [
        "3 of 3 pictures were there already, with the same recipe, and stay unchanged."
    ]
    (out / "c0_0.png").unlink()
    assert synthesize(place, bundle_folder).finished == [out / "c1_0.png", out / "c2_0.png"]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    assert synthesize(place, bundle_folder, seed=1).finished == []


@pytest.mark.parametrize("name, change", [("c1_0.png", change_pixels), ("recipe.json", add_line)])
def test_what_the_user_changed_is_neither_sampled_again_nor_replaced(
    place, bundle_folder, name, change
):
    synthesize(place, bundle_folder)
    path = place / "out" / name
    change(path)
    (place / "out" / "c0_0.png").unlink()
    before = {path.name: path.read_bytes() for path in (place / "out").iterdir()}
    for seed in (0, 1):
        with pytest.raises(NotWritable) as refusal:
            synthesize(place, bundle_folder, seed=seed)
        assert str(refusal.value) == (
            f"{path} cannot be written: histosynth did not write what is there, or it was changed "
            "since. Move it elsewhere, or choose another --out."
        )
    assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == before


def test_pictures_of_an_earlier_release_are_finished_or_made_anew(place, bundle_folder):
    synthesize(place, bundle_folder)
    out = place / "out"
    (out / OWN_RECORD).unlink()
    assert len(synthesize(place, bundle_folder).finished) == 3
    assert synthesize(place, bundle_folder, seed=1).finished == []
    (out / OWN_RECORD).unlink()
    change_pixels(out / "c1_0.png")
    with pytest.raises(NotWritable):
        synthesize(place, bundle_folder)


def test_recipes_of_killed_runs_are_found_in_their_pictures(place, bundle_folder, tile):
    synthesize(place, bundle_folder)
    listed = json.loads((place / "out" / "recipe.json").read_text())
    os.unlink(place / "out" / "recipe.json")
    Image.fromarray(tile).save(place / "out" / "mine_0.png")
    synthesize(place, bundle_folder, nuclei="cells/c0.csv")
    assert json.loads((place / "out" / "recipe.json").read_text()) == listed


def test_a_picture_that_another_run_writes_is_refused(place, bundle_folder):
    (place / "out").mkdir()
    with another_run(place / "out", ["c1_0.png"]):
        with pytest.raises(
            FolderInUse, match=r"c1_0\.png cannot be written: another run .* writes it"
        ):
            synthesize(place, bundle_folder)
        assert synthesize(place, bundle_folder, nuclei="cells/c0.csv").refused == {}


@pytest.mark.parametrize("name", ["t.png", "t.tif"])
def test_completed_pictures_are_not_completed_again(tmp_path, bundle_folder, tile, name):
    Image.fromarray(tile).save(tmp_path / "in.png")
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:90, 30:100] = True
    write_mask(tmp_path / "mask.png", mask)
    options = SamplingOptions(steps=1)
    for finished in ([], [tmp_path / name]):
        outcome = complete_files(
            tmp_path / "in.png",
            tmp_path / "mask.png",
            tmp_path / name,
            options=options,
            bundle=bundle_folder,
        )
        assert (outcome.finished, outcome.written) == (finished, [tmp_path / name])
    assert {path.name for path in tmp_path.iterdir()} == {
        "in.png",
        "mask.png",
        name,
        OWN_RECORD,
    }
