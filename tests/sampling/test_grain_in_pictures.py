"""Grain in pictures: drawn where a bundle knows it, left out on request, in holes inside only."""

from dataclasses import replace

import numpy as np
import pytest
from grain_of_tests import TYPICAL_NOISE, white_grain

from histosynth import HistosynthPipeline, complete, draw_layout, synthesize
from histosynth.diffusers import BundleComponent
from histosynth.model.opening import open_bundle
from histosynth.sampling.finishing import Finish
from histosynth.sampling.settings import resolve_appearance
from histosynth.testing import tiny_bundle

NUCLEI = draw_layout((128, 128), mpp=0.5, seed=0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grained")
    tiny = tiny_bundle()
    tiny.info = replace(tiny.info, steps=2)
    tiny.grain = white_grain()
    tiny.save(folder)
    return open_bundle(folder, dtype="fp32", device="cpu")


def both(verb, *arguments, **options):
    """A picture with grain, and the same without."""
    found = []
    for grain in (True, False):
        made = verb(*arguments, grain=grain, seed=1, **options)
        found.append(made[0] if isinstance(made, list) else made)
    return found


def test_grain_is_drawn_as_strong_as_in_typical_tissue_and_left_out_on_request(bundle):
    grained, plain = both(synthesize, NUCLEI, bundle=bundle)
    difference = grained.pixels.astype(float) - plain.pixels
    middle = (plain.pixels > 40) & (plain.pixels < 215)
    assert 0.7 < difference[middle].std() / TYPICAL_NOISE < 1.5
    assert grained.recipe["settings"]["grain"] is True
    assert plain.recipe["settings"]["grain"] is False
    again, _ = both(synthesize, NUCLEI, bundle=bundle)
    np.testing.assert_array_equal(again.pixels, grained.pixels)


def test_a_bundle_without_a_table_has_none(bundle_folder):
    grained, plain = both(synthesize, NUCLEI, bundle=bundle_folder, steps=1)
    np.testing.assert_array_equal(grained.pixels, plain.pixels)
    assert grained.recipe["settings"]["grain"] is False


def test_holes_get_it_inside_only(bundle, tile):
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:90, 30:100] = True
    grained, plain = both(complete, tile, mask, bundle=bundle, exemplar=False)
    for picture in (grained, plain):
        np.testing.assert_array_equal(picture.pixels[~mask], tile[~mask])
    inner = np.zeros_like(mask)
    inner[66, 50:80] = True
    assert (grained.pixels[inner] != plain.pixels[inner]).mean() > 0.5


def test_the_pipeline_of_diffusers_has_it_too(bundle):
    pipe = HistosynthPipeline(BundleComponent(bundle))
    pipe.set_progress_bar_config(disable=True)
    grained, plain = both(synthesize, NUCLEI, bundle=bundle)
    for grain, expected in ((True, grained), (False, plain)):
        found = pipe(NUCLEI, seed=1, grain=grain).tiles[0]
        np.testing.assert_array_equal(found.pixels, expected.pixels)


def test_glass_that_was_asked_for_is_smooth_and_white_and_tissue_in_it_stays(bundle):
    random = np.random.default_rng(0)
    pixels = np.full((64, 64, 3), 244, np.float32)
    pixels[:, 32:] = 150
    grained = pixels + random.normal(0, 4, pixels.shape).astype(np.float32)
    empty = np.zeros((64, 64), bool)
    empty[:32] = True
    finish = Finish(resolve_appearance(None, bundle), 0, None)
    found = finish._with_glass(grained, pixels, empty)
    strength = (grained - pixels).std()
    inner = found[4:28, 4:28]
    white = finish.appearance.frame.to_canonical(finish.appearance.glass())
    assert inner.std(axis=(0, 1)).max() < 0.3 * strength
    before = np.abs(pixels[0, 0] - white).mean()
    assert np.abs(inner.mean(axis=(0, 1)) - white).mean() < 0.7 * before
    np.testing.assert_array_equal(found[32:], grained[32:])
    np.testing.assert_allclose(found[:32, 36:], grained[:32, 36:], atol=1e-4)
    assert finish._with_glass(grained, pixels, None) is grained
