"""Places without tissue in a real tile."""

import numpy as np
import pytest

import histosynth as hs
from histosynth.core.errors import NotRGB


def with_lumen(tile, radius_px, centre=(60, 60)):
    rows, columns = np.mgrid[: tile.shape[0], : tile.shape[1]]
    disc = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius_px**2
    random = np.random.default_rng(0)
    pink = np.array([225, 170, 205]) + random.normal(0, 6, (*tile.shape[:2], 1))
    return np.where(disc[..., None], 246, pink).clip(0, 255).astype(np.uint8), disc


def test_a_lumen_is_found_with_its_outline(tile):
    pixels, disc = with_lumen(tile, 25)
    found = hs.find_empty(pixels)
    dice = 2 * (found & disc).sum() / (found.sum() + disc.sum())
    assert dice > 0.95 and found.dtype == bool


def test_gaps_below_three_micrometres_do_not_count_at_any_scale(tile):
    for mpp in (0.25, 0.5, 1.0):
        small, _ = with_lumen(tile, 1.5 / mpp)
        large, _ = with_lumen(tile, 8 / mpp)
        assert not hs.find_empty(small, mpp=mpp).any()
        assert hs.find_empty(large, mpp=mpp).any()


def test_a_tile_states_its_own_scale(tile):
    pixels, _ = with_lumen(tile, 8)  # 4 um at 0.25 um/px, 8 um at 0.5
    box = hs.Box(0, 0, tile.shape[1], tile.shape[0])
    fine = hs.Tile(hs.TileRef("slide", "patient", box, mpp=0.25), pixels)
    np.testing.assert_array_equal(hs.find_empty(fine), hs.find_empty(pixels, mpp=0.25))
    assert not hs.find_empty(fine).any() and hs.find_empty(pixels).any()
    with pytest.raises(ValueError, match="mpp must lie in"):
        hs.find_empty(pixels, mpp=0)


def test_what_is_no_picture_is_refused():
    with pytest.raises(NotRGB):
        hs.find_empty(np.zeros((20, 20)))


def pale_fibres(tile, *, mean=232, depth=12):
    """Stroma of thin, pale fibres: as light as glass on the mean, and not even."""
    rows, columns = np.mgrid[: tile.shape[0], : tile.shape[1]]
    waves = np.sin(rows / 2 + 3 * np.sin(columns / 15))
    grey = mean + depth * waves
    return np.repeat(grey[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)


def test_pale_fibres_are_tissue_and_a_lumen_among_them_is_not(tile):
    stroma = pale_fibres(tile)
    density = -np.log(stroma / 255).mean()
    assert density < 0.12  # by this alone all of it would be empty
    assert not hs.find_empty(stroma).any()
    rows, columns = np.mgrid[: tile.shape[0], : tile.shape[1]]
    disc = (rows - 60) ** 2 + (columns - 60) ** 2 < 25**2
    found = hs.find_empty(np.where(disc[..., None], 246, stroma).astype(np.uint8))
    dice = 2 * (found & disc).sum() / (found.sum() + disc.sum())
    assert dice > 0.9


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_noise_of_a_scanner_is_no_fibre(tile, mpp):
    noise = np.random.default_rng(0).normal(0, 2.5, tile.shape)
    glass = (243 + noise).round().clip(0, 255).astype(np.uint8)
    assert hs.find_empty(glass, mpp=mpp).mean() > 0.97  # corners are cut
