"""Grain put back after decoding: patches that looked alike, as strong as the table says."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from grain_of_tests import table_of, white_grain, white_patches
from scipy import ndimage

from histosynth.core import recipe as recipes
from histosynth.tissue.film_grain import HALO_PX, add_grain
from histosynth.tissue.grain_fit import PUT_BACK, fit_grain
from histosynth.tissue.grain_patches import GrainPatches, looks_of
from histosynth.tissue.grain_table import Grain, GrainTable
from histosynth.tissue.tile_noise import has_jpeg_blocks, measure_noise

SIDE = 128
PATCHES = white_patches()
GREY = np.full((SIDE, SIDE, 3), 128, np.float32)
STRENGTH = np.array([6.0, 3.0, 9.0], np.float32)


def grain_of(canonical=GREY, patches=PATCHES, strength=STRENGTH, seed=3, **place):
    return add_grain(canonical, patches, strength, seed=seed, **place) - canonical


def test_channels_have_the_strength_that_is_asked_for():
    levels = np.linspace(40, 215, SIDE, dtype=np.float32)
    ramp = np.repeat(np.repeat(levels[None, :, None], SIDE, axis=0), 3, axis=2)
    grain = grain_of(ramp)
    assert grain.std(axis=(0, 1)) == pytest.approx(STRENGTH, rel=0.06)
    assert np.abs(grain.mean(axis=(0, 1))).max() < 0.5
    border = np.concatenate([grain[:2].reshape(-1, 3), grain[-2:].reshape(-1, 3)])
    assert border.std(axis=0) == pytest.approx(STRENGTH, rel=0.25)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (-50, 1000), (8, -8), (5, 3)])
def test_windows_of_a_picture_have_the_same_grain(x, y):
    random = np.random.default_rng(0)
    picture = random.uniform(20, 235, (SIDE, SIDE, 3)).astype(np.float32)
    whole = add_grain(picture, PATCHES, STRENGTH, seed=9, x=x, y=y)
    for left, top in ((20, 10), (24, 16), (3, 7)):
        part = picture[top : top + 80, left : left + 90]
        window = add_grain(part, PATCHES, STRENGTH, seed=9, x=x + left, y=y + top)
        inside = slice(HALO_PX, -HALO_PX)
        expected = whole[top : top + 80, left : left + 90]
        assert (window[inside, inside] == expected[inside, inside]).all()


def test_other_seeds_and_places_have_other_grain():
    grain = grain_of()
    assert (grain_of() == grain).all()
    for other in (grain_of(seed=4), grain_of(x=8), grain_of(y=-16)):
        assert np.corrcoef(grain.ravel(), other.ravel())[0, 1] < 0.5


def test_even_ground_is_not_one_patch_again_and_again():
    cells = grain_of()[8:-8, 8:-8, 0].reshape(14, 8, 14, 8).transpose(0, 2, 1, 3)
    cells = cells.reshape(196, -1)
    assert len(np.unique(cells.round(3), axis=0)) > 20


def test_a_place_gets_what_was_lost_where_it_looked_alike():
    """Steep places get strong grain if that is what was lost there."""
    random = np.random.default_rng(2)
    lost = np.zeros((2, 12, 12, 3), np.int8)
    lost[1] = random.integers(-60, 60, lost[1].shape)
    picture = GREY.copy()
    striped = slice(SIDE // 2, None)
    picture[:, striped] += 12 * (np.arange(SIDE // 2) % 8 - 4).astype(np.float32)[:, None]
    looks = np.full((2, 6, 6), looks_of(GREY)[0, 0, 0, 0], np.int8)
    looks[1] = looks_of(picture[6:18, SIDE - 18 : SIDE - 6])[0, 0]
    patches = GrainPatches(lost, looks)
    grain = grain_of(picture, patches)
    assert not grain[:, : SIDE // 2 - HALO_PX].any()
    assert grain[:, SIDE // 2 + HALO_PX :].std() > 1


def test_values_stay_in_range():
    dark = np.full((SIDE, SIDE, 3), 2, np.float32)
    grained = add_grain(dark, PATCHES, 10 * STRENGTH, seed=0)
    assert grained.min() == 0 and grained.max() <= 255 and grained.dtype == np.float32


def test_strength_follows_the_noise_of_the_reference():
    table = table_of(
        PATCHES,
        strength=((1.0, 2.0, 0.5),) * 3,
        noise=((3.0, 3.0, 4.0), (2.0, 2.0, 2.0)),
    )
    noise = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 4.0]], np.float32)
    assert table.strength_of(noise).tolist() == [4, 6, 9]
    assert table.strength_of(None).tolist() == [8, 8, 10]
    soft = replace(table, strength=((-30.0, 2.0, 0.5),) * 3)
    assert not soft.strength_of(noise).any()


def lossy_pairs(count=10, side=256):
    """Smooth pictures with grain of known strength, and the same without it."""
    random = np.random.default_rng(1)
    pairs = []
    for number in range(count):
        smooth = ndimage.gaussian_filter(random.standard_normal((side, side)), 6)
        decoded = 120 + 900 * smooth[..., None] + np.zeros(3)
        decoded = decoded.clip(30, 190).astype(np.float32)
        strength = np.float32(0.5 + 0.2 * number) * STRENGTH
        pairs.append((add_grain(decoded, PATCHES, strength, seed=number), decoded))
    return pairs


def test_what_was_lost_is_fitted_and_put_back_on_other_tiles():
    grain = fit_grain(lossy_pairs(), patches=1500)
    assert len(grain.patches) == 1500
    assert (fit_grain(lossy_pairs(), patches=1500).table) == grain.table
    real, decoded = lossy_pairs(14)[-1]
    noise = measure_noise(real, np.ones(real.shape[:2], bool))
    strength = grain.table.strength_of(noise)
    wanted = PUT_BACK * (real - decoded).std(axis=(0, 1))
    assert strength == pytest.approx(wanted, rel=0.06)
    drawn = add_grain(decoded, grain.patches, strength, seed=77) - decoded
    assert drawn.std(axis=(0, 1)) == pytest.approx(wanted, rel=0.12)


def test_small_tiles_without_inner_cells_give_no_patches():
    pairs = [*lossy_pairs(10), *lossy_pairs(1, side=112)]
    assert len(fit_grain(pairs, patches=10**6).patches) == 10 * 30 * 30 + 12 * 12


def test_a_table_is_plain_values_and_refuses_what_is_none():
    table = white_grain().table
    assert recipes.build(recipes.as_dict(table), GrainTable) == table
    for key, value in (
        ("strength", ((2.0, float("nan"), 0.0),) * 3),
        ("strength", ((2.0, 0.0),) * 3),
        ("noise", ((1e9, 1.0, 1.0), (1.0, 1.0, 1.0))),
        ("extremes", (1.0, 2.0)),
        ("noise", ((1.0,), (0.0, 1.0))),
        ("patches_sha256", "../other"),
    ):
        with pytest.raises(ValueError, match="grain table"):
            GrainTable(**{**asdict(table), key: value})


def test_patches_of_another_table_are_refused():
    grain = white_grain()
    with pytest.raises(ValueError, match="the patches of grain have sha256"):
        Grain(grain.table, white_patches(seed=1))


def test_too_little_tissue_is_refused():
    with pytest.raises(ValueError, match="grain needs 8 tiles of tissue, not 2"):
        fit_grain(lossy_pairs(2))


def test_noise_is_that_of_tissue_alone():
    random = np.random.default_rng(0)
    tile = np.full((96, 96, 3), 120, np.float32)
    tile[:, :48] += random.normal(0, 5, (96, 48, 3)).astype(np.float32)
    tissue = np.zeros((96, 96), bool)
    tissue[:, :48] = True
    assert measure_noise(tile, tissue)[0] == pytest.approx([5, 5, 5], rel=0.06)
    assert measure_noise(tile, ~tissue)[0] == pytest.approx([0, 0, 0], abs=0.05)
    tissue[:, 20:] = False
    assert measure_noise(tile, tissue) is None


@pytest.mark.parametrize(("quality", "has_blocks"), [(None, False), (60, True), (30, True)])
def test_blocks_of_jpeg_are_seen_wherever_their_grid_begins(quality, has_blocks, tmp_path):
    from PIL import Image

    pixels, _ = lossy_pairs(1)[0]
    picture = Image.fromarray(pixels.astype(np.uint8))
    if quality:
        picture.save(tmp_path / "a.jpg", quality=quality)
        picture = Image.open(tmp_path / "a.jpg")
    array = np.array(picture)
    assert has_jpeg_blocks(array) == has_blocks
    assert has_jpeg_blocks(array[3:, 5:]) == has_blocks
