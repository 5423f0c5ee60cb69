"""Grain drawn after decoding: its statistics are those of the table, and of what was lost."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import ndimage

from histosynth.core import recipe as recipes
from histosynth.tissue.film_grain import HALO_PX, add_grain
from histosynth.tissue.grain_fit import fit_grain
from histosynth.tissue.grain_table import KERNEL_PX, GrainTable
from histosynth.tissue.tile_noise import has_jpeg_blocks, measure_noise

SIDE = 128
DELTA = tuple(
    tuple(float(row == column == KERNEL_PX // 2) for column in range(KERNEL_PX))
    for row in range(KERNEL_PX)
)
PLAIN = GrainTable(
    brightness=(0.0, 255.0),
    slope=(0.0, 20.0),
    by_brightness=((1.0, 1.0),) * 3,
    kernels=(DELTA,) * 3,
    mixing=((1.0, 0.0, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0)),
    patches=0.0,
    strength=(((1.0, 2.0, 0.5),) * 2,) * 3,
    noise=((3.0, 3.0, 4.0), (2.0, 2.0, 2.0)),
    extremes=(40.0, 30.0, 60.0, 245.0),
)
GREY = np.full((SIDE, SIDE, 3), 128, np.float32)
OF_CHANNELS = np.array([6.0, 3.0, 9.0], np.float32)
STRENGTH = np.repeat(OF_CHANNELS[:, None], 2, axis=1)


def grain_of(canonical=GREY, table=PLAIN, strength=STRENGTH, seed=3, **place):
    return add_grain(canonical, table, strength, seed=seed, **place) - canonical


def test_channels_have_the_strength_and_the_correlation_of_the_table():
    grain = grain_of()
    assert grain.std(axis=(0, 1)) == pytest.approx(OF_CHANNELS, rel=0.02)
    correlation = np.corrcoef(grain.reshape(-1, 3).T)
    assert correlation[0, 1] == pytest.approx(0.6, abs=0.02)
    assert abs(correlation[0, 2]) < 0.02
    assert np.abs(grain.mean(axis=(0, 1))).max() < 0.1


def test_brightness_and_slope_decide_how_strong_it_is():
    half = GREY.copy()
    half[:, : SIDE // 2] = 40
    table = replace(PLAIN, brightness=(40.0, 128.0), by_brightness=((0.5, 2.0),) * 3)
    grain = grain_of(half, table)[..., 0]
    assert grain[:, :50].std() == pytest.approx(0.5 * 6, rel=0.05)
    assert grain[:, 80:].std() == pytest.approx(2 * 6, rel=0.05)
    ramp = np.repeat(np.linspace(0, 255, SIDE, dtype=np.float32)[None, :, None], SIDE, axis=0)
    ramp = np.repeat(ramp, 3, axis=2)
    table = replace(PLAIN, slope=(0.0, 4.0))
    steep = STRENGTH * np.array([1.0, 3.0], np.float32)
    middle = (slice(None), slice(20, -20), 0)
    assert grain_of(ramp, table, steep)[middle].std() == pytest.approx(2.0 * 6, rel=0.05)


def test_windows_of_a_picture_have_the_same_grain():
    picture = np.random.default_rng(0).uniform(20, 235, (SIDE, SIDE, 3)).astype(np.float32)
    table = replace(PLAIN, patches=0.3, by_brightness=((0.5, 2.0),) * 3)
    whole = add_grain(picture, table, STRENGTH, seed=9, x=-50, y=1000)
    window = add_grain(picture[10:90, 20:120], table, STRENGTH, seed=9, x=-30, y=1010)
    inside = slice(HALO_PX, -HALO_PX)
    assert (window[inside, inside] == whole[10:90, 20:120][inside, inside]).all()
    assert (add_grain(picture, table, STRENGTH, seed=9) != whole).any()


def test_patches_differ_in_strength_and_not_in_power():
    even = grain_of()[..., 0]
    patchy = grain_of(table=replace(PLAIN, patches=0.4))[..., 0]
    assert patchy.std() == pytest.approx(even.std(), rel=0.08)
    assert (patchy**4).mean() / patchy.var() ** 2 > (even**4).mean() / even.var() ** 2 + 0.8


def test_values_stay_in_range():
    dark = np.full((SIDE, SIDE, 3), 2, np.float32)
    grained = add_grain(dark, PLAIN, 10 * STRENGTH, seed=0)
    assert grained.min() == 0 and grained.max() <= 255 and grained.dtype == np.float32


def test_strength_follows_the_noise_of_the_reference():
    noise = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 4.0]], np.float32)
    assert PLAIN.strength_of(noise).tolist() == [[4, 4], [6, 6], [9, 9]]
    assert PLAIN.strength_of(None).tolist() == [[8, 8], [8, 8], [10, 10]]
    soft = replace(PLAIN, strength=(((-30.0, 2.0, 0.5),) * 2,) * 3)
    assert not soft.strength_of(noise).any()


def lossy_pairs(count=10):
    """Smooth pictures with grain of known statistics, and the same without it."""
    random = np.random.default_rng(1)
    pairs = []
    for number in range(count):
        smooth = ndimage.gaussian_filter(random.standard_normal((256, 256)), 6)
        decoded = 120 + 900 * smooth[..., None] + np.zeros(3)
        decoded = decoded.clip(30, 190).astype(np.float32)
        table = replace(PLAIN, by_brightness=((0.5, 1.5),) * 3, brightness=(60.0, 180.0))
        strength = np.float32(0.5 + 0.2 * number) * STRENGTH
        pairs.append((add_grain(decoded, table, strength, seed=number), decoded))
    return pairs


def test_what_was_drawn_is_fitted_again():
    table = fit_grain(lossy_pairs())
    assert np.array(table.mixing) == pytest.approx(np.array(PLAIN.mixing), abs=0.03)
    assert np.array(table.kernels) == pytest.approx(np.array(PLAIN.kernels), abs=0.03)
    assert table.patches < 0.08
    at_dark, at_bright = np.interp([90, 150], table.brightness, table.by_brightness[0])
    assert at_bright / at_dark == pytest.approx(1.25 / 0.75, rel=0.06)
    real, decoded = lossy_pairs()[4]
    noise = measure_noise(real, np.ones(real.shape[:2], bool))
    drawn = add_grain(decoded, table, table.strength_of(noise), seed=77) - decoded
    assert drawn.std(axis=(0, 1)) == pytest.approx((real - decoded).std(axis=(0, 1)), rel=0.06)


def test_a_table_is_plain_values_and_refuses_what_is_none():
    assert recipes.build(recipes.as_dict(PLAIN), GrainTable) == PLAIN
    values = asdict(PLAIN)
    for key, value in (
        ("slope", (1.0, 1.0)),
        ("kernels", PLAIN.kernels[:2]),
        ("strength", (((2.0, float("nan"), 0.0),) * 2,) * 3),
        ("noise", ((1e9, 1.0, 1.0), (1.0, 1.0, 1.0))),
        ("patches", -0.1),
        ("brightness", (1.0,)),
        ("mixing", ((1.0,), (0.0, 1.0), (0.0, 0.0, 1.0))),
    ):
        with pytest.raises(ValueError, match="grain table"):
            GrainTable(**{**values, key: value})


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
