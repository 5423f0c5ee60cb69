"""Pen, folds, bubbles and blur are found where they were planted, and nowhere else."""

import numpy as np
import pytest
from matplotlib.path import Path
from scipy import ndimage
from spoilt_slides import GLASS, tissue, with_fold, with_pen, write_jpeg_slide

from histosynth.annotation.regions import Region, region_mask
from histosynth.patching.finding import ARTEFACTS, USUAL_ARTEFACTS, find_artefacts
from histosynth.patching.glass import glass_share, with_glass
from histosynth.patching.outlines import mask_regions
from histosynth.slides import open_slide

SIZE = (960, 704)


def found_in(path, pixels, only=USUAL_ARTEFACTS):
    slide = open_slide(write_jpeg_slide(path, pixels, quality=100, chroma="444"))
    regions = find_artefacts(slide, only)
    shape = pixels.shape[:2]
    return {
        name: region_mask([each for each in regions if each.name == name], shape, (1, 1))
        for name in only
    }


def test_clean_tissue_has_nothing(tmp_path):
    found = found_in(tmp_path / "a.tif", tissue(*SIZE), tuple(ARTEFACTS))
    assert {name: int(mask.sum()) for name, mask in found.items()} == dict.fromkeys(ARTEFACTS, 0)


@pytest.mark.parametrize("colour", [(40, 60, 150), (20, 90, 50), (25, 25, 25)])
def test_pen_is_found_whole(tmp_path, colour):
    pixels, mask = with_pen(tissue(*SIZE), colour, 0.9)
    found = found_in(tmp_path / "a.tif", pixels)
    assert found["pen"][mask].mean() > 0.98
    assert found["pen"].sum() < 3 * mask.sum()  # with its margin
    assert not found["fold"].any()


def test_a_fold_is_found(tmp_path):
    pixels, mask = with_fold(tissue(*SIZE), half_width=40)
    found = found_in(tmp_path / "a.tif", pixels)
    assert found["fold"][mask].mean() > 0.7
    assert found["fold"].sum() < 3 * mask.sum()
    assert not found["pen"].any()


def test_the_rim_of_a_bubble_is_found(tmp_path):
    pixels = tissue(*SIZE)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    rim = np.abs(np.hypot(x - 850, y - 300) - 90) < 14
    pixels[rim] = (110, 110, 112)
    found = found_in(tmp_path / "a.tif", pixels)
    assert found["bubble"][rim].mean() > 0.9


def test_what_is_out_of_focus_is_found(tmp_path):
    pixels = tissue(1400, 1000)
    blurred = np.zeros(pixels.shape[:2], bool)
    blurred[200:800, 200:800] = True
    pixels = ((pixels - 180.0) * 1.8 + 180).clip(0, 255).astype(np.uint8)
    smooth = ndimage.gaussian_filter(pixels, (6, 6, 0))
    pixels[blurred] = smooth[blurred]
    found = found_in(tmp_path / "a.tif", pixels, ("blur",))
    assert found["blur"][blurred].mean() > 0.9
    near = ndimage.binary_dilation(blurred, iterations=80 + 32)  # the margin and a pixel's width
    assert not found["blur"][~near].any()
    assert found["blur"][~blurred].sum() < 0.5 * blurred.sum()


def test_outlines_hold_the_pixels_of_a_mask_and_no_others():
    random = np.random.default_rng(3)
    mask = random.random((9, 11)) > 0.5
    mask[2:6, 2:6] = True
    mask[3:5, 3:5] = False
    mask = mask.repeat(8, axis=0).repeat(8, axis=1)
    regions = mask_regions(mask, name="pen", corner=(5, 7))
    y, x = np.mgrid[:90, :100] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    again = np.zeros(90 * 100, bool)
    for region in regions:
        for ring in region.rings:  # holes are taken away again
            again ^= Path(ring).contains_points(centres)
    again = again.reshape(90, 100)
    assert (again == np.pad(mask, ((7, 11), (5, 7)))).all()
    assert mask_regions(np.zeros((4, 4), bool), name="pen") == []
    square = np.zeros((20, 20), bool)
    square[4:12, 2:18] = True
    (region,) = mask_regions(square, name="pen")
    assert isinstance(region, Region)
    assert len(region.outline) == 5
    assert {(2, 4), (18, 4), (18, 12), (2, 12)} == set(region.outline)


def test_a_stroke_over_an_edge_is_glass_on_one_side_and_tissue_on_the_other():
    pixels, mask = with_pen(tissue(480, 352))
    filled, left = with_glass(pixels, mask, mpp=0.5, seed=0)
    glass = mask & ~left
    _, x = np.mgrid[:352, :480]
    assert left[(x < 370) & mask].mean() > 0.98
    assert glass[(x > 402) & mask].mean() > 0.9
    assert np.abs(filled[glass].astype(int) - GLASS).max() <= 12
    assert (filled[~mask] == pixels[~mask]).all()


def test_a_strip_of_tissue_under_a_stroke_stays_tissue():
    empty = np.ones((200, 200), bool)
    empty[80:120] = False
    mask = np.zeros((200, 200), bool)
    mask[:, 90:110] = True
    share = glass_share(empty & ~mask, mask)
    assert share[100, 100] < 0.2
    assert share[30, 100] > 0.9
