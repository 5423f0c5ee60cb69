"""Outlines of nuclei are those of a plain procedure that takes one nucleus at a time."""

import numpy as np
import pytest
from scipy import ndimage

from histosynth.core.nuclei import Nuclei
from histosynth.metrics.morphology import segment as outlines
from histosynth.metrics.morphology.segment import (
    HALF_WINDOW,
    OTSU_LEVELS,
    SAMPLE_UM,
    haematoxylin,
    local_otsu,
    segment,
)
from histosynth.tissue.appearance import CANONICAL_DYES
from histosynth.tissue.density import from_density

WIDTH_UM = 56
HEIGHT_UM = 44
PLACES_UM = np.array(
    [
        [14.2, 12.1],  # alone
        [28.3, 13.8],  # two that touch
        [33.1, 14.6],
        [46.0, 8.7],  # plain ground
        [12.4, 29.6],  # tiny
        [1.6, 37.2],  # cut by the left border
        [25.3, 31.1],  # pale in the middle
        [37.9, 27.2],  # the centroid lies outside, but near
        [44.2, 37.8],  # the centroid lies outside, and far
        [53.2, 22.4],  # its outline ends just inside the right border
    ]
)
DISCS_UM = [
    (14.2, 12.1, 4.0),
    (28.3, 13.8, 3.4),
    (33.1, 14.6, 3.4),
    (12.4, 29.6, 1.2),
    (1.6, 37.2, 4.0),
    (25.3, 31.1, 5.0),
    (37.9, 32.0, 3.6),
    (50.0, 37.8, 2.8),
    (53.2, 22.4, 1.9),
]


def field(mpp, seed=0):
    """A tile with the discs above, and its nuclei."""
    random = np.random.default_rng(seed)
    height = round(HEIGHT_UM / mpp)
    width = round(WIDTH_UM / mpp)
    rows, columns = np.mgrid[:height, :width]
    x = (columns + 0.5) * mpp
    y = (rows + 0.5) * mpp
    amount = np.full((height, width), 0.05)
    for x0, y0, radius in DISCS_UM:
        amount[np.hypot(x - x0, y - y0) < radius] = 0.8
    amount[np.hypot(x - 25.3, y - 31.1) < 1.5] = 0.1
    amount *= 1 + 0.2 * ndimage.gaussian_filter(random.standard_normal(amount.shape), 0.7)
    eosin = 0.4 + 0.1 * ndimage.gaussian_filter(random.standard_normal(amount.shape), 2)
    density = np.stack([amount, eosin], axis=-1) @ CANONICAL_DYES
    pixels = from_density(density.astype(np.float32)).round().astype(np.uint8)
    xy = PLACES_UM / mpp - 0.5
    return pixels, nuclei_at(xy, pixels, mpp)


def nuclei_at(xy, pixels, mpp):
    height, width = pixels.shape[:2]
    return Nuclei.of(xy, ["n"] * len(xy), size=(width, height), mpp=mpp, classes=("n",))


def on_samples(layer, mpp):
    """The layer at the middles of squares of `SAMPLE_UM`, linearly between pixels."""
    height, width = (int(side * mpp / SAMPLE_UM + 1e-9) for side in layer.shape)
    y = (np.arange(height) + 0.5) * SAMPLE_UM / mpp - 0.5
    x = (np.arange(width) + 0.5) * SAMPLE_UM / mpp - 0.5
    at = np.meshgrid(y, x, indexing="ij")
    return ndimage.map_coordinates(layer, at, order=1, mode="nearest")


def one_outline(smooth, nuclei, row):
    """Mask of one nucleus in its window, and why it is left out ("" where it is kept)."""
    offset = np.arange(-HALF_WINDOW, HALF_WINDOW + 1)
    middle = np.rint((nuclei.xy[row] + 0.5) * nuclei.mpp / SAMPLE_UM - 0.5).astype(int)
    across, down = np.meshgrid(middle[0] + offset, middle[1] + offset)
    x_um, y_um = np.meshgrid(offset * SAMPLE_UM, offset * SAMPLE_UM)
    away = np.hypot(x_um, y_um)
    height, width = smooth.shape
    in_tile = (down >= 0) & (down < height) & (across >= 0) & (across < width)
    disc = in_tile & (away <= 11)
    soft = smooth[down.clip(0, height - 1), across.clip(0, width - 1)]
    threshold = local_otsu(soft[None, ::2, ::2], disc[None, ::2, ::2])[0]
    dark = disc & (soft > threshold)
    for other in range(len(nuclei)):
        to = (nuclei.xy[other] - nuclei.xy[row]) * nuclei.mpp
        if other != row:
            dark &= away < np.hypot(x_um - to[0], y_um - to[1])
    rounded = ndimage.gaussian_filter(dark.astype(np.float32), 0.6 / SAMPLE_UM, truncate=3.0) > 0.5
    components, count = ndimage.label(rounded)
    if not count:
        return rounded, "not dark"
    nearest = np.where(components > 0, away, np.inf).argmin()
    if away.flat[nearest] > 2:
        return np.zeros_like(rounded), "not dark"
    mask = ndimage.binary_fill_holes(components == components.flat[nearest])
    rows, columns = down[mask], across[mask]
    from_border = min(rows.min(), columns.min(), height - 1 - rows.max(), width - 1 - columns.max())
    if from_border < 2:
        return mask, "cut"
    area_um2 = mask.sum() * SAMPLE_UM**2
    return mask, "" if 8 <= area_um2 <= 400 else "wrong size"


