"""Hue, grain and edges: generated tissue is matched to the tissue around it."""

import numpy as np
import pytest
from scipy import ndimage

from histosynth.tissue.appearance import measure_appearance
from histosynth.tissue.blend import ACROSS_SHARE, _blurred, _extended, paste
from histosynth.tissue.density import from_density, optical_density
from histosynth.tissue.grain import match_grain
from histosynth.tissue.hue import HUE_SHARE, MIN_HUE_PX, HueShift, measure_hue


def mean_hue(pixels):
    density = optical_density(pixels.reshape(-1, 3))
    return (density - density.mean(axis=1, keepdims=True)).mean(axis=0)


@pytest.fixture
def tinted(tile):
    """The tile with its dense parts turned towards red, at the same density."""
    density = optical_density(tile)
    return from_density(
        density + density.mean(axis=2, keepdims=True) * np.float32([-0.2, 0.1, 0.1])
    )


def test_density_is_undone():
    levels = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
    np.testing.assert_allclose(
        from_density(optical_density(levels)),
        levels,
        atol=1e-3,
    )


def test_a_tint_is_taken_back_by_its_share_and_density_stays(tile, tinted):
    curve = measure_hue(tile.reshape(-1, 3).astype(np.float32))
    mended = curve.apply(tinted)
    before, after = (np.abs(mean_hue(each) - mean_hue(tile)).max() for each in (tinted, mended))
    assert after < (1 - HUE_SHARE + 0.1) * before
    np.testing.assert_allclose(
        optical_density(mended).mean(),
        optical_density(tinted).mean(),
        rtol=0.01,
    )


def test_a_tile_with_its_own_hue_stays_as_it_is(tile):
    own = tile.astype(np.float32)
    np.testing.assert_allclose(
        measure_hue(own.reshape(-1, 3)).apply(own),
        own,
        atol=0.1,
    )


def test_one_shift_of_hue_is_the_same_for_a_whole_and_its_parts(tile, tinted):
    curve = measure_hue(tile.reshape(-1, 3).astype(np.float32))
    shift = curve.shift_of(tinted)
    whole = shift.apply(tinted)
    np.testing.assert_allclose(whole, curve.apply(tinted), atol=1e-3)
    np.testing.assert_array_equal(shift.apply(tinted[30:80, 5:60]), whole[30:80, 5:60])
    of_part = curve.apply(tinted[30:80, 5:60])
    assert np.abs(of_part - whole[30:80, 5:60]).max() > 0.5  # each part by itself would differ


def test_no_shift_of_hue_leaves_pixels_as_they_are(tile):
    own = tile.astype(np.float32)
    shift = HueShift(1.0, np.zeros((7, 3)))
    np.testing.assert_allclose(shift.apply(own), own, atol=0.1)
    assert repr(shift) == "HueShift(7 densities up to 1)"


def test_few_pixels_have_no_hue_curve(tile):
    pixels = tile.reshape(-1, 3).astype(np.float32)
    assert measure_hue(pixels[: MIN_HUE_PX - 1]) is None
    assert measure_hue(pixels[:MIN_HUE_PX]) is not None


def test_an_appearance_gives_hue_and_stain_back(tile, tinted):
    look = measure_appearance(tile)
    painted = look.frame.to_canonical(tinted)
    without = look.frame.from_canonical(painted)
    given = look.apply(painted)
    apart = [np.abs(mean_hue(each) - mean_hue(tile)).max() for each in (without, given)]
    assert apart[1] < 0.6 * apart[0]


def test_lost_grain_is_given_back_by_its_share_and_never_more(tile):
    known = tile.astype(np.float32)
    blurred = np.asarray(ndimage.gaussian_filter(known, (0.8, 0.8, 0)))
    outside = np.full(tile.shape[:2], 99.0)

    def grain(image):
        return float((image - ndimage.gaussian_filter(image, (1, 1, 0))).std())

    assert grain(blurred) < grain(match_grain(known, blurred, outside)) <= grain(known)
    np.testing.assert_array_equal(match_grain(known, known, outside), known)
    np.testing.assert_array_equal(match_grain(blurred, known, outside), known)  # never taken away
    np.testing.assert_array_equal(match_grain(known, blurred, np.zeros_like(outside)), blurred)


def test_a_step_of_the_painting_at_the_edge_is_lessened_by_its_share():
    known = np.full((160, 160, 3), 200, np.uint8)
    mask = np.zeros((160, 160), bool)
    mask[40:120, 40:120] = True
    painted = np.where(mask[..., None], 170.0, 200.0).astype(np.float32).repeat(3, axis=2)[..., :3]
    out = paste(known, painted, mask).astype(float)
    assert 200 - out[41:44, 60:100].mean() == pytest.approx(30 * (1 - ACROSS_SHARE), abs=3)
    assert abs(170 - out[75:85, 75:85].mean()) < 2
    assert (out[~mask] == 200).all()


def test_values_on_a_ring_reach_everywhere_and_stay_in_range():
    ring = np.zeros((101, 90), bool)
    ring[50, 20:70] = True
    values = np.where(ring[..., None], np.float32([10, -5, 0]), 99).astype(np.float32)
    spread = _extended(values, ring)
    np.testing.assert_allclose(
        spread[ring],
        np.broadcast_to([10, -5, 0], (50, 3)),
        atol=0.01,
    )
    np.testing.assert_allclose(spread[30, 45], [10, -5, 0], atol=0.01)


