"""Stain: the oracle's numbers, one matrix, and no dye where there is none."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from glass import tissue
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from histosynth.cli.main import app
from histosynth.core.errors import BadOption, StainNotFound
from histosynth.core.images import read_rgb
from histosynth.preparation.recipe import StainPlan
from histosynth.preparation.stain import (
    STAIN_METHODS,
    fit_macenko,
    fit_reinhard,
    fit_stain,
    fit_vahadane,
    medoid,
    restain_between,
    stain_from_dict,
)
from histosynth.preparation.stain.reinhard import tissue_weight

BONE = Path(__file__).resolve().parents[3] / "shared/data/osteosarcoma"
real = pytest.mark.skipif(not BONE.exists(), reason="needs the shared tissue beside the checkout")


@pytest.fixture(scope="module")
def two():
    return tissue(400, 400, seed=1)[0], tissue(400, 400, seed=2, dyes=(0.7, 1.4))[0]


def oracle(method):
    if method == "macenko":
        from torchstain.numpy.normalizers.macenko import NumpyMacenkoNormalizer

        return NumpyMacenkoNormalizer()
    from torchstain.numpy.normalizers.reinhard import NumpyReinhardNormalizer

    return NumpyReinhardNormalizer()


def torchstain_result(method, source, target):
    """Of whole pictures for dyes; Reinhard's statistics are of the pixels given, so of tissue."""
    normalizer = oracle(method)
    if method == "reinhard":
        wanted = source.copy()
        normalizer.fit(target[is_tissue(target)][None])
        wanted[is_tissue(source)] = normalizer.normalize(source[is_tissue(source)][None])[0]
        return wanted
    normalizer.fit(target)
    return normalizer.normalize(source)[0]


def is_tissue(pixels):
    return tissue_weight(pixels.reshape(-1, 3)).reshape(pixels.shape[:2]) >= 1


def differences(method, first, second, source):
    """Of grey levels, where the pixels of `source` are compared."""
    difference = np.abs(first.astype(int) - second)
    return difference[is_tissue(source)] if method == "reinhard" else difference


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_it_agrees_with_torchstain_within_one_grey_level(two, method):
    fit = STAIN_METHODS[method].fit
    restained = restain_between(fit(two[0]), fit(two[1]))(two[0])
    wanted = torchstain_result(method, *two)
    assert differences(method, restained, wanted, two[0]).max() <= 1


@real
@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_it_agrees_with_torchstain_on_real_tissue_and_a_sample_comes_within_two_levels(method):
    tiles = [read_rgb(path) for path in sorted(BONE.glob("*.jpg"))[:4]]
    fit = STAIN_METHODS[method].fit
    for source, target in pairwise(tiles):
        wanted = torchstain_result(method, source, target)
        restained = restain_between(fit(source), fit(target))(source)
        assert differences(method, restained, wanted, source).max() <= 1
        sampled = restain_between(fit(source[::4, ::4]), fit(target))(source)
        assert differences(method, sampled, wanted, source).mean() <= 2


def test_both_ways_of_finding_dyes_find_those_of_the_tissue(two):
    haematoxylin = np.array([0.95, 1.03, 0.42])
    eosin = np.array([0.20, 0.92, 0.46])
    for fit in (fit_macenko, fit_vahadane):
        dyes = np.array(fit(two[0]).dyes)
        for found, expected in zip(dyes, (haematoxylin, eosin), strict=True):
            assert np.degrees(np.arccos(found @ expected / np.linalg.norm(expected))) < 12, fit


@pytest.mark.parametrize("method", list(STAIN_METHODS))
def test_a_stain_given_its_own_stain_stays_and_given_another_s_becomes_it(two, method):
    source, target = (STAIN_METHODS[method].fit(pixels) for pixels in two)
    same = restain_between(source, source)(two[0]).astype(int)
    assert np.abs(same - two[0]).mean() < 4  # what the plane of two dyes cannot hold, and rounding
    moved = STAIN_METHODS[method].fit(restain_between(source, target)(two[0]))
    before = np.linalg.norm(source.features() - target.features())
    assert np.linalg.norm(moved.features() - target.features()) < 0.5 * before


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((64, 64, 3), 245, np.uint8), "0 of 4,096 pixels are stained"),
        (np.full((64, 64, 3), 120, np.uint8), "degrees apart|give light|dye"),
    ],
)
@pytest.mark.parametrize("method", ["macenko", "vahadane"])
def test_glass_and_grey_have_no_stain(pixels, reason, method):
    with pytest.raises(StainNotFound, match=reason):
        fit_stain(method, pixels, "x")


@pytest.mark.parametrize("method", ["macenko", "vahadane"])
def test_one_dye_alone_is_refused_and_not_blown_out(method):
    random = np.random.default_rng(0)
    amount = random.uniform(0.2, 1.5, (120, 120, 1))
    pixels = (245 * np.exp(-amount * np.array([0.2, 1.0, 0.25]))).round().astype(np.uint8)
    with pytest.raises(StainNotFound, match=r"degrees apart|weak|reaches|give light"):
        fit_stain(method, pixels, "eosin alone")


def test_a_flat_picture_has_no_spread_to_divide_by():
    with pytest.raises(StainNotFound, match=r"its . of Lab varies by 0\.00"):
        fit_reinhard(np.full((32, 32, 3), 120, np.uint8))


