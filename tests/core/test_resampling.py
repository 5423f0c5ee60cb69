"""Pictures at another scale."""

import numpy as np
import pytest

from histosynth.core.resampling import resample_rgb


def test_a_smaller_picture_is_the_mean_of_areas():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    means = pixels.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    assert np.abs(resample_rgb(pixels, 0.5) - means).max() <= 1, "each way is rounded"


def test_a_larger_picture_keeps_its_edges_sharp():
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = 200
    larger = resample_rgb(pixels, 2.0)
    assert larger.shape == (16, 16, 3)
    assert larger[:, :6].max() < 10 and larger[:, 9:].max() > 200, "Lanczos overshoots"


def test_a_picture_of_the_same_size_is_not_touched():
    pixels = np.zeros((10, 10, 3), np.uint8)
    assert resample_rgb(pixels, 1.04) is pixels


def test_no_side_vanishes():
    assert resample_rgb(np.zeros((1, 100, 3), np.uint8), 0.1).shape == (1, 10, 3)


@pytest.mark.parametrize(
    ("factor", "shape"),
    [
        (0.5, (4, 6, 3)),
        (0.3, (2, 4, 3)),
        (1.5, (12, 18, 3)),
        (1.3, (10, 16, 3)),
        (0.01, (1, 1, 3)),
    ],
)
def test_sides_are_rounded_and_pixels_stay_8_bit(factor, shape):
    pixels = np.full((8, 12, 3), 77, np.uint8)
    found = resample_rgb(pixels, factor)
    assert found.shape == shape
    assert found.dtype == np.uint8
    assert (found == 77).all()


@pytest.mark.parametrize("factor", [1.25, 1.5])
def test_slightly_larger_pictures_are_resampled_by_lanczos_too(factor):
    """The kernel of Lanczos has negative lobes: it overshoots at an edge, area averaging cannot."""
    pixels = np.full((16, 16, 3), 50, np.uint8)
    pixels[:, 8:] = 200
    larger = resample_rgb(pixels, factor)
    assert larger.max() > 200 and larger.min() < 50
    smaller = resample_rgb(pixels, 1 / factor)
    assert smaller.max() == 200 and smaller.min() == 50


def test_a_picture_may_be_a_view_of_another():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 3)).astype(np.uint8)
    view = pixels.transpose(1, 0, 2)[:, ::-1]
    assert (resample_rgb(view, 0.5) == resample_rgb(view.copy(), 0.5)).all()


def lanczos_row(row, count):
    """A row enlarged to `count` pixels by Lanczos' kernel of three lobes (Duchon 1979)."""
    scale = len(row) / count
    centres = (np.arange(count) + 0.5) * scale - 0.5
    distances = centres[:, None] - np.arange(len(row))
    weights = np.sinc(distances) * np.sinc(distances / 3) * (np.abs(distances) < 3)
    return (weights / weights.sum(axis=1, keepdims=True)) @ row


def test_a_larger_picture_is_that_of_lanczos_kernel():
    row = np.random.default_rng(0).integers(60, 200, 20).astype(np.uint8)
    pixels = np.broadcast_to(row[None, :, None], (20, 20, 3))
    larger = resample_rgb(pixels, 1.6)
    expected = lanczos_row(row.astype(float), 32)
    assert np.abs(larger - expected[None, :, None]).max() <= 1.0
