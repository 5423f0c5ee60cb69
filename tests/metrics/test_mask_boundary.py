"""Boundaries of masks and what is measured across them, for masks that can be counted by hand."""

import math

import numpy as np
import pytest
from scipy import ndimage

from histosynth.metrics.inpainting.boundary import Boundary, boundary_fibres, boundary_step
from histosynth.metrics.inpainting.measure import measure_inpainting
from histosynth.metrics.inpainting.similarity import ssim_map

SIDE = 128


def half(side=SIDE, first=64):
    """The columns from `first` on are masked: one straight boundary."""
    mask = np.zeros((side, SIDE), bool)
    mask[:, first:] = True
    return mask


def noise(seed, shape=(SIDE, SIDE, 3)):
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=shape), (1, 1, 0))
    return (128 + 40 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def bars(period=8):
    """Horizontal bars."""
    phase = np.arange(SIDE) * 2 * np.pi / period
    rows = (150 + 50 * np.sin(phase))[:, None, None]
    return np.broadcast_to(rows, (SIDE, SIDE, 3)).astype(np.uint8)


def test_depth_and_rim_of_a_straight_boundary():
    boundary = Boundary.of(half())
    columns = np.arange(SIDE)
    expected = np.where(columns >= 64, columns - 63, columns - 64)
    np.testing.assert_array_equal(boundary.depth, np.tile(expected, (SIDE, 1)))
    np.testing.assert_array_equal(boundary.x, np.full((SIDE, SIDE), 64))
    np.testing.assert_array_equal(boundary.y, np.arange(SIDE)[:, None] + np.zeros((1, SIDE)))


def test_nothing_and_everything_have_no_boundary():
    assert Boundary.of(np.zeros((8, 8), bool)) is None
    assert Boundary.of(np.ones((8, 8), bool)) is None
    one = np.zeros((8, 8), bool)
    one[3, 4] = True
    assert Boundary.of(one).depth[3, 4] == 1
    assert Boundary.of(~one).depth[3, 4] == -1


def test_pieces_are_counted_from_the_corner_of_the_rim():
    mask = np.zeros((64, 96), bool)
    mask[5:37, 10:90] = True
    boundary = Boundary.of(mask)
    band = np.abs(boundary.depth) <= 1
    piece, count = boundary.pieces(band, 16)
    # rim of 80 x 32 px in squares of 16 px: 5 x 2 squares, each of which touches the rim
    assert count == 10
    assert piece.dtype == np.intp
    assert piece.shape == (band.sum(),)
    row = (boundary.y[band] - 5) // 16
    column = (boundary.x[band] - 10) // 16
    assert sorted(set(piece.tolist())) == list(range(10))
    np.testing.assert_array_equal(piece, 5 * row + column)


def test_a_step_is_the_weighted_mean_of_differences_of_bands_of_six_pixels():
    mask = half()
    random = np.random.default_rng(0)
    inside = random.integers(0, 100, (8, 3))
    outside = random.integers(100, 255, (8, 3))
    pixels = noise(0)
    for piece in range(8):
        rows = slice(16 * piece, 16 * piece + 16)
        pixels[rows, 64:70] = inside[piece]
        pixels[rows, 58:64] = outside[piece]
    steps = np.abs(inside - outside).mean(axis=1)
    assert boundary_step(pixels, Boundary.of(mask)) == pytest.approx(steps.mean())


def test_a_piece_weighs_as_much_as_its_smaller_side():
    # the second piece has 8 rows of 6 px, the first 16
    pixels = np.zeros((24, SIDE, 3), np.uint8)
    pixels[:16, 64:] = 30
    pixels[16:, 64:] = 90
    expected = (96 * 30 + 48 * 90) / 144
    assert boundary_step(pixels, Boundary.of(half(24))) == pytest.approx(expected)
    # only 2 px are known: the smaller side
    narrow = half(24, 2)
    pixels = np.zeros((24, SIDE, 3), np.uint8)
    pixels[:16, 2:] = 30
    pixels[16:, 2:] = 90
    expected = (32 * 30 + 16 * 90) / 48
    assert boundary_step(pixels, Boundary.of(narrow)) == pytest.approx(expected)


@pytest.mark.parametrize(("rows", "measured"), [(1, True), (5, False), (6, True)])
def test_a_piece_takes_six_pixels_of_its_smaller_side(rows, measured):
    # 6 px of one row, or one column of known pixels
    mask = half(1, 6) if rows == 1 else half(rows, 1)
    pixels = np.zeros((*mask.shape, 3), np.uint8)
    pixels[mask] = 12
    found = boundary_step(pixels, Boundary.of(mask))
    assert (found == 12.0) if measured else math.isnan(found)


def test_fibres_along_one_direction_agree_completely():
    # 4 pieces of 32 rows and 14 px: each weighs 1
    agreement, directed = boundary_fibres(bars(), Boundary.of(half()))
    assert agreement == pytest.approx(4.0, abs=1e-6)
    assert directed == pytest.approx(4.0, abs=1e-6)


def test_fibres_are_measured_from_4_to_18_pixels_on_both_sides():
    pixels = noise(1)
    boundary = Boundary.of(half())
    found = boundary_fibres(pixels, boundary)
    changed = pixels.copy()
    # gradients at 1.5 px reach 6 px: what lies nearer than that to the band counts
    changed[:, 64 + 18 + 6 :] = 7
    changed[:, : 64 - 18 - 6] = 7
    assert boundary_fibres(changed, boundary) == pytest.approx(found)
    for column in (64 + 18 + 4, 64 - 18 - 5):
        changed = pixels.copy()
        changed[:, column] = 7
        assert boundary_fibres(changed, boundary) != pytest.approx(found, rel=1e-9)


def test_agreement_is_the_weighted_sum_of_cosines_of_twice_the_angle():
    pixels = noise(2)
    mask = half()
    density = -np.log((pixels.astype(float) + 1) / 256).mean(axis=2)
    down = ndimage.gaussian_filter(density, 1.5, order=(1, 0))
    across = ndimage.gaussian_filter(density, 1.5, order=(0, 1))
    agreement = directed = 0.0
    for piece in range(4):
        rows = slice(32 * piece, 32 * piece + 32)
        vectors = []
        # depths 5 to 18 on both sides
        for columns in (slice(68, 82), slice(46, 60)):
            x = across[rows, columns]
            y = down[rows, columns]
            double = np.array([(x**2 - y**2).sum(), (2 * x * y).sum()])
            vectors.append(double / (x**2 + y**2).sum())
        agreement += vectors[0] @ vectors[1]
        directed += np.hypot(*vectors[1])
    found = boundary_fibres(pixels, Boundary.of(mask))
    assert found == pytest.approx((agreement, directed), rel=1e-4)


@pytest.mark.parametrize("even_side", ["inside", "outside"])
def test_fibres_need_texture_on_both_sides(even_side):
    pixels = noise(3)
    if even_side == "inside":
        pixels[:, 58:] = 90
    else:
        pixels[:, :70] = 90
    agreement, directed = boundary_fibres(pixels, Boundary.of(half()))
    assert math.isnan(agreement)
    assert math.isnan(directed)


@pytest.mark.parametrize(("known", "measured"), [(5, True), (4, False)])
def test_fibres_need_a_band_on_both_sides(known, measured):
    agreement, directed = boundary_fibres(noise(4), Boundary.of(half(SIDE, known)))
    assert math.isfinite(agreement) is measured
    assert math.isfinite(directed) is measured


@pytest.mark.parametrize(("rows", "measured"), [(14, True), (13, False)])
def test_a_piece_of_fibres_takes_fourteen_pixels_of_its_smaller_side(rows, measured):
    # depth 5 is one column of the known side
    pixels = noise(5, (rows, SIDE, 3))
    agreement, directed = boundary_fibres(pixels, Boundary.of(half(rows, 5)))
    assert math.isfinite(agreement) is measured
    assert math.isfinite(directed) is measured


def whole(original, completed, mask, width):
    """The measures without cutting anything out."""
    distance = np.abs(Boundary.of(mask).depth)
    regions = (mask, distance <= width)
    squared = ((original.astype(float) - completed) ** 2).mean(axis=2)
    similarity = ssim_map(original, completed)
    mse = [squared[region].mean() for region in regions]
    return {
        "inpainting/mse": mse,
        "inpainting/psnr": [10 * math.log10(255**2 / each) for each in mse],
        "inpainting/ssim": [similarity[region].mean() for region in regions],
    }


@pytest.mark.parametrize("width", [None, 1, 8, 24, 30])
def test_what_is_cut_out_around_a_mask_is_enough(width):
    shape = (150, 170, 3)
    original = noise(6, shape)
    completed = noise(7, shape)
    mask = np.zeros(shape[:2], bool)
    mask[60:84, 70:110] = True
    how = {} if width is None else {"boundary_px": width}
    found = measure_inpainting(original, completed, mask, **how)
    for name, expected in whole(original, completed, mask, width or 8).items():
        assert found[name].dtype == np.float64
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, err_msg=name)
    boundary = Boundary.of(mask)
    sides = (completed, original)
    steps = [boundary_step(each, boundary) for each in sides]
    np.testing.assert_allclose(found["inpainting/boundary_step"], steps)
    fibres = [boundary_fibres(each, boundary) for each in sides]
    np.testing.assert_allclose(found["inpainting/fibres"], fibres)
    assert found["inpainting/fibres"].shape == (2, 2)