@pytest.mark.parametrize("side", [40, 129])
def test_tiny_and_odd_tiles_are_pasted_too(side):
    random = np.random.default_rng(0)
    known = random.integers(0, 256, (side, side, 3)).astype(np.uint8)
    mask = np.zeros((side, side), bool)
    mask[1:-1, 1:-1] = True
    out = paste(known, known.astype(np.float32), mask)
    assert (out[~mask] == known[~mask]).all()
    flat = np.full_like(known, 90)
    assert (paste(flat, flat.astype(np.float32), mask) == flat).all()


@pytest.mark.parametrize("shape", [(99, 130), (64, 47)])
def test_wide_blurs_on_a_coarse_grid_are_nearly_those_on_the_fine_one(shape):
    random = np.random.default_rng(1)
    weight = (random.random(shape) < 0.3).astype(np.float32)
    image = np.dstack([random.uniform(0, 255, shape).astype(np.float32) * weight, weight])
    fine = ndimage.gaussian_filter(image, (12, 12, 0), truncate=3)
    coarse = _blurred(image, 12.0)
    assert np.abs(coarse[..., 0] / coarse[..., 1] - fine[..., 0] / fine[..., 1]).max() < 4


@pytest.mark.parametrize("sigma", [5.0, 12.0, 30.0])
def test_blurs_keep_a_constant_picture_and_a_ramp(sigma):
    constant = np.full((100, 132, 2), 3, np.float32)
    np.testing.assert_allclose(_blurred(constant, sigma), 3, rtol=1e-4)
    ramp = np.zeros((200, 400, 1), np.float32)
    ramp[..., 0] = np.arange(400)
    middle = _blurred(ramp, sigma)[:, 150:250, 0]
    np.testing.assert_allclose(middle, ramp[:, 150:250, 0], atol=0.05)


def grey_tile(inner, outer, side=160):
    """Grey `inner` up to 6 px from a square mask, `outer` farther away."""
    mask = np.zeros((side, side), bool)
    mask[50:110, 50:110] = True
    distance = ndimage.distance_transform_edt(~mask)
    grey = np.where(distance <= 6, inner, outer)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8), mask


def test_an_offset_fades_as_a_cosine_over_24_px():
    known, mask = grey_tile(120, 120)
    painted = np.full(known.shape, 100, np.float32)
    out = paste(known, painted, mask).astype(float)
    middle_row = out[80, 50:80, 0]
    depth = np.arange(1, 31)
    fade = np.where(depth <= 24, 0.5 + 0.5 * np.cos(np.pi * depth / 24), 0)
    np.testing.assert_allclose(middle_row, 100 + 20 * fade, atol=0.6)


def test_only_known_tissue_within_6_px_of_the_edge_determines_the_offset():
    painted = np.full((160, 160, 3), 100, np.float32)
    near, mask = grey_tile(120, 100)
    far, _ = grey_tile(100, 120)
    distance = ndimage.distance_transform_edt(~mask)
    last = far.copy()
    last[(distance > 5) & (distance <= 6)] = 200
    edge = (80, 51)
    assert paste(near, painted, mask)[edge][0] > 117
    assert paste(far, painted, mask)[edge][0] == 100
    assert paste(last, painted, mask)[edge][0] > 102


def masks(shape):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    square = (abs(rows - shape[0] // 2) < 32) & (abs(columns - shape[1] // 2) < 32)
    return {"square": square, "stripes": (columns // 8 % 2 == 0) & (rows > 8)}


@pytest.mark.parametrize("name", ["square", "stripes"])
def test_values_inside_the_mask_change_nothing(tile, name):
    mask = masks(tile.shape)[name]
    painted = np.asarray(ndimage.gaussian_filter(tile.astype(np.float32), (0.6, 0.6, 0)))
    random = np.random.default_rng(2).integers(0, 256, tile.shape).astype(np.uint8)
    results = []
    for filler in (np.zeros_like(tile), np.full_like(tile, 255), random):
        known = np.where(mask[..., None], filler, tile)
        results.append(paste(known, painted, mask)[mask])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_tint_inside_only_is_not_put_back_at_the_edge(tile):
    mask = masks(tile.shape)["square"]
    density = optical_density(tile)
    tinted = from_density(density + mask[..., None] * np.float32([-0.06, 0.03, 0.03]))
    out, plain = (paste(tile, each, mask) for each in (tinted, tile.astype(np.float32)))
    off = optical_density(out)[..., 0] - optical_density(plain)[..., 0]
    depth = ndimage.distance_transform_edt(mask)
    near = mask & (depth <= 6)
    deep = depth > 24
    left = (off[near].mean(), off[deep].mean())
    assert abs(left[1]) < 0.6 * 0.06
    assert abs(left[0]) < abs(left[1])


def test_softer_generated_tissue_gets_grain_in_the_mask(tile):
    mask = masks(tile.shape)["square"]
    soft = np.asarray(ndimage.gaussian_filter(tile.astype(np.float32), (0.8, 0.8, 0)))

    def grain(image):
        fine = image - ndimage.gaussian_filter(image, (1, 1, 0))
        return float(fine[ndimage.binary_erosion(mask, iterations=8)].std())

    assert (
        1.1 * grain(soft)
        < grain(paste(tile, soft, mask).astype(np.float32))
        < grain(tile.astype(np.float32))
    )


def test_a_perfect_filling_is_hardly_changed(tile):
    mask = masks(tile.shape)["square"]
    out = paste(tile, tile.astype(np.float32), mask).astype(float)
    assert np.abs(out - tile).mean(axis=2)[mask].mean() < 8
