"""Picture quality and stain, each number by a plain procedure, and sections as users read them."""

import math

import numpy as np
import pytest
from scipy import ndimage, signal

from histosynth.metrics import METRICS
from histosynth.metrics.dyes import blurred_light, dyes_of
from histosynth.metrics.marginals import compare_marginals
from histosynth.metrics.metric import Settings, Sides, TileInput, Tools
from histosynth.metrics.quality.conclude import (
    NIMA_QUANTITY,
    QUALITY_QUANTITIES,
    conclude_quality,
)
from histosynth.metrics.quality.measure import blocks, focus, measure_quality, noise, spectrum
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.metrics.stain.conclude import STAIN_QUANTITIES, conclude_stain
from histosynth.metrics.stain.measure import measure_stain
from histosynth.tissue.density import optical_density

THIRDS = np.full(3, 1 / 3, np.float32)


def picture(height=60, width=90, seed=0):
    """Uneven texture without clipped pixels."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.standard_normal((height, width, 3)), (3, 3, 0))
    fine = ndimage.gaussian_filter(random.standard_normal((height, width, 3)), (0.7, 0.7, 0))
    values = 120 + 250 * smooth + 30 * fine * (smooth > 0)
    return values.round().clip(10, 190).astype(np.uint8)


def grey_density(pixels):
    return optical_density(pixels) @ THIRDS


def one_focus(grey, tissue, mpp):
    laplacian = ndimage.gaussian_laplace(grey, max(0.5 / mpp, 0.7), truncate=3.0)
    ratio = np.var(laplacian[tissue].astype(float)) / np.var(grey[tissue].astype(float))
    return math.log10(ratio)


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_focus_is_the_variance_of_the_laplacian_over_that_of_density(mpp):
    grey = grey_density(picture())
    tissue = np.random.default_rng(0).random(grey.shape) < 0.5
    assert focus(grey, tissue, mpp) == pytest.approx(one_focus(grey, tissue, mpp), rel=1e-5)


def test_focus_of_a_wave_is_the_closed_form():
    """The Laplacian of a Gaussian answers a wave of k radians/px with k^2 exp(-k^2 s^2 / 2)."""
    k = 2 * np.pi / 10
    wave = np.tile(1 + np.sin(k * np.arange(200)), (100, 1)).astype(np.float32)
    inside = np.zeros(wave.shape, bool)
    inside[20:80, 20:180] = True
    answer = k**2 * np.exp(-(k**2) * 2.0**2 / 2)
    assert focus(wave, inside, 0.25) == pytest.approx(math.log10(answer**2), abs=0.02)


def test_focus_takes_500_pixels_of_tissue_that_vary():
    grey = grey_density(picture())
    tissue = np.zeros(grey.shape, bool)
    tissue.flat[:499] = True
    assert math.isnan(focus(grey, tissue, 0.5))
    tissue.flat[499] = True
    assert math.isfinite(focus(grey, tissue, 0.5))
    flat = np.full(grey.shape, 0.5, np.float32)
    assert math.isnan(focus(flat, tissue, 0.5))
    # even tissue next to ground
    edge = np.where(tissue, 0.5, 0.0).astype(np.float32)
    assert math.isnan(focus(edge, tissue, 0.5))


def one_spectrum(grey, mpp):
    """Share of fine power and slope, frequency by frequency."""
    height, width = grey.shape
    window = signal.windows.hann(height)[:, None] * signal.windows.hann(width)
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2
    rings = 12
    highest = 0.5 / mpp
    edges = np.geomspace(0.1, 0.8 * highest, rings + 1)
    fine = total = 0.0
    members = [[] for _ in range(rings)]
    for row in range(height):
        down = min(row, height - row) / (height * mpp)
        for column in range(width // 2 + 1):
            frequency = math.hypot(down, column / (width * mpp))
            if 0.05 <= frequency <= highest:
                total += power[row, column]
                fine += power[row, column] * (frequency > 0.4)
            ring = int(np.searchsorted(edges, frequency, side="right")) - 1
            if 0 <= ring < rings:
                members[ring].append(power[row, column])
    defined = [ring for ring in range(rings) if members[ring]]
    means = [np.log(np.mean(members[ring])) for ring in defined]
    log_width = math.log(0.8 * highest / 0.1) / rings
    slope = np.polynomial.Polynomial.fit(defined, means, 1).convert().coef[1]
    return fine / total, slope / log_width


@pytest.mark.parametrize(
    ("height", "width", "mpp"),
    [(60, 90, 0.5), (64, 48, 0.25), (41, 40, 1.0), (25, 30, 0.47), (7, 10, 0.8), (4, 7, 0.5)],
)
def test_spectrum_is_that_of_one_frequency_at_a_time(height, width, mpp):
    grey = grey_density(picture(height, width))
    assert spectrum(grey, mpp) == pytest.approx(one_spectrum(grey, mpp), rel=2e-4)


def test_the_highest_and_the_lowest_frequencies_are_counted():
    """Of a wave in one direction, whose share of power is known."""
    x = np.arange(64)
    grey = np.tile(np.cos(np.pi * x) + 0.2 * np.cos(2 * np.pi * x * 8 / 64), (64, 1))
    share, _ = spectrum(grey.astype(np.float32), 1.0)
    expected, _ = one_spectrum(grey.astype(np.float32), 1.0)
    assert share == pytest.approx(expected, rel=1e-4)


def test_a_spectrum_needs_power_fine_detail_and_four_rings():
    grey = grey_density(picture())
    flat = np.full(grey.shape, 0.7, np.float32)
    assert all(math.isnan(each) for each in spectrum(flat, 0.5))
    # no frequency above 0.4 cycles/um can be represented from 1.25 um on
    assert all(math.isnan(each) for each in spectrum(grey, 1.25))
    assert all(math.isfinite(each) for each in spectrum(grey, 1.2))
    # hardly any power is none, and less contrast changes neither number
    centred = (grey - grey.mean()) / grey.std()
    assert all(math.isnan(each) for each in spectrum(centred * np.float32(2e-5), 0.5))
    for contrast in (2e-4, 1e-2):
        pale = spectrum(centred * np.float32(contrast), 0.5)
        assert pale == pytest.approx(spectrum(centred, 0.5), rel=1e-3)
    # a small tile has rings for a slope, a smaller one has none
    share, slope = spectrum(grey[:4, :4], 0.5)
    assert math.isfinite(share)
    assert math.isnan(slope)
    assert math.isfinite(spectrum(grey[:12, :12], 0.5)[1])


def one_noise(pixels):
    grey = pixels.astype(np.float32) @ THIRDS
    gradient = ndimage.gaussian_gradient_magnitude(grey, 2.0, truncate=3.0)[1:-1, 1:-1]
    inner = pixels[1:-1, 1:-1].astype(int)
    usable = ((inner > 3) & (inner < 252)).all(axis=2)
    smooth = usable & (gradient <= np.quantile(gradient[usable], 1 / 3))
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    total = 0.0
    for channel in range(3):
        answer = signal.convolve2d(pixels[..., channel].astype(float), kernel, mode="valid")
        total += np.abs(answer[smooth]).mean()
    return math.sqrt(math.pi / 2) * total / 3 / 6


def test_noise_is_that_of_immerkaers_mask_in_smooth_areas():
    pixels = picture()
    assert noise(pixels) == pytest.approx(one_noise(pixels), rel=1e-5)
    clipped = pixels.copy()
    clipped[:20, :, 0] = 3
    clipped[40:50, :, 1] = 252
    clipped[30, :, 2] = 4
    clipped[31, :, 2] = 251
    assert noise(clipped) == pytest.approx(one_noise(clipped), rel=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "defined"),
    [(16, 80, True), (15, 80, False), (80, 16, True), (80, 15, False), (22, 26, False)],
)
def test_noise_takes_16_pixels_a_side_and_500_inside(height, width, defined):
    assert math.isfinite(noise(picture(height, width))) == defined


def test_noise_takes_500_unclipped_pixels():
    pixels = picture(22, 27)  # 20 x 25 inside
    assert math.isfinite(noise(pixels))
    pixels[5, 5] = (100, 255, 100)
    assert math.isnan(noise(pixels))


def one_blocks(pixels):
    grey = pixels.astype(float).mean(axis=2)
    ratios = []
    for lines in (grey, grey.T):
        step = lines[:, 1:] - lines[:, :-1]
        positions = []
        for position in range(8):
            excess = [
                np.abs(step[:, at] - (step[:, at - 1] + step[:, at + 1]) / 2).mean()
                for at in range(1, step.shape[1] - 1)
                if (at - 1) % 8 == position
            ]
            positions.append(np.mean(excess))
        ratios.append(max(positions) / np.median(positions))
    return np.mean(ratios)


def test_blocks_are_the_largest_step_over_the_median_of_eight_positions():
    pixels = picture()
    assert blocks(pixels) == pytest.approx(one_blocks(pixels), rel=1e-4)
    pixels[:, 5::8] += 20
    assert blocks(pixels) == pytest.approx(one_blocks(pixels), rel=1e-4)
    assert blocks(pixels) > 1.2


def test_blocks_of_faint_steps_are_those_of_a_plain_procedure():
    faint = (np.random.default_rng(0).random((48, 40, 3)) < 0.1).astype(np.uint8) + 100
    assert blocks(faint) == pytest.approx(one_blocks(faint), rel=1e-4)


@pytest.mark.parametrize(
    ("height", "width", "defined"), [(32, 32, True), (31, 32, False), (32, 31, False)]
)
def test_blocks_take_four_blocks_a_side(height, width, defined):
    assert math.isfinite(blocks(picture(height, width))) == defined


def test_even_steps_have_no_blocks():
    flat = np.full((40, 40, 3), 100, np.uint8)
    assert math.isnan(blocks(flat))
    # steps at one position only: most have none
    flat[:, 16:] = 120
    flat[16:] += 10
    assert math.isnan(blocks(flat))


def test_a_tile_has_the_numbers_of_its_parts():
    pixels = picture()
    pixels[:6] = 250
    pixels[0, 0] = (254, 254, 255)  # burnt out
    pixels[0, 1] = (253, 255, 255)  # not
    pixels[0, 2] = (3, 90, 90)  # black in a channel
    pixels[0, 3] = (4, 90, 90)  # not
    found = measure_quality(pixels, 0.4)
    density = optical_density(pixels)
    grey = density @ THIRDS
    tissue = (density > 0.15).all(axis=2)
    assert list(found) == [
        "quality/focus",
        "quality/spectrum",
        "quality/noise",
        "quality/blocks",
        "quality/clipped",
    ]
    assert [each.shape for each in found.values()] == [(1,), (2,), (1,), (1,), (2,)]
    assert all(each.dtype == np.float64 for each in found.values())
    assert found["quality/focus"].tolist() == [focus(grey, tissue, 0.4)]
    assert found["quality/spectrum"].tolist() == list(spectrum(grey, 0.4))
    assert found["quality/noise"].tolist() == [noise(pixels)]
    assert found["quality/blocks"].tolist() == [blocks(pixels)]
    assert found["quality/clipped"] == pytest.approx([1 / 5400, 1 / 5400])


def test_stain_is_that_of_the_smoothed_light(tile):
    found = measure_stain(tile, 0.5)
    assert list(found) == ["stain/od_mean", "stain/angles", "stain/doses", "stain/tissue"]
    assert [each.shape for each in found.values()] == [(3,), (5,), (2,), (1,)]
    assert all(each.dtype == np.float64 for each in found.values())
    light = blurred_light(tile, 0.5)
    density = optical_density(light)
    tissue = (density > 0.15).all(axis=2)
    assert found["stain/tissue"].tolist() == [tissue.mean()]
    assert found["stain/od_mean"] == pytest.approx(density[tissue].astype(float).mean(axis=0))
    haematoxylin, eosin = dyes_of(light)
    lengths = [math.hypot(*dye) for dye in (haematoxylin, eosin)]
    assert found["stain/doses"] == pytest.approx(lengths)
    expected = []
    for dye in (haematoxylin, eosin):
        red, green, blue = dye
        expected.append(math.degrees(math.atan2(green, red)))
        expected.append(math.degrees(math.atan2(blue, math.hypot(red, green))))
    cosine = sum(haematoxylin * eosin) / (lengths[0] * lengths[1])
    expected.append(math.degrees(math.acos(cosine)))
    assert found["stain/angles"] == pytest.approx(expected)


def test_one_dye_has_a_dose_and_no_angles():
    flat = np.full((40, 40, 3), 100, np.uint8)
    found = measure_stain(flat, 0.5)
    assert np.isfinite(found["stain/doses"]).all()
    assert np.isnan(found["stain/angles"]).all()
    assert found["stain/angles"].shape == (5,)
    assert found["stain/tissue"].tolist() == [1]
    assert found["stain/od_mean"] == pytest.approx([-math.log(101 / 256)] * 3)


def test_little_tissue_has_a_density_and_no_dyes():
    pixels = np.full((20, 20, 3), 100, np.uint8)  # fewer than 500 pixels
    found = measure_stain(pixels, 0.5)
    assert np.isfinite(found["stain/od_mean"]).all()
    assert np.isnan(found["stain/doses"]).all()
    assert found["stain/doses"].shape == (2,)
    glass = measure_stain(np.full((20, 20, 3), 255, np.uint8), 0.5)
    assert np.isnan(glass["stain/od_mean"]).all()
    assert glass["stain/od_mean"].shape == (3,)
    assert glass["stain/tissue"].tolist() == [0]


def measured(quantities, seed, prefix, shift=0.0, left_out=()):
    """Tiles with random numbers under the keys of the quantities."""
    random = np.random.default_rng(seed)
    keys = {quantity.key for quantity in quantities}
    tiles = []
    for number in range(10):
        values = {key: random.normal(shift, 1, 5) for key in sorted(keys) if key not in left_out}
        tiles.append(TileMeasurements(f"{prefix}{number}", f"{prefix}{number}", "", values))
    return Sample(tuple(tiles))


STAIN_ABOUT = (
    "Optical density of tissue, direction and full dose of both dyes (Macenko et al. 2009), of "
    "light averaged over 1.5 micrometres, so that blur, noise and JPEG hardly count. Distances are "
    "1-D Wasserstein; a ratio of 1 is as far as real tissue of other patients is."
)
QUALITY_ABOUT = (
    "Focus, share and slope of fine detail, noise (Immerkaer 1996), JPEG blocks and clipped "
    "pixels. Good is what real tiles have, not what is sharpest."
)


@pytest.mark.parametrize(
    ("conclude", "quantities", "key", "title", "about"),
    [
        (conclude_stain, STAIN_QUANTITIES, "stain", "Stain", STAIN_ABOUT),
        (conclude_quality, QUALITY_QUANTITIES, "quality", "Picture quality", QUALITY_ABOUT),
    ],
)
def test_a_section_compares_its_quantities(conclude, quantities, key, title, about):
    real = measured(quantities, 0, "r")
    synthetic = measured(quantities, 1, "s", 0.5)
    reference = measured(quantities, 2, "o")
    sides = Sides(real, synthetic, reference)
    for section, others, seed in (
        (conclude(real, synthetic), None, 0),
        (conclude(real, synthetic, None, seed=3), None, 3),
        (conclude(real, synthetic, reference, seed=1), reference, 1),
        (METRICS[key].conclude(sides, Settings(seed=2)), reference, 2),
        (METRICS[key].conclude(Sides(real, synthetic), Settings(seed=3)), None, 3),
    ):
        findings, plots = compare_marginals(
            quantities, real, synthetic, others, name=key, seed=seed
        )
        assert (section.key, section.title, section.about) == (key, title, about)
        assert section.as_dict()["findings"] == [each.as_dict() for each in findings]
        assert section.plots == plots
        assert section.findings[0].name == f"{key}_W1"
    halves = [conclude(real, synthetic, seed=seed).findings[0].real for seed in (0, 3)]
    assert halves[0] != halves[1]


@pytest.mark.parametrize(
    ("unrated", "listed"),
    [((), True), (("real",), False), (("synthetic",), False), (("reference",), False)],
)
def test_nima_is_compared_where_every_side_was_rated(unrated, listed):
    quantities = (*QUALITY_QUANTITIES, NIMA_QUANTITY)
    sides = {
        role: measured(
            quantities, number, role, left_out=("quality/nima",) if role in unrated else ()
        )
        for number, role in enumerate(("real", "synthetic", "reference"))
    }
    names = [each.name for each in conclude_quality(**sides).findings]
    assert ("quality_nima_W1" in names) == listed
    assert names[:3] == ["quality_W1", "quality_focus_difference", "quality_focus_W1"]
    if listed:
        assert names[-1] == "quality_nima_W1"
        empty = conclude_quality(sides["real"], sides["synthetic"], Sample(()))
        assert empty.findings[-1].name == "quality_nima_W1"


def test_the_metrics_measure_pixels_at_their_scale(tile):
    seen = TileInput(tile, 0.4)
    for name, measure in (("quality", measure_quality), ("stain", measure_stain)):
        metric = METRICS[name]
        assert metric.name == name
        found = metric.measure(seen, Tools())
        expected = measure(tile, 0.4)
        assert list(found) == list(expected)
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value)
    rated = METRICS["quality"].measure(seen, Tools(nima=lambda pixels: float(pixels[0, 0, 0])))
    assert rated["quality/nima"].tolist() == [float(tile[0, 0, 0])]