@pytest.mark.parametrize("corner", [(0, 0), (0, 150), (130, 0), (130, 150)])
def test_masks_in_corners_are_measured_like_others(corner):
    shape = (150, 170, 3)
    original = noise(8, shape)
    completed = noise(9, shape)
    mask = np.zeros(shape[:2], bool)
    mask[corner[0] : corner[0] + 20, corner[1] : corner[1] + 20] = True
    found = measure_inpainting(original, completed, mask)
    for name, expected in whole(original, completed, mask, 8).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, err_msg=name)


def test_the_similarity_of_a_picture_with_itself_is_1_and_with_its_negative_below_0():
    pixels = noise(10)
    np.testing.assert_allclose(ssim_map(pixels, pixels), 1.0)
    assert ssim_map(pixels, 255 - pixels).mean() < -0.5
    even = np.full((20, 20, 3), 100, np.uint8)
    other = np.full((20, 20, 3), 150, np.uint8)
    # only the first factor differs from 1 where nothing varies
    c1 = 2.55**2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    np.testing.assert_allclose(ssim_map(even, other), expected)
    # and only the second one where two pictures have one mean: bars and bars in antiphase
    phase = np.arange(96) * 2 * np.pi / 4
    rows = np.broadcast_to(np.round(100 + 3 * np.sin(phase))[:, None, None], (96, 96, 3))
    variance = 4.5
    c2 = 7.65**2
    expected = (c2 - 2 * variance) / (c2 + 2 * variance)
    found = ssim_map(rows.astype(np.uint8), (200 - rows).astype(np.uint8))
    assert found[20:-20].mean() == pytest.approx(expected, abs=0.01)


