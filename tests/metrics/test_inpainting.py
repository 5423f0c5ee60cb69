"""Inpainting: inside, boundary and outside of masks of any shape."""

import json
import math
from typing import ClassVar

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import structural_similarity

from histosynth.metrics.inpainting.boundary import Boundary, boundary_fibres, boundary_step
from histosynth.metrics.inpainting.conclude import conclude_inpainting
from histosynth.metrics.inpainting.measure import measure_inpainting
from histosynth.metrics.inpainting.similarity import ssim_map
from histosynth.metrics.sample import Sample, TileMeasurements

SIDE = 128
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def square(top=32, bottom=96):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top:bottom, top:bottom] = True
    return mask


def disc(radius=36.0, y=63.5, x=63.5):
    return np.hypot(ROWS - y, COLUMNS - x) < radius


def blob():
    random = np.random.default_rng(4)
    field = ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE)), 10)
    return field > np.quantile(field, 0.7)


def noisy(seed=0, sigma=30.0):
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE, 3)), (2, 2, 0))
    return (140 + sigma * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def stripes(angle_deg, period=9.0):
    """Lines along `angle_deg`."""
    angle = np.radians(angle_deg)
    phase = (ROWS * np.cos(angle) - COLUMNS * np.sin(angle)) * 2 * np.pi / period
    return np.repeat((150 + 50 * np.sin(phase))[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("mask", [square(), disc(), blob(), square(0, 40)])
def test_similarity_is_scikit_images(mask):
    first = noisy(0)
    second = noisy(1)
    completed = np.where(mask[..., None], second, first)
    _, expected = structural_similarity(
        first,
        completed,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
        full=True,
    )
    np.testing.assert_allclose(
        ssim_map(first, completed),
        expected.mean(axis=2),
        atol=1e-9,
    )
    seen = measure_inpainting(first, completed, mask)
    away = ndimage.distance_transform_edt(~mask)
    near = np.where(mask, ndimage.distance_transform_edt(mask), away) <= 8
    regions = [expected[mask].mean() for mask in (mask, near)]
    np.testing.assert_allclose(seen["inpainting/ssim"], regions, atol=1e-6)


def test_psnr_is_of_the_region_alone():
    original = np.full((SIDE, SIDE, 3), 100, np.uint8)
    mask = square()
    completed = original.copy()
    completed[mask] += 10
    seen = measure_inpainting(original, completed, mask)
    assert seen["inpainting/psnr"][0] == pytest.approx(10 * math.log10(255**2 / 100))
    away = ndimage.distance_transform_edt(~mask)
    near = np.where(mask, ndimage.distance_transform_edt(mask), away) <= 8
    share = (near & mask).sum() / near.sum()
    assert 0.3 < share < 0.6
    assert seen["inpainting/psnr"][1] == pytest.approx(10 * math.log10(255**2 / (100 * share)))


def test_known_pixels_are_checked_up_to_the_boundary_and_far_away():
    original = noisy()
    mask = square()
    completed = original.copy()
    completed[mask] = 7
    assert measure_inpainting(original, completed, mask)["inpainting/outside"].tolist() == [
        0,
        0,
        SIDE**2 - 64**2,
    ]
    completed[0, 0, 1] ^= 1
    completed[31, 50] = 255 - original[31, 50]
    largest = np.abs(original[31, 50].astype(int) - completed[31, 50]).max()
    assert measure_inpainting(original, completed, mask)["inpainting/outside"].tolist()[:2] == [
        largest,
        2,
    ]


@pytest.mark.parametrize("mask", [square(), disc(), blob(), square(0, 40), square(100, 128)])
def test_a_step_of_colour_is_measured_in_grey_levels_whatever_the_shape(mask):
    original = np.full((SIDE, SIDE, 3), 100, np.uint8)
    completed = original.copy()
    completed[mask] += np.array([12, 6, 0], np.uint8)
    seen = measure_inpainting(original, completed, mask)
    assert seen["inpainting/boundary_step"] == pytest.approx([6.0, 0.0])


def test_steps_of_a_square_mask_are_those_along_its_sides():
    mask = square()
    pixels = noisy(3).astype(float)
    sides = []
    for turn in range(4):
        turned = np.rot90(pixels, turn)[:, 32:96]
        apart = turned[32:38].mean(axis=0) - turned[26:32].mean(axis=0)
        sides.append(np.abs(apart.reshape(-1, 16, 3).mean(axis=1)).mean())
    assert boundary_step(noisy(3), Boundary.of(mask)) == pytest.approx(np.mean(sides), rel=0.1)


def test_steps_that_cancel_over_the_whole_boundary_are_still_measured():
    original = np.full((SIDE, SIDE, 3), 100, np.uint8)
    mask = disc()
    completed = original.copy()
    completed[mask & (COLUMNS < 64)] += 10
    completed[mask & (COLUMNS >= 64)] -= 10
    assert measure_inpainting(original, completed, mask)["inpainting/boundary_step"][0] > 8


@pytest.mark.parametrize("mask", [square(), disc(), disc(30, 40, 70)])
@pytest.mark.parametrize("angle", [0, 30, 70])
def test_fibres_that_go_on_and_fibres_that_turn(mask, angle):
    along = stripes(angle)

    def kept(inside):
        completed = np.where(mask[..., None], inside, along)
        top, below = boundary_fibres(completed, Boundary.of(mask))
        return top / below

    assert kept(along) > 0.9
    assert kept(stripes(angle + 90)) < -0.7
    assert abs(kept(stripes(angle + 45))) < 0.2
    assert kept(stripes(angle + 20)) == pytest.approx(math.cos(math.radians(40)), abs=0.15)


def test_pieces_hold_pixels_of_both_sides_near_each_other():
    for mask in (square(), disc(), blob()):
        edge = Boundary.of(mask)
        band = np.abs(edge.depth) <= 6
        rim = mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), border_value=1)
        assert rim[edge.y[band], edge.x[band]].all()
        piece, many = edge.pieces(band, 16)
        inside = edge.depth[band] > 0
        apart = [
            np.hypot(
                *(
                    np.argwhere(band)[(piece == i) & inside].mean(0)
                    - np.argwhere(band)[(piece == i) & ~inside].mean(0)
                )
            )
            for i in range(many)
            if min(((piece == i) & inside).sum(), ((piece == i) & ~inside).sum()) >= 6
        ]
        assert len(apart) >= 8
        assert max(apart) < 12


def test_no_mask_a_full_mask_and_even_tiles_break_nothing():
    original = noisy()
    nothing = measure_inpainting(original, original, np.zeros((SIDE, SIDE), bool))
    assert np.isnan(nothing["inpainting/ssim"]).all()
    assert np.isnan(nothing["inpainting/psnr"]).all()
    assert nothing["inpainting/outside"].tolist() == [0, 0, SIDE**2]
    whole = measure_inpainting(original, noisy(1), np.ones((SIDE, SIDE), bool))
    assert np.isfinite(whole["inpainting/psnr"][0])
    assert np.isnan(whole["inpainting/psnr"][1])
    assert whole["inpainting/outside"].tolist() == [0, 0, 0]
    assert np.isnan(whole["inpainting/boundary_step"]).all()
    even = np.full((SIDE, SIDE, 3), 90, np.uint8)
    seen = measure_inpainting(even, even, square())
    assert seen["inpainting/ssim"] == pytest.approx([1, 1])
    assert np.isnan(seen["inpainting/fibres"]).all()
    one = np.zeros((SIDE, SIDE), bool)
    one[0, 0] = True
    tiny = measure_inpainting(original, noisy(1), one)
    assert np.isfinite(tiny["inpainting/mse"]).all()
    # a pixel's colour next to others is no step of a boundary
    assert np.isnan(tiny["inpainting/boundary_step"]).all()
    assert np.isnan(tiny["inpainting/fibres"]).all()
    with pytest.raises(ValueError, match="belong together"):
        measure_inpainting(original, original[:64], square())


class Apart:
    """A stand-in that says mean absolute differences, and remembers what it was shown."""

    name = "apart"
    about: ClassVar = {"weights": "none"}

    def distance(
        self,
        first,
        second,
        masks,
    ):
        gap = np.abs(first.astype(float) - second).mean(axis=3)
        return np.stack(
            [[gap[i][m].mean() if m.any() else np.nan for m in row] for i, row in enumerate(masks)]
        )


def test_the_perceptual_distance_is_measured_inside_and_at_the_boundary():
    original = np.full((SIDE, SIDE, 3), 100, np.uint8)
    mask = square()
    completed = original.copy()
    completed[mask] += 10
    seen = measure_inpainting(original, completed, mask, perceptual=Apart())[
        "inpainting/perceptual"
    ]
    assert seen[0] == 10
    assert 3 < seen[1] < 6
    assert "inpainting/perceptual" not in measure_inpainting(original, completed, mask)


def sample(pairs, mask=None, **how):
    mask = square() if mask is None else mask
    tiles = [
        TileMeasurements(
            f"tile{i}",
            f"p{i // 2}",
            "",
            measure_inpainting(*pair, mask, **how),
        )
        for i, pair in enumerate(pairs)
    ]
    return Sample(tuple(tiles))


def filled(original, other, mask=None):
    return np.where((square() if mask is None else mask)[..., None], other, original)


def by_name(section):
    return {finding.name: finding for finding in section.findings}


def test_the_section_compares_with_a_baseline_and_with_the_original():
    pairs = [(noisy(i), filled(noisy(i), noisy(i + 50))) for i in range(8)]
    close = [
        (one, filled(one, (one.astype(int) + 3).clip(0, 255).astype(np.uint8))) for one, _ in pairs
    ]
    section = conclude_inpainting(
        sample(close, perceptual=Apart()),
        sample(pairs, perceptual=Apart()),
        baseline_name="other tissue",
        perceptual="apart",
        about=Apart.about,
    )
    measured = by_name(section)
    assert measured["psnr_inside"].value.value == pytest.approx(
        10 * math.log10(255**2 / 9), abs=0.05
    )
    assert measured["psnr_inside"].real.value < 20
    assert "other tissue" in measured["psnr_inside"].note
    assert measured["ssim_inside"].value.low > measured["ssim_inside"].real.high
    assert measured["apart_inside"].value.value == pytest.approx(3, abs=0.05)
    assert measured["boundary_step"].ratio.value > 1
    assert measured["boundary_step"].real.n == 8
    assert measured["fibres"].value.value == pytest.approx(measured["fibres"].real.value, abs=0.05)
    assert measured["outside_largest"].value.value == 0
    assert measured["outside_changed"].value.value == 0
    assert section.verdict == "No known pixel of 8 tiles was changed."
    assert section.facts["perceptual"] == {"weights": "none"}


def test_changed_known_pixels_are_named():
    pairs = [(noisy(i), filled(noisy(i), noisy(i + 50))) for i in range(4)]
    pairs[2][1][0, 0] = 255 - pairs[2][0][0, 0]
    section = conclude_inpainting(sample(pairs))
    assert section.verdict == "Known pixels were changed in 1 of 4 tiles: tile2."
    assert section.facts["changed_tiles"] == ["tile2"]
    measured = by_name(section)
    assert measured["outside_largest"].value.value > 0
    assert measured["outside_largest"].better == "zero"
    assert measured["outside_changed"].value.value == pytest.approx(1 / (4 * (SIDE**2 - 64**2)))


def test_identical_pictures_have_no_psnr_and_json_stays_finite():
    same = [(noisy(i), noisy(i)) for i in range(3)]
    section = conclude_inpainting(sample(same))
    measured = by_name(section)
    assert not measured["psnr_inside"].value.is_defined
    assert "infinite" in measured["psnr_inside"].value.reason
    assert measured["ssim_inside"].value.value == pytest.approx(1)
    json.dumps(section.as_dict(), allow_nan=False)
    mixed = [*same, (noisy(9), filled(noisy(9), noisy(8)))]
    finding = by_name(conclude_inpainting(sample(mixed)))["psnr_inside"]
    assert finding.value.is_defined
    assert finding.value.n == 1
    assert finding.note.startswith("3 tiles without any")


def test_a_section_without_tiles_states_that_there_are_none():
    section = conclude_inpainting(Sample(()))
    assert section.findings
    assert not any(finding.value.is_defined for finding in section.findings)
    json.dumps(section.as_dict(), allow_nan=False)