GLASS = [(255, 255, 255), (243, 243, 243), (236, 239, 237), (229, 231, 230), (245, 240, 225)]


@pytest.mark.parametrize("method", list(STAIN_METHODS))
def test_black_ground_next_to_tissue_changes_nothing_and_stays_black(two, method):
    """Scanners leave black where they did not scan; it is neither dye nor tissue."""
    source, target = two
    fit = STAIN_METHODS[method].fit
    alone = restain_between(fit(source), fit(target))(source)
    with_black = np.concatenate([source, np.zeros_like(source)])
    with_black[len(source) :: 2] = 9
    restained = restain_between(fit(with_black), fit(target))(with_black)
    np.testing.assert_array_equal(restained[: len(source)], alone)
    np.testing.assert_array_equal(restained[len(source) :], with_black[len(source) :])
    with pytest.raises(StainNotFound, match=r"all of its 1,024 pixels are black"):
        fit(np.zeros((32, 32, 3), np.uint8))


@pytest.mark.parametrize("glass", GLASS)
def test_glass_next_to_tissue_does_not_change_what_tissue_becomes(two, glass):
    """The same tissue alone, and with as much glass below it, comes out the same."""
    source, target = two
    alone = restain_between(fit_reinhard(source), fit_reinhard(target))(source)
    with_glass = np.concatenate([source, np.full_like(source, glass)])
    restained = restain_between(fit_reinhard(with_glass), fit_reinhard(target))(with_glass)
    np.testing.assert_array_equal(restained[: len(source)], alone)


@pytest.mark.parametrize("glass", GLASS)
def test_glass_stays_glass(two, glass):
    """Within three levels, with the noise of JPEG on it."""
    source, target = two
    stain = restain_between(fit_reinhard(source), fit_reinhard(target))
    noise = np.random.default_rng(0).normal(0, 1, (64, 64, 3))
    pixels = (np.array(glass) + noise).round().clip(0, 255).astype(np.uint8)
    assert np.abs(stain(pixels).astype(int) - pixels).max() <= 3


def test_a_picture_of_glass_has_no_lab_stain():
    with pytest.raises(StainNotFound) as caught:
        fit_reinhard(np.full((64, 64, 3), 245, np.uint8), "x.png")
    assert caught.value.reason == "only 0 of 4,096 pixels are tissue, 500 are needed"


def test_pale_tissue_is_moved_less_than_dense_tissue_without_a_step():
    levels = np.arange(256, dtype=np.uint8)
    pink = np.stack([np.minimum(levels, 235) + 20, levels, levels], axis=1)
    weight = tissue_weight(pink)
    assert (np.diff(weight) <= 0).all() and np.abs(np.diff(weight)).max() < 0.05
    assert weight[206] == 1 and weight[235] == 0 and weight[220] == pytest.approx(15 / 29)


def test_weak_stain_is_strengthened_no_more_than_dyes_differ(two):
    """A pale slide comes out like the target, not burnt: its darkest stays near the target's
    darkest."""
    pale = tissue(400, 400, seed=3, dyes=(0.35, 0.4))[0]
    out = restain_between(fit_macenko(pale), fit_macenko(two[0]))(pale)
    assert (out < 5).any(axis=2).mean() < 0.01
    assert abs(np.percentile(out, 1) - np.percentile(two[0], 1)) < 25


def test_the_medoid_is_one_of_the_set_and_the_most_usual():
    usual = [fit_macenko(tissue(200, 200, seed=seed)[0]) for seed in range(3)]
    odd = fit_macenko(tissue(200, 200, seed=9, dyes=(0.4, 2.0))[0])
    assert medoid([odd, *usual]) in usual
    assert medoid([odd]) is odd


@given(st.sampled_from(sorted(STAIN_METHODS)))
def test_a_stain_survives_being_written(method):
    stain = STAIN_METHODS[method].fit(tissue(120, 120)[0])
    assert np.allclose(stain_from_dict(stain.as_dict()).features(), stain.features())


def test_an_unknown_method_is_refused():
    with pytest.raises(BadOption, match="macenko"):
        fit_stain("magic", np.zeros((4, 4, 3), np.uint8), "x")


@pytest.mark.parametrize("method", list(STAIN_METHODS))
def test_a_method_is_one_object_under_its_own_name(two, method):
    known = STAIN_METHODS[method]
    stain = known.fit(two[0])
    assert known.name == method == stain.method == stain.as_dict()["method"]
    assert known.from_dict(stain.as_dict()) == stain == stain_from_dict(stain.as_dict())


def test_stains_of_different_numbers_cannot_be_exchanged(two):
    with pytest.raises(ValueError, match="macenko and reinhard cannot be compared"):
        restain_between(fit_macenko(two[0]), fit_reinhard(two[1]))


def test_recipes_take_every_method_and_help_names_existing_ones():
    for method in ("none", *STAIN_METHODS):
        assert StainPlan(method=method).method == method
    with pytest.raises(ValueError, match="'none', 'macenko', 'vahadane', 'reinhard'"):
        StainPlan(method="magic")
    help_text = CliRunner().invoke(app, ["prepare", "stain", "--help"]).stdout
    (named,) = re.findall(r"e\.g\. ([\w, ]+) \(an", help_text)
    assert set(named.split(", ")) <= set(STAIN_METHODS)
