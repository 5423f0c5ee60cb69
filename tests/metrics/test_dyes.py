"""The dyes of a tile: its averaged light, their directions, and weights of haematoxylin."""

import numpy as np
import pytest

from histosynth.metrics.dyes import (
    LIGHT_SMOOTH_UM,
    blurred_light,
    dyes_of,
    haematoxylin_weights,
    has_own_directions,
    unit_rows,
)
from histosynth.tissue.appearance import CANONICAL_DYES
from histosynth.tissue.density import from_density, optical_density


def stained(dyes, seed=0, side=96):
    """A tile of smooth amounts of two dyes: cells of either, and of both."""
    random = np.random.default_rng(seed)
    amounts = random.uniform(0.1, 1.0, (side // 12, side // 12, 2))
    amounts[::2, ::3, 0] = 0
    amounts[1::2, ::3, 1] = 0
    amounts = np.kron(amounts, np.ones((12, 12, 1)))
    return from_density((amounts @ dyes).astype(np.float32)).round().astype(np.uint8)


def unit(vectors):
    return vectors / np.sqrt((vectors**2).sum(axis=1))[:, None]


def close_dyes(degrees):
    """Two dyes that are so far apart, in the plane of the canonical ones."""
    first, second = unit(CANONICAL_DYES)
    across = second - (second @ first) * first
    across /= np.linalg.norm(across)
    middle = unit((first + second)[None])[0]
    side = across - (across @ middle) * middle
    side /= np.linalg.norm(side)
    half = np.radians(degrees) / 2
    return np.array(
        [np.cos(half) * middle - np.sin(half) * side, np.cos(half) * middle + np.sin(half) * side]
    )


@pytest.mark.parametrize("mpp", [0.5, 0.25])
def test_light_is_averaged_by_a_gaussian_of_fixed_width(mpp):
    side = 81
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[40, 40] = (200, 0, 100)
    light = blurred_light(pixels, mpp)
    assert light.dtype == np.float32
    assert light.sum(axis=(0, 1)) == pytest.approx([200, 0, 100], rel=1e-4)
    sigma = LIGHT_SMOOTH_UM / mpp
    reach = round(3 * sigma)
    offset = np.arange(-reach, reach + 1)
    kernel = np.exp(-(offset**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    expected = np.zeros((side, side))
    inside = slice(40 - reach, 40 + reach + 1)
    expected[inside, inside] = 200 * np.outer(kernel, kernel)
    np.testing.assert_allclose(light[..., 0], expected, atol=1e-5)
    np.testing.assert_allclose(light[..., 2], expected / 2, atol=1e-5)


def test_rows_of_unit_length():
    rows = unit_rows(np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.5]]))
    np.testing.assert_allclose(rows, [[0.6, 0.8, 0], [0, 0, 1]], rtol=1e-12)


def test_glass_has_no_dyes():
    glass = np.full((64, 64, 3), 245, np.uint8)
    assert dyes_of(blurred_light(glass, 0.5)) is None


def test_directions_of_two_dyes_are_found_and_those_of_one_are_canonical():
    own = np.array([[0.5, 0.8, 0.3], [0.15, 0.7, 0.5]])
    two = dyes_of(stained(own).astype(np.float32))
    assert two.shape == (2, 3)
    assert has_own_directions(two)
    np.testing.assert_allclose(unit(two), unit(own), atol=0.05)
    one = dyes_of(stained(own[:1].repeat(2, axis=0)).astype(np.float32))
    assert not has_own_directions(one)
    np.testing.assert_allclose(unit(one), unit(CANONICAL_DYES), atol=1e-9)
    assert not has_own_directions(CANONICAL_DYES * [[2.0], [0.5]])
    turned = CANONICAL_DYES.copy()
    turned[0, 0] += 1e-4
    assert has_own_directions(turned)


@pytest.mark.parametrize(("degrees", "own"), [(9, True), (3, False)])
def test_dyes_closer_than_five_degrees_are_not_distinguished(degrees, own):
    light = stained(close_dyes(degrees)).astype(np.float32)
    assert has_own_directions(dyes_of(light)) == own


def test_without_tissue_the_weights_are_those_of_the_canonical_dyes():
    weights = haematoxylin_weights(np.full((64, 64, 3), 245, np.uint8), 0.5)
    assert weights.shape == (3,)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(CANONICAL_DYES @ weights, [1, 0], atol=1e-6)


def test_a_full_dose_of_a_tiles_own_stain_weighs_one():
    stronger = CANONICAL_DYES * [0.8, 1.2, 1.1]
    weights = haematoxylin_weights(stained(stronger), 0.5)
    pale = haematoxylin_weights(stained(stronger / 2), 0.5)
    assert weights.dtype == np.float32
    # twice the weight for half the dye; doses are those of averaged light
    np.testing.assert_allclose(pale, 2 * weights, rtol=0.12)
    plain = haematoxylin_weights(stained(CANONICAL_DYES), 0.5)
    np.testing.assert_allclose(weights * [0.8, 1.2, 1.1], plain, rtol=0.12)
    density = optical_density(stained(CANONICAL_DYES)).reshape(-1, 3)
    amount = density @ plain
    assert np.percentile(amount, 99) == pytest.approx(1.0, abs=0.3)
    assert amount.min() == pytest.approx(0.0, abs=0.05)
