"""Gates: each refuses its own fault and lets good tissue pass."""

from pathlib import Path

import numpy as np
import pytest
from glass import tissue
from scipy import ndimage

from histosynth.core.errors import BadRecipe
from histosynth.core.images import read_rgb
from histosynth.core.recipe import build
from histosynth.core.tileset import GATE_NAMES
from histosynth.preparation.quality import (
    QUALITY_GATES,
    TILE_SET_GATES,
    check_tile,
    complete_limits,
    default_limits,
    pass_all_limits,
)
from histosynth.preparation.quality.gate import share_gate
from histosynth.preparation.recipe import PrepareRecipe
from histosynth.tissue.density import from_density, optical_density

BRCA = Path(__file__).resolve().parents[3] / "shared/data/brca-m2c"
LIMITS = default_limits()


def failed(pixels, mpp=0.5):
    return {name for name, verdict in check_tile(pixels, mpp, LIMITS).items() if not verdict.ok}


@pytest.fixture(scope="module")
def good():
    return tissue(512, 512)[0]


def test_good_tissue_passes_at_any_scale(good):
    assert failed(good) == set()
    assert failed(np.repeat(np.repeat(good, 2, 0), 2, 1), 0.25) == set()


def test_blur_is_refused(good):
    soft = ndimage.gaussian_filter(good.astype(float), (4, 4, 0)).round().astype(np.uint8)
    assert failed(soft) == {"blur"}


@pytest.mark.parametrize("ink", [(30, 90, 60), (20, 40, 160), (25, 25, 25)])
def test_pen_is_refused_green_blue_or_black(good, ink):
    drawn = good.copy()
    drawn[:, 100:180] = ink
    assert "pen" in failed(drawn)


def test_a_fold_is_refused(good):
    density = optical_density(good)
    twice = density + np.roll(density, (31, 17), (0, 1))
    density[:, 200:300] = twice[:, 200:300]
    assert "fold" in failed(from_density(density).round().astype(np.uint8))


def test_grey_is_refused(good):
    drawn = good.copy()
    drawn[100:300, 100:300] = 150
    assert "air" in failed(drawn)


def test_burnt_and_black_pixels_are_refused(good):
    burnt = good.copy()
    burnt[np.random.default_rng(0).random(good.shape[:2]) < 0.1] = 255
    assert "saturation" in failed(burnt)
    black = good.copy()
    black[::3, ::3] = 0
    assert "saturation" in failed(black)


def test_reasons_name_the_value_and_the_limit(good):
    drawn = good.copy()
    drawn[:, :100] = (30, 90, 60)
    verdict = check_tile(drawn, 0.5, LIMITS)["pen"]
    assert verdict.reason == f"ink covers {verdict.value:.1%}, more than 3.0%"


def test_limits_must_be_shares():
    with pytest.raises(ValueError, match=r"quality\.pen must be a share"):
        complete_limits({"pen": 3})


def test_a_limit_that_is_not_named_keeps_its_default_and_an_unknown_gate_is_refused():
    assert complete_limits({"pen": 0.5}) == default_limits() | {"pen": 0.5}
    with pytest.raises(ValueError, match=r"unknown key quality\.sharp \(known: blur, pen, fold"):
        complete_limits({"sharp": 0.5})
    recipe = {"slides": ["a"], "quality": {"sharp": 0.5}, "tiles": {"size": 3}}
    with pytest.raises(BadRecipe, match=r"(?s)size must lie.*unknown key quality\.sharp"):
        build(recipe, PrepareRecipe)


def test_gates_that_are_off_measure_nothing_and_let_all_pass(good):
    assert check_tile(np.zeros_like(good), 0.5, pass_all_limits()) == {}
    one = check_tile(good, 0.5, pass_all_limits() | {"pen": 0.5})
    assert list(one) == ["pen"]


def test_the_columns_of_a_tile_set_follow_the_gates_and_are_those_of_earlier_sets():
    assert TILE_SET_GATES == GATE_NAMES
    assert list(QUALITY_GATES) == ["blur", "pen", "fold", "air", "saturation"]
    assert default_limits() == {
        "blur": 0.17,
        "pen": 0.03,
        "fold": 0.15,
        "air": 0.1,
        "saturation": 0.05,
    }


def test_a_new_gate_is_one_object_in_the_dict(good, monkeypatch):
    dark = share_gate("dark", lambda pixels, mpp: float((pixels < 128).mean()), 0.5, "dark covers")
    monkeypatch.setitem(QUALITY_GATES, "dark", dark)
    recipe = build({"slides": ["a"], "quality": {"dark": 0.01}}, PrepareRecipe)
    assert recipe.quality == default_limits() | {"dark": 0.01}
    verdict = check_tile(good, 0.5, recipe.quality)["dark"]
    assert not verdict.ok and verdict.reason.startswith("dark covers ")
    assert "dark" not in check_tile(good, 0.5, pass_all_limits())


@pytest.mark.skipif(not BRCA.exists(), reason="needs the shared tissue beside the checkout")
def test_real_tiles_pass_and_the_same_out_of_focus_do_not():
    names = (BRCA / "train.txt").read_text().split()[::8]
    tiles = [read_rgb(BRCA / "images" / name) for name in names]
    passed = [not failed(tile) for tile in tiles]
    assert np.mean(passed) >= 0.9
    soft = [
        ndimage.gaussian_filter(tile.astype(float), (4, 4, 0)).round().astype(np.uint8)
        for tile in tiles
    ]
    assert all("blur" in failed(tile) for tile in soft)
