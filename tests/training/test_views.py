"""Views: how a tile is turned, shifted and stained, from seeds and indices alone."""

import numpy as np
import pytest
import torch

from histosynth.core.geometry import Box, Size
from histosynth.core.nuclei import Nuclei
from histosynth.core.tile import Tile, TileRef
from histosynth.model.autoencoder import FACTOR
from histosynth.tissue.augment import pose
from histosynth.training.data.sources import Example
from histosynth.training.data.views import (
    STYLES_PER_VIEW,
    _canonical,
    _pose,
    _random_part,
    _read_view,
    tiles_sha256,
    view_sides,
)

SIZE = Size(96, 80)


def tile_pixels(seed=0):
    """Two dyes on white, so that a stain can be fitted."""
    random = np.random.default_rng(seed)
    dyes = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    amounts = random.uniform(0.05, 1.0, (SIZE.height, SIZE.width, 2))
    return (255 * np.exp(-amounts @ dyes)).round().astype(np.uint8)


def example(pixels, nuclei=None):
    ref = TileRef("slide", "patient", Box(0, 0, SIZE.width, SIZE.height), 0.5)
    return Example(Tile(ref, pixels), nuclei, "label")


def pose_of(view, *, tile=0, seed=1, whole=False, size=SIZE):
    return _pose(size, tile, view, seed=seed, whole=whole)


def test_the_first_view_is_the_tile_as_it_is_and_later_ones_turn_in_order():
    assert pose_of(0).is_original
    assert [pose_of(view).index for view in range(1, 10)] == [1, 2, 3, 4, 5, 6, 7, 0, 1]


def test_shifts_stay_below_one_latent_cell_and_reach_every_pixel_of_it():
    shifts = {(pose_of(view).dx, pose_of(view).dy) for view in range(1, 600)}
    assert {dx for dx, _ in shifts} == {dy for _, dy in shifts} == set(range(FACTOR))
    assert all(
        (pose_of(view, whole=True).dx, pose_of(view, whole=True).dy) == (0, 0) for view in range(9)
    )


def test_a_tile_of_one_cell_is_not_shifted():
    poses = [pose_of(view, size=Size(FACTOR, FACTOR)) for view in range(1, 50)]
    assert all((each.dx, each.dy) == (0, 0) for each in poses)


def test_each_seed_tile_and_view_has_randomness_of_its_own():
    seeds = {
        pose_of(view, tile=tile, seed=seed).seed
        for view in (1, 9)
        for tile in (0, 1)
        for seed in (1, 2)
    }
    assert len(seeds) == 8


@pytest.mark.parametrize("view", range(9))
def test_the_sides_of_views_are_known_before_they_are_made(view):
    canonical, styles = _canonical(tile_pixels(), pose_of(view), 0.1)
    assert min(canonical.shape[:2]) == view_sides(SIZE, 0, 9)[view]
    assert styles.shape[0] == STYLES_PER_VIEW == 5
    assert all(side % FACTOR == 0 for side in canonical.shape[:2])


def test_a_tile_below_one_cell_has_views_of_no_size():
    assert view_sides(Size(FACTOR - 1, 100), 0, 3) == [0, 0, 0]


def test_the_stain_of_the_original_is_fitted_on_all_of_it_and_of_others_on_a_part():
    pixels = tile_pixels()
    first, _ = _canonical(pixels, pose_of(0, seed=1), 0.0)
    again, _ = _canonical(pixels, pose_of(0, seed=2), 0.0)
    assert np.array_equal(first, again), "no part is drawn"
    turned = [_canonical(pixels, pose_of(1, seed=seed, whole=True), 0.0)[0] for seed in (1, 2)]
    assert not np.array_equal(*turned), "the part differs, and so does the fit"


@pytest.mark.parametrize("share", [0.4, 0.5])
def test_a_random_part_has_at_least_its_share_of_each_side(share):
    random = np.random.default_rng(0)
    pixels = np.zeros((100, 200, 3), np.uint8)
    sides = np.array([_random_part(random, pixels, share).shape[:2] for _ in range(500)])
    assert (sides.min(axis=0) >= np.array([100, 200]) * share).all()
    assert (sides.min(axis=0) <= np.array([100, 200]) * (share + 0.02)).all()
    assert (sides.max(axis=0) >= np.array([97, 194])).all()


@pytest.mark.parametrize("view", range(9))
def test_nuclei_of_a_view_are_where_their_pixels_are(view):
    pixels = np.zeros((SIZE.height, SIZE.width, 3), np.uint8)
    points = [(40, 30), (50, 31), (41, 60)]
    for number, (x, y) in enumerate(points, start=1):
        pixels[y, x] = number
    marked = Nuclei.of(points, ["k"] * 3, size=SIZE, mpp=0.5, classes=["k"])
    turn = pose_of(view)
    seen = pose(pixels, turn.index)[turn.dy :, turn.dx :]

    class File:
        def get_tensor(self, name):
            return torch.from_numpy(np.ascontiguousarray(seen))

    found = _read_view(File(), example(pixels, marked), "0", turn).nuclei
    values = [int(seen[round(float(y)), round(float(x)), 0]) for x, y in found.xy]
    assert sorted(values) == [1, 2, 3]


def test_a_cache_is_keyed_by_names_shapes_and_pixels_in_order():
    first = example(tile_pixels(0))
    second = example(tile_pixels(1))
    keys = {tiles_sha256([first]), tiles_sha256([first, second]), tiles_sha256([second, first])}
    assert len(keys) == 3
    assert tiles_sha256([example(tile_pixels(0))]) == tiles_sha256([first])