def assert_plain_outlines(pixels, nuclei):
    """Compare with outlines of one nucleus at a time; returns why each is left out."""
    mpp = nuclei.mpp
    raw = haematoxylin(pixels, mpp)
    smooth = on_samples(ndimage.gaussian_filter(raw, 0.5 / mpp), mpp)
    raw_samples = on_samples(raw, mpp)
    found = segment(pixels, nuclei)
    expected = [one_outline(smooth, nuclei, row) for row in range(len(nuclei))]
    reasons = [reason for _, reason in expected]
    kept = [row for row, reason in enumerate(reasons) if not reason]
    assert found.row.tolist() == kept
    assert found.left_out == tuple(
        reasons.count(reason) for reason in ("not dark", "cut", "wrong size")
    )
    side = 2 * HALF_WINDOW + 1
    assert found.mask.shape == found.density.shape == (len(kept), side, side)
    assert found.mask.dtype == np.bool_
    assert found.density.dtype == found.tile_density.dtype == np.float32
    np.testing.assert_array_equal(found.tile_density, raw)
    height, width = raw_samples.shape
    for number, row in enumerate(kept):
        np.testing.assert_array_equal(found.mask[number], expected[row][0])
        middle = np.rint((nuclei.xy[row] + 0.5) * mpp / SAMPLE_UM - 0.5).astype(int)
        offset = np.arange(-HALF_WINDOW, HALF_WINDOW + 1)
        rows = (middle[1] + offset).clip(0, height - 1)
        columns = (middle[0] + offset).clip(0, width - 1)
        np.testing.assert_allclose(
            found.density[number], raw_samples[np.ix_(rows, columns)], rtol=1e-5, atol=1e-6
        )
    return reasons


@pytest.mark.parametrize("mpp", [0.25, 0.4, 0.5])
def test_outlines_are_those_of_one_nucleus_at_a_time(mpp):
    reasons = assert_plain_outlines(*field(mpp))
    assert {*reasons} == {"", "not dark", "cut", "wrong size"}
    assert reasons[:3] == ["", "", ""]
    assert reasons[4:9] == ["wrong size", "cut", "", "", "not dark"]


def test_a_pale_middle_belongs_to_its_nucleus():
    pixels, nuclei = field(0.25)
    found = segment(pixels, nuclei)
    mask = found.mask[found.row.tolist().index(6)]
    assert mask[HALF_WINDOW, HALF_WINDOW]
    assert mask.sum() * SAMPLE_UM**2 == pytest.approx(np.pi * 25, rel=0.05)


def test_eight_neighbours_cut_a_nucleus():
    angles = np.arange(8) * np.pi / 4 + 0.1
    radii = 6 + 0.05 * np.arange(8)
    ring = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    rows, columns = np.mgrid[:160, :160]
    dark = np.hypot((columns - 80) * 0.25, (rows - 80) * 0.25) < 10
    density = np.where(dark, 0.8, 0.05)[..., None] * CANONICAL_DYES[0] + 0.4 * CANONICAL_DYES[1]
    pixels = from_density(density.astype(np.float32)).round().astype(np.uint8)
    xy = np.concatenate([[[80, 80]], 80 + ring / 0.25])
    reasons = assert_plain_outlines(pixels, nuclei_at(xy, pixels, 0.25))
    assert reasons[0] == ""


@pytest.mark.parametrize("border", ["left", "right", "top", "bottom"])
def test_an_outline_within_half_a_micrometre_of_a_border_is_cut(border):
    """A disc of 16 samples is moved away from the border sample by sample."""
    reasons = []
    for distance in range(14, 22):
        middle = {
            "left": (distance, 60),
            "right": (129 - distance, 60),
            "top": (60, distance),
            "bottom": (60, 109 - distance),
        }[border]
        rows, columns = np.mgrid[:110, :130]
        dark = np.hypot(columns - middle[0], rows - middle[1]) < 16
        density = np.where(dark, 0.8, 0.05)[..., None] * CANONICAL_DYES[0]
        density = density + 0.4 * CANONICAL_DYES[1]
        pixels = from_density(density.astype(np.float32)).round().astype(np.uint8)
        reasons += assert_plain_outlines(pixels, nuclei_at([middle], pixels, 0.25))
    # two samples and more lie between an outline and the border where it is kept
    assert reasons == ["cut"] * 4 + [""] * 4


