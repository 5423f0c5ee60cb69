"""Patches of grain: which is taken for a look, and in which pose."""

import numpy as np
import pytest
from grain_of_tests import white_patches

from histosynth.tissue.grain_patches import BEFORE_PX, UNIT, GrainPatches, looks_of


def patches_of(looks):
    random = np.random.default_rng(0)
    lost = random.integers(-100, 100, (len(looks), 12, 12, 3)).astype(np.int8)
    return GrainPatches(lost, np.asarray(looks, np.int8))


def random_looks(count, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (count, 6, 6))


def poses(patch):
    for turns in range(4):
        for each in (patch, patch.swapaxes(0, 1)):
            yield np.rot90(each, turns)


def test_a_look_finds_its_patch_in_each_of_eight_poses():
    looks = random_looks(50)
    patches = patches_of(looks)
    for index in (0, 17, 49):
        lost = patches.lost[index].astype(np.float32) * np.float32(UNIT)
        asked = np.stack(list(poses(looks[index]))).astype(np.float32)
        for found, expected in zip(patches.like(asked), poses(lost), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_nearest_is_taken_whatever_else_is_asked_for():
    patches = patches_of(random_looks(300))
    asked = random_looks(5000, seed=1).astype(np.float32) + 3
    together = patches.like(asked)
    alone = np.concatenate([patches.like(each[None]) for each in asked[:40]])
    np.testing.assert_array_equal(together[:40], alone)
    np.testing.assert_array_equal(together[-40:], patches.like(asked[-40:]))


def test_of_two_alike_the_first_is_taken():
    patches = patches_of(np.repeat(random_looks(1), 2, axis=0))
    asked = random_looks(1).astype(np.float32)
    expected = patches.lost[0].astype(np.float32) * np.float32(UNIT)
    np.testing.assert_array_equal(patches.like(asked)[0], expected)


def test_a_look_is_brightness_in_squares_of_two_pixels_less_most_of_its_mean():
    picture = np.random.default_rng(0).uniform(0, 255, (28, 36, 3)).astype(np.float32)
    looks = looks_of(picture)
    assert looks.shape == (3, 4, 6, 6)
    of_cell = picture[8:20, 16:28]  # the cell at (18, 10), and 2 px around it
    assert BEFORE_PX == 2
    brightness = np.rint(of_cell.reshape(6, 2, 6, 2, 3).mean(axis=(1, 3, 4)) / 2)
    expected = brightness - np.rint(0.9 * brightness.mean())
    np.testing.assert_array_equal(looks[1, 2], expected)


def test_looks_fit_eight_bits():
    extreme = np.zeros((12, 12, 3), np.float32)
    extreme[:2, :2] = 255
    assert looks_of(255 - extreme).min() >= -128 and looks_of(extreme).max() <= 127


@pytest.mark.parametrize(
    ("lost", "looks"),
    [
        (np.zeros((0, 12, 12, 3), np.int8), np.zeros((0, 6, 6), np.int8)),
        (np.zeros((2, 12, 12, 3), np.float32), np.zeros((2, 6, 6), np.int8)),
        (np.zeros((2, 12, 12, 3), np.int8), np.zeros((3, 6, 6), np.int8)),
        (np.zeros((2, 12, 12), np.int8), np.zeros((2, 6, 6), np.int8)),
        (np.zeros((16_385, 12, 12, 3), np.int8), np.zeros((16_385, 6, 6), np.int8)),
    ],
)
def test_other_arrays_are_refused(lost, looks):
    with pytest.raises(ValueError, match="patches of grain"):
        GrainPatches(lost, looks)


def test_what_they_hold_has_one_name():
    assert white_patches().sha256 == white_patches().sha256 != white_patches(seed=1).sha256
