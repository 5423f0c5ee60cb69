"""Constants that docs/log.md argues for: each test fails when its constant is changed."""

import numpy as np
import pytest
from scipy import ndimage

from histosynth.core.nuclei import Nuclei
from histosynth.tissue import exemplar
from histosynth.tissue.appearance import (
    CANONICAL_DYES,
    StainFrame,
    canonical_scale,
    fit_stain_frame,
    is_tissue,
    macenko_dyes,
    measure_style,
)
from histosynth.tissue.density import from_density, optical_density
from histosynth.tissue.grain import match_grain
from histosynth.tissue.hue import measure_hue


def random_tissue(count, seed=0):
    """Pixels (N, 3) of both dyes in varying amounts, float32 in [0, 255]."""
    random = np.random.default_rng(seed)
    amounts = random.uniform(0.3, 0.8, (count, 2))
    return from_density((amounts @ CANONICAL_DYES).astype(np.float32))


def tinted(pixels, tint):
    return from_density(optical_density(pixels) + np.float32(tint))


def test_six_tenths_of_a_difference_in_hue_are_removed():
    """Where pixels are many: weight 0.6 n / (n + 200)."""
    tissue = random_tissue(200_000)
    tint = np.array([-0.06, 0.03, 0.03])
    moved = measure_hue(tissue).apply(tinted(tissue, tint))
    removed = (optical_density(tinted(tissue, tint)) - optical_density(moved)).mean(axis=0)
    np.testing.assert_allclose(removed / tint, 0.6, atol=0.01)


def test_at_200_pixels_a_density_has_half_of_its_weight():
    tissue = random_tissue(4_000)
    curve = measure_hue(tissue)
    tint = np.array([-0.06, 0.03, 0.03])
    spoiled = tinted(tissue, tint)
    moved = curve.apply(spoiled)
    removed = (optical_density(spoiled) - optical_density(moved)) @ (tint / (tint @ tint))
    density = optical_density(spoiled).mean(axis=1)
    knots = np.linspace(0, curve.top, len(curve.hue))
    expected = np.interp(density, knots, 0.6 * curve.pixels / (curve.pixels + 200))
    np.testing.assert_allclose(removed, expected, atol=0.02)


def noisy_tile(side=120):
    random = np.random.default_rng(0)
    known = 150 + 12 * random.standard_normal((side, side, 3)).astype(np.float32)
    painted = np.asarray(ndimage.gaussian_filter(known, (0.7, 0.7, 0)))
    mask = np.zeros((side, side), bool)
    mask[40:80, 40:80] = True
    distance = np.asarray(ndimage.distance_transform_edt(~mask))
    return known, painted, distance


@pytest.mark.parametrize(
    ("distance_px", "counts"),
    [(0.0, False), (3.0, False), (4.0, False), (4.1, True), (5.0, True)],
)
def test_known_pixels_within_4_px_of_a_mask_do_not_count(distance_px, counts):
    known, painted, _ = noisy_tile()
    distance = np.full(known.shape[:2], distance_px)
    out = match_grain(known, painted, distance)
    assert (out != painted).any() == counts


def test_six_tenths_of_missing_grain_come_back_and_a_band_at_most_doubles():
    known, _, distance = noisy_tile()
    fine = known - 150
    for factor, gain in ((0.8, 1.25), (0.2, 2.0), (1.5, 1.0)):
        painted = (150 + np.float32(factor) * fine).astype(np.float32)
        out = match_grain(known, painted, distance)
        raised = (out - 150).std() / (painted - 150).std()
        assert raised == pytest.approx(1 + 0.6 * (gain - 1), rel=0.03)


def test_grain_is_matched_from_2000_known_pixels_on():
    known, painted, _ = noisy_tile()
    flat = np.zeros(known.shape[0] * known.shape[1])
    for count, matched in ((1999, False), (2000, True)):
        distance = flat.copy()
        distance[:count] = 9
        out = match_grain(known, painted, distance.reshape(known.shape[:2]))
        assert (out != painted).any() == matched


def arc_tissue(count=20_000):
    """Densities whose angle between two dyes is uniform, and the two unit directions."""
    random = np.random.default_rng(0)
    ends = np.array([[0.62, 0.70, 0.36], [0.30, 0.80, 0.52]])
    ends /= np.linalg.norm(ends, axis=1, keepdims=True)
    angle = np.arccos(ends[0] @ ends[1])
    share = random.uniform(0, 1, count)
    directions = (
        np.sin((1 - share) * angle)[:, None] * ends[0] + np.sin(share * angle)[:, None] * ends[1]
    ) / np.sin(angle)
    density = directions * random.uniform(0.8, 1.6, count)[:, None]
    return from_density(density.astype(np.float32)), ends, angle


def test_dyes_are_the_1st_and_99th_percentile_of_angles():
    pixels, ends, angle = arc_tissue()
    dyes = macenko_dyes(pixels, min_angle_deg=1.0)
    directions = dyes / np.linalg.norm(dyes, axis=1, keepdims=True)
    for direction, end in zip(directions, ends, strict=True):
        off = np.arccos(np.clip(direction @ end, -1, 1)) / angle
        assert off == pytest.approx(0.01, abs=0.003)