def test_changes_of_known_pixels_are_counted_by_pixel_and_measured_by_channel():
    original = np.full((40, 40, 3), 100, np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    completed = original.copy()
    completed[mask] = 255
    completed[0, 0] = (101, 99, 100)
    completed[0, 1] = (100, 100, 0)
    completed[5, 5] = (255, 100, 100)
    found = measure_inpainting(original, completed, mask)["inpainting/outside"]
    assert found.tolist() == [155.0, 3.0, 1500.0]
    assert found.dtype == np.float64


def test_what_a_tile_without_a_boundary_has():
    original = noise(11)
    nothing = measure_inpainting(original, 255 - original, np.zeros((SIDE, SIDE), bool))
    for name in ("mse", "psnr", "ssim", "boundary_step"):
        assert nothing[f"inpainting/{name}"].shape == (2,)
        assert np.isnan(nothing[f"inpainting/{name}"]).all()
    assert nothing["inpainting/fibres"].shape == (2, 2)
    assert np.isnan(nothing["inpainting/fibres"]).all()
    everything = measure_inpainting(original, noise(12), np.ones((SIDE, SIDE), bool))
    ssim = ssim_map(original, noise(12)).mean()
    np.testing.assert_allclose(everything["inpainting/ssim"], [ssim, np.nan])
    assert everything["inpainting/outside"].tolist() == [0, 0, 0]
    assert np.isnan(everything["inpainting/fibres"]).all()


class Remembered:
    """A perceptual distance that remembers what it was given."""

    def distance(self, first, second, masks):
        self.given = (first, second, masks)
        return np.array([[0.25, 0.5]], np.float32)


def test_the_perceptual_distance_is_given_the_whole_pictures_and_both_regions():
    original = noise(13)
    completed = noise(14)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[50:70, 50:70] = True
    network = Remembered()
    found = measure_inpainting(original, completed, mask, perceptual=network)
    first, second, masks = network.given
    np.testing.assert_array_equal(first, completed[None])
    np.testing.assert_array_equal(second, original[None])
    near = np.abs(Boundary.of(mask).depth) <= 8
    np.testing.assert_array_equal(masks, np.stack([mask, near])[None])
    assert found["inpainting/perceptual"].tolist() == [0.25, 0.5]
    assert found["inpainting/perceptual"].dtype == np.float64


@pytest.mark.parametrize("wrong", ["completed", "mask"])
def test_pictures_and_masks_of_other_shapes_are_refused(wrong):
    original = np.zeros((8, 9, 3), np.uint8)
    completed = np.zeros((7, 9, 3) if wrong == "completed" else (8, 9, 3), np.uint8)
    mask = np.zeros((8, 7) if wrong == "mask" else (8, 9), bool)
    with pytest.raises(ValueError) as error:
        measure_inpainting(original, completed, mask)
    assert str(error.value) == (
        f"(8, 9, 3), {completed.shape} and {mask.shape} do not belong together"
    )
