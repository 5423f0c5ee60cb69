"""Windows that are turned, enlarged and sheared parts of a source."""

import numpy as np
import pytest
from scipy import ndimage

from histosynth.metrics.copying.align import align, correlation

SIDE = 48


def source(seed=0, side=96):
    """Texture at several scales."""
    random = np.random.default_rng(seed)
    layers = [ndimage.gaussian_filter(random.normal(size=(side, side)), each) for each in (1.5, 4)]
    return sum(layer / layer.std() for layer in layers).astype(np.float32)


def window(picture, matrix, top=20, left=24):
    """Samples of the picture around the middle of a place, mapped."""
    middle = (SIDE - 1) / 2
    places = np.indices((SIDE, SIDE)).reshape(2, -1) - middle
    there = matrix @ places + np.array([[top + middle], [left + middle]])
    return ndimage.map_coordinates(picture, there, order=1).reshape(SIDE, SIDE).astype(np.float32)


def turn(degrees, zoom=1.0):
    radians = np.deg2rad(degrees)
    rotation = [[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]]
    return zoom * np.array(rotation)


@pytest.mark.parametrize(
    "matrix",
    [
        turn(0),
        turn(3),
        turn(-7),
        turn(11, 1.08),
        turn(4, 0.93),
        np.array([[1.0, 0.08], [-0.02, 1.05]]),
    ],
    ids=str,
)
def test_an_affine_copy_is_fitted(matrix):
    picture = source()
    wanted = window(picture, matrix)
    as_it_is = picture[20 : 20 + SIDE, 24 : 24 + SIDE]
    fitted = align(wanted, picture, 20, 24)
    assert fitted.dtype == np.float32
    assert fitted.shape == (SIDE, SIDE)
    assert correlation(fitted, wanted) > 0.97
    assert correlation(fitted, wanted) >= correlation(as_it_is, wanted)


def test_gain_offset_and_noise_do_not_matter():
    picture = source()
    random = np.random.default_rng(1)
    wanted = window(picture, turn(5, 1.04))
    worn = (3 * wanted + 7 + random.normal(size=wanted.shape)).astype(np.float32)
    fitted = align(worn, picture, 20, 24)
    assert correlation(fitted, wanted) > 0.97


@pytest.mark.parametrize(("top", "left"), [(0, 0), (48, 48), (0, 48)])
def test_a_place_at_the_edge_is_fitted_too(top, left):
    picture = source()
    wanted = window(picture, turn(2), top, left)
    assert correlation(align(wanted, picture, top, left), wanted) > 0.9


def test_other_tissue_stays_other():
    for seed in range(1, 6):
        other = source(seed)[:SIDE, :SIDE]
        assert correlation(align(other, source(), 20, 24), other) < 0.5


def test_what_cannot_be_fitted_stays_as_it_is():
    picture = source()
    flat = np.zeros((SIDE, SIDE), np.float32)
    assert np.array_equal(align(flat, picture, 20, 24), picture[20 : 20 + SIDE, 24 : 24 + SIDE])
    assert correlation(flat, picture[:SIDE, :SIDE]) == 0
    even = np.zeros((96, 96), np.float32)
    assert np.array_equal(align(picture[:SIDE, :SIDE], even, 20, 24), flat)