def test_a_full_dose_is_the_99th_percentile_of_amounts():
    pixels, _, _ = arc_tissue()
    dyes = macenko_dyes(pixels, min_angle_deg=1.0)
    doses = np.linalg.norm(dyes, axis=1)
    amounts = optical_density(pixels) @ np.linalg.pinv(dyes / doses[:, None])
    np.testing.assert_allclose(doses, np.percentile(amounts, 99, axis=0), rtol=1e-3)


def test_two_dyes_that_are_too_close_become_the_canonical_ones():
    pixels, _, angle = arc_tissue()
    for min_angle_deg, own in ((0.9 * np.degrees(angle), True), (np.degrees(angle), False)):
        dyes = macenko_dyes(pixels, min_angle_deg=min_angle_deg)
        directions = dyes / np.linalg.norm(dyes, axis=1, keepdims=True)
        canonical = CANONICAL_DYES / np.linalg.norm(CANONICAL_DYES, axis=1, keepdims=True)
        assert np.allclose(directions, canonical, atol=1e-9) != own


def test_dyes_are_measured_from_500_pixels_of_tissue_on():
    tissue = random_tissue(500)
    glass = np.full((5000, 3), 250, np.float32)
    assert macenko_dyes(np.concatenate([tissue, glass])) is not None
    assert macenko_dyes(np.concatenate([tissue[:-1], glass])) is None


def test_tissue_is_denser_than_0_15_in_every_channel():
    dense = np.float32([0.16, 0.16, 0.16])
    assert is_tissue(dense)
    for channel in range(3):
        thin = dense.copy()
        thin[channel] = 0.15
        assert not is_tissue(thin)
    assert is_tissue(np.ones((4, 5, 3), np.float32)).shape == (4, 5)


def test_a_scale_minimises_the_squared_distance_of_the_dyes_and_is_limited():
    dyes = np.array([[0.8, 1.0, 0.5], [0.4, 0.9, 0.6]])
    scale = canonical_scale(dyes)

    def distance(scale):
        return ((scale * dyes - CANONICAL_DYES) ** 2).sum(axis=0)

    for step in (-0.01, 0.01):
        assert (distance(scale + step) > distance(scale)).all()
    assert (canonical_scale(dyes * 100) == 0.2).all()
    assert (canonical_scale(dyes / 100) == 5.0).all()


def test_the_frame_of_canonical_tissue_is_near_1(tile):
    frame = fit_stain_frame(tile)
    again = fit_stain_frame(frame.to_canonical(tile).round().clip(0, 255).astype(np.uint8))
    np.testing.assert_allclose(again.scale, 1, atol=0.12)


def test_a_style_holds_means_contrasts_levels_edges_and_the_share_of_tissue():
    left = np.exp(-np.float32(0.6)) * 256 - 1
    canonical = np.full((64, 64, 3), 255, np.float32)
    canonical[:, :32] = left
    style = measure_style(canonical)
    assert style.shape == (13,) and style.dtype == np.float32
    np.testing.assert_allclose(style[:3], 0.3, atol=1e-4)
    np.testing.assert_allclose(style[3:6], 0.3, atol=1e-4)
    np.testing.assert_allclose(style[6:9], [0, 0.3, 0.6], atol=0.31)
    assert style[6] == pytest.approx(0, abs=1e-4) and style[8] == pytest.approx(0.6, abs=1e-4)
    steps = 0.6 * 64 / (64 * 63 * 2)
    assert style[9] == pytest.approx(np.log(steps + 1e-3), abs=1e-3)
    assert style[12] == pytest.approx(0.5)


def test_edges_next_to_a_mask_are_not_counted():
    canonical = np.full((64, 64, 3), 200, np.float32)
    canonical[20:40, 20:40] = 90
    mask = np.zeros((64, 64), bool)
    mask[19:41, 19:41] = True
    style = measure_style(canonical, mask)
    np.testing.assert_allclose(style[9], np.log(1e-3), atol=1e-3)
    np.testing.assert_allclose(style[3:6], 0, atol=1e-3)


def test_the_canonical_frame_changes_nothing(tile):
    frame = StainFrame()
    assert frame.scale == (1.0, 1.0, 1.0)
    np.testing.assert_allclose(frame.to_canonical(tile), tile, atol=1e-3)


def test_about_9_px_around_a_centroid_count_in_full_in_copied_tissue():
    nuclei = Nuclei.of([[60.5, 60.5]], ["a"], size=(120, 120), mpp=0.5, classes=("a", "b"))
    values = exemplar._nuclei_values(nuclei)
    assert values.shape == (60, 60, 2) and (values[..., 1] == 0).all()
    row = values[30, 30:, 0]  # centres of cells, 2 px apart
    assert (row[:5] == np.float32(0.225)).all()
    assert (row[5:] < 0.225).all()
    assert row[5] == pytest.approx(0.225 * 4 * np.exp(-0.5 * (10 / 5.4) ** 2), rel=1e-3)


def test_tissue_is_copied_from_at_least_200_and_at_most_4000_patches():
    """A known strip of 9 + n - 1 cells by 9 cells holds n patches."""
    random = np.random.default_rng(0)
    for patches, is_copied in ((199, False), (200, True)):
        width = 2 * (patches + 8)
        pixels = random.integers(0, 256, (24, width, 3)).astype(np.uint8)
        mask = np.zeros((24, width), bool)
        mask[18:] = True
        assert (exemplar.copy_into(pixels, mask) is not None) == is_copied
    assert exemplar.MAX_SOURCES == 4000
