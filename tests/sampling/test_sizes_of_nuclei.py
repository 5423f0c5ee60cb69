"""Sizes of nuclei in pictures: what the recipe states, and what users are told."""

from dataclasses import replace

import numpy as np
import pytest

import histosynth as hs
from histosynth.core.geometry import Box, Size
from histosynth.model.opening import open_bundle
from histosynth.model.structure import with_shapes
from histosynth.sampling.files import ConditionReader
from histosynth.sampling.options import SamplingOptions
from histosynth.testing import tiny_bundle

TEXT = "x,y,class,area_um2,elongation,angle\n20,30,epithelial,60,2,45\n90,70,stromal,,,\n"


@pytest.fixture(scope="module")
def followers(tmp_path_factory):
    """A bundle that follows sizes, and one that does not."""
    found = []
    for follows in (True, False):
        tiny = tiny_bundle()
        tiny.info = replace(tiny.info, steps=1)
        if follows:
            tiny.structure = with_shapes(tiny.structure)
        folder = tmp_path_factory.mktemp("bundle")
        tiny.save(folder)
        found.append(open_bundle(folder, device="cpu", dtype="fp32"))
    return found


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text(TEXT)
    return path


def shapes_in_recipe(bundle, nuclei):
    return hs.synthesize(nuclei, bundle=bundle)[0].recipe["nuclei"].get("shapes")


def test_the_recipe_states_sizes_and_whether_they_were_followed(followers, csv):
    follows, ignores = followers
    nuclei = hs.read_nuclei(csv, size=(128, 128), mpp=0.5, classes=follows.info.classes)
    facts = shapes_in_recipe(follows, nuclei)
    assert facts["known"] == 1 and facts["followed"] is True
    assert shapes_in_recipe(ignores, nuclei) == {**facts, "followed": False}
    swapped = nuclei.where(np.array([False, True])).concat(nuclei.where(np.array([True, False])))
    assert shapes_in_recipe(follows, swapped) == facts
    other = replace(nuclei, shapes=nuclei.shapes * np.float32(1.5))
    assert shapes_in_recipe(follows, other)["sha256"] != facts["sha256"]
    assert shapes_in_recipe(follows, replace(nuclei, shapes=None)) is None


def test_the_same_nuclei_of_other_sizes_have_the_same_noise(followers, csv):
    _, ignores = followers
    nuclei = hs.read_nuclei(csv, size=(128, 128), mpp=0.5, classes=ignores.info.classes)
    with_sizes, without = (
        hs.synthesize(each, bundle=ignores)[0].pixels
        for each in (nuclei, replace(nuclei, shapes=None))
    )
    np.testing.assert_array_equal(with_sizes, without)


def test_users_are_told_where_sizes_are_not_followed(followers, csv):
    _, ignores = followers
    notes = []
    for bundle in followers:
        reader = ConditionReader.of(bundle, SamplingOptions(seed=0))
        reader.whole(csv, Size(128, 128))
        notes.append(reader.all_notes())
    assert notes[0] == []
    name = ignores.info.name
    assert notes[1] == [
        f"{csv}: the sizes of 1 nucleus are not followed: {name} was trained on centroids and "
        "classes alone."
    ]
    reader = ConditionReader.of(ignores, SamplingOptions(seed=0))
    cut = reader.file_nuclei(csv).inside(Box(10, 10, 64, 64))
    assert cut.shapes[0].tolist() == [60, 2, 45]
    assert reader.all_notes() == notes[1]


def test_the_bundle_in_the_package_follows_sizes_and_draws_those_that_are_missing():
    bundle = open_bundle(device="cpu", dtype="fp32")
    assert bundle.follows_shapes("global") and not bundle.follows_shapes("local")
    areas = [of_class.area_um2[7] for of_class in bundle.adapters["global"].sizes]
    assert areas[0] > areas[2] > areas[1] > 15  # epithelial, stromal, lymphocyte
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)
    recipe = hs.synthesize(nuclei, bundle=bundle, steps=1)[0].recipe["nuclei"]
    assert recipe["drawn_shapes"] == len(nuclei)


def test_users_are_told_where_sizes_are_not_followed_beside_regions(csv):
    """The adapter in the package follows them there too, for it has learnt with masks."""
    bundle = open_bundle(device="cpu", dtype="fp32")
    reader = ConditionReader.of(bundle, SamplingOptions(seed=0))
    reader.file_nuclei(csv, has_regions=True)
    assert reader.all_notes() == []
    without_masks = replace(bundle.adapters["global"], mask_share=None)
    bundle.adapters["global"] = without_masks
    reader.file_nuclei(csv)
    assert reader.all_notes() == []
    reader.file_nuclei(csv, has_regions=True)
    assert reader.all_notes() == [
        f"{csv}: the sizes of 1 nucleus are not followed in tiles with regions: the adapter local "
        "of compact was trained on centroids and classes alone."
    ]
