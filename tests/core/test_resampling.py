"""Pictures at another scale."""

import numpy as np

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
