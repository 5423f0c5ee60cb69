"""Tissue copied into a mask: it continues its surroundings and has the requested nuclei."""

import numpy as np
import pytest

from histosynth.core.nuclei import Nuclei
from histosynth.tissue.blend import paste
from histosynth.tissue.exemplar import copy_into

CLASSES = ("epithelial", "lymphocyte")


def mask_of(shape, least=40):
    mask = np.zeros(shape, bool)
    mask[least:-least, least:-least] = True
    return mask


def striped(angle, side=128, period=11):
    rows, columns = np.mgrid[:side, :side]
    along = columns * np.cos(angle) + rows * np.sin(angle)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * along / period)
    return (np.array([230, 160, 200]) - wave[..., None] * np.array([60, 90, 50])).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.1, 2.3])
def test_fibres_continue_through_the_mask_in_their_direction(angle):
    tile = striped(angle)
    mask = mask_of((128, 128))
    filled = copy_into(np.where(mask[..., None], 0, tile).astype(np.uint8), mask).pixels
    off = np.abs(filled.astype(float) - tile)[mask].mean()
    astray = np.abs(striped(angle + np.pi / 2).astype(float) - tile)[mask].mean()
    assert off < 0.5 * astray


@pytest.mark.parametrize("angle", [0.3, 0.5, 0.8])
def test_a_vessel_that_runs_into_a_mask_is_continued_to_the_other_side(angle):
    """Strong lines are filled first: filled from all sides alike, a tenth of it is missing in the
    middle."""
    rows, columns = np.mgrid[:160, :160]
    apart = np.abs((columns - 80) * np.cos(angle) + (rows - 70) * np.sin(angle))
    tile = np.full((160, 160, 3), (225, 180, 205), np.uint8)
    tile[apart < 5] = (120, 60, 140)
    mask = mask_of((160, 160), 45)
    dark = copy_into(tile, mask).pixels[..., 1] < 120
    assert dark[mask & (apart < 3)].mean() > 0.98 and dark[mask & (apart > 8)].mean() < 0.02


def test_all_that_is_filled_in_was_known(tile):
    mask = mask_of(tile.shape[:2], 44)
    filled = copy_into(tile, mask).pixels
    colours = {tuple(pixel) for pixel in tile[~mask]}
    assert (filled[~mask] == tile[~mask]).all()
    assert all(tuple(pixel) in colours for pixel in filled[mask])


@pytest.mark.parametrize("shape", [(136, 128), (135, 127)])
def test_values_inside_the_mask_are_not_used(tile, shape):
    random = np.random.default_rng(0)
    tile = tile[: shape[0], : shape[1]]
    mask = np.zeros(shape, bool)
    mask[50:, 60:] = True  # reaches the tile's border
    others = [
        np.where(mask[..., None], random.integers(0, 256, tile.shape), tile) for _ in range(2)
    ]
    first, second = (copy_into(other.astype(np.uint8), mask).pixels for other in others)
    assert (first == second).all()


def test_nuclei_are_copied_to_where_they_are_requested():
    random = np.random.default_rng(1)
    side = 192
    rows, columns = np.mgrid[:side, :side]
    tile = np.full((side, side, 3), (225, 180, 205), np.uint8)
    grid = range(16, side - 8, 22)
    requested = np.array([(x, y) for x in grid for y in grid]) + random.uniform(
        -5, 5, (len(grid) ** 2, 2)
    )
    mask = mask_of((side, side), 60)
    inside = mask[tuple(requested.round().astype(int).T[::-1])]
    for x, y in requested[~inside]:
        tile[np.hypot(columns - x, rows - y) < 5] = (90, 60, 140)
    told = Nuclei.of(
        requested,
        ["lymphocyte"] * len(requested),
        size=(side, side),
        mpp=0.5,
        classes=CLASSES,
    )
    near = np.min([np.hypot(columns - x, rows - y) for x, y in requested], axis=0)
    dark, undefined = (
        copy_into(tile, mask, nuclei).pixels[..., 1] < 120 for nuclei in (told, None)
    )
    assert dark[mask & (near < 3)].mean() > 0.5 > 2 * undefined[mask & (near < 3)].mean()
    assert dark[mask & (near > 9)].mean() < 0.1


def test_where_too_little_is_known_nothing_is_copied(tile):
    mask = np.ones(tile.shape[:2], bool)
    mask[:40, :40] = False
    assert copy_into(tile, mask) is None


def test_patches_that_fit_are_whole_and_others_are_marked_as_broken():
    mask = mask_of((128, 128))
    assert not copy_into(striped(0.0), mask).broken.any()
    random = np.random.default_rng(0)
    blocks = np.repeat(np.repeat(random.integers(0, 256, (32, 32, 3)), 4, axis=0), 4, axis=1)
    broken = copy_into(blocks.astype(np.uint8), mask).broken
    assert broken[mask].mean() > 0.3 and not broken[:30].any()


def test_another_seed_chooses_from_other_patches():
    random = np.random.default_rng(0)
    tile = random.integers(0, 256, (192, 192, 3)).astype(np.uint8)  # more patches than are used
    mask = mask_of((192, 192), 80)
    first, again, other = (copy_into(tile, mask, seed=seed).pixels for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_pasting_keeps_copied_tissue_by_its_share(tile):
    mask = mask_of(tile.shape[:2])
    painted = np.full(tile.shape, 200, np.float32)
    copied = np.full(tile.shape, 90, np.uint8)
    share = np.zeros(tile.shape[:2], np.float32)
    share[:, :64] = 1
    mixed = paste(tile, painted, mask, copied=(copied, share))
    plain = paste(tile, painted, mask)
    left = mask & (share == 1)
    right = mask & (share == 0)
    assert (mixed[left] == 90).all() and (mixed[right] == plain[right]).all()
    assert (mixed[~mask] == tile[~mask]).all()