def test_two_nuclei_at_one_place_leave_nothing_of_either():
    pixels, _ = field(0.5)
    xy = np.array([[28.0, 24.0], [28.0, 24.0]])
    assert assert_plain_outlines(pixels, nuclei_at(xy, pixels, 0.5)) == ["not dark"] * 2


def test_nuclei_in_parts_are_those_of_the_whole(monkeypatch):
    pixels, nuclei = field(0.5)
    whole = segment(pixels, nuclei)
    monkeypatch.setattr(outlines, "NUCLEI_AT_ONCE", 3)
    parts = segment(pixels, nuclei)
    np.testing.assert_array_equal(parts.row, whole.row)
    np.testing.assert_array_equal(parts.mask, whole.mask)
    np.testing.assert_array_equal(parts.density, whole.density)
    np.testing.assert_array_equal(parts.tile_density, whole.tile_density)
    assert parts.left_out == whole.left_out
    assert min(whole.left_out) > 0


def test_a_tile_smaller_than_a_sample_breaks_nothing():
    pixels = np.full((1, 1, 3), 120, np.uint8)
    found = segment(pixels, nuclei_at([[0, 0]], pixels, 0.1))
    assert found.left_out in ((1, 0, 0), (0, 1, 0))
    assert len(found.mask) == 0


@pytest.mark.parametrize(("side", "scale"), [(20, 1.0), (40, 1.25)])
def test_haematoxylin_is_its_share_of_the_canonical_dyes_in_doses_of_the_tile(side, scale):
    """Up to 500 pixels no dose is measured, and the canonical one counts as full."""
    random = np.random.default_rng(0)
    amounts = random.uniform(0.1, 1.0, (side, side, 2)) * scale
    if scale != 1:
        amounts[:10, :, :] = np.array([1, 0.001]) * scale  # whole dyes, so that doses are known
        amounts[10:20] = np.array([0.001, 1]) * scale
    amounts[0, 0] = (-0.3, 1.2)
    density = amounts @ CANONICAL_DYES
    pixels = from_density(density.astype(np.float32)).round().astype(np.uint8)
    found = haematoxylin(pixels, 8.0)  # so coarse that no light is averaged
    assert found.dtype == np.float32
    assert found.shape == (side, side)
    assert found.min() == 0
    np.testing.assert_allclose(found, np.maximum(amounts[..., 0], 0) / scale, atol=0.05)


def otsu_by_trial(values):
    """The upper edge of the best of `OTSU_LEVELS` steps: the first with the largest variance
    between both sides."""
    top = np.float32(values.max()) + np.float32(1e-6)
    level = np.minimum((values * (OTSU_LEVELS / top)).astype(int), OTSU_LEVELS - 1)
    best = (-1.0, 0)
    for step in range(OTSU_LEVELS):
        below = level[level <= step]
        above = level[level > step]
        if len(below) and len(above):
            between = len(below) * len(above) * (below.mean() - above.mean()) ** 2
            if between > best[0] * (1 + 1e-9):
                best = (between, step)
    return (best[1] + 1) / OTSU_LEVELS * top


def test_otsu_has_the_largest_variance_between_both_sides():
    random = np.random.default_rng(0)
    values = random.gamma(2, 0.2, (4, 21, 21)).astype(np.float32)
    values[1] *= 5
    values[2][random.random((21, 21)) < 0.4] += 1
    valid = random.random(values.shape) < 0.7
    valid[3, 5:] = False
    values[3, 5:] = 9  # not valid, so it moves nothing
    found = local_otsu(values, valid)
    assert found.dtype == np.float32
    expected = [otsu_by_trial(each[inside]) for each, inside in zip(values, valid, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_otsu_of_two_values_lies_just_above_the_lower():
    values = np.array([[[0.2, 0.2], [0.8, 0.2]]], np.float32)
    threshold = local_otsu(values, np.ones(values.shape, bool))
    assert threshold[0] == pytest.approx(0.8 * 16 / OTSU_LEVELS, abs=0.8 / OTSU_LEVELS)
    assert 0.2 < threshold[0] < 0.8


def test_otsu_of_two_values_one_step_apart_lies_between_them():
    values = np.array([[[0.98, 1.0]]], np.float32)
    threshold = local_otsu(values, np.ones(values.shape, bool))
    assert threshold[0] == pytest.approx(63 / OTSU_LEVELS)


def test_otsu_of_nothing():
    none = local_otsu(np.zeros((0, 5, 5), np.float32), np.zeros((0, 5, 5), bool))
    assert none.shape == (0,)
    assert none.dtype == np.float32
    flat = local_otsu(np.zeros((1, 5, 5), np.float32), np.ones((1, 5, 5), bool))
    assert flat[0] == pytest.approx(1e-6 / OTSU_LEVELS)
    unseen = local_otsu(np.ones((1, 5, 5), np.float32), np.zeros((1, 5, 5), bool))
    assert unseen[0] == pytest.approx(1e-6 / OTSU_LEVELS)
