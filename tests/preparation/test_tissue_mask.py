"""Tissue on glass, pale, fatty and pen-marked."""

import numpy as np
import pytest
from scipy import ndimage

from histosynth.preparation.tissue_mask import TissuePlan, density_over, glass_of, otsu, tissue_mask

PLAN = TissuePlan(mpp=8.0)
EOSIN = np.array([0.12, 0.42, 0.26])
GLASS = 244
SHAPE = (300, 400)


def blob(shape=SHAPE, centre=(150, 200), radius=70):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - centre[0], columns - centre[1]) < radius


def slide(
    where,
    *,
    dose=1.0,
    glass=GLASS,
    noise=2.0,
):
    """A thumbnail whose tissue stands at `where`."""
    random = np.random.default_rng(0)
    od = where[..., None] * EOSIN * dose * (1 + 0.3 * random.standard_normal((*where.shape, 1)))
    picture = glass * np.exp(-np.maximum(od, 0)) + noise * random.standard_normal((*where.shape, 3))
    return picture.clip(0, 255).astype(np.uint8)


def overlap(mask, wanted):
    return (mask & wanted).sum() / (mask | wanted).sum()


@pytest.mark.parametrize("dose", [0.25, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("glass", [200, 225, 248])
def test_pale_and_dark_tissue_is_found_on_any_glass(dose, glass):
    assert overlap(tissue_mask(slide(blob(), dose=dose, glass=glass), PLAN), blob()) > 0.93


def test_bare_glass_holds_no_tissue_and_a_full_slide_is_all_tissue():
    assert not tissue_mask(slide(np.zeros(SHAPE, bool)), PLAN).any()
    assert tissue_mask(slide(np.ones(SHAPE, bool)), PLAN).mean() > 0.99


@pytest.mark.parametrize("ink", [(40, 90, 200), (30, 140, 70), (25, 25, 30)])
def test_pen_is_no_tissue(ink):
    picture = slide(blob())
    picture[20:40, 20:380] = ink
    mask = tissue_mask(picture, PLAN)
    assert mask[20:40].mean() < 0.02 and overlap(mask, blob()) > 0.93


def test_fat_belongs_to_the_tissue_around_it():
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    membranes = (rows % 9 < 2) | (columns % 9 < 2)  # cells of 72 um with walls of 16 um
    mask = tissue_mask(slide(blob() & membranes), PLAN)
    assert overlap(mask, blob()) > 0.9


def test_small_pieces_go_and_small_holes_are_filled():
    ring = blob() & ~blob(radius=10)  # a hole of 0.02 mm2
    dust = blob(centre=(30, 30), radius=5)  # 0.005 mm2
    mask = tissue_mask(slide(ring | dust), PLAN)
    assert mask[150, 200] and not mask[:60, :60].any()
    assert not tissue_mask(slide(blob() & ~blob(radius=40)), PLAN)[
        150, 200
    ]  # 0.32 mm2 stays a hole


def test_lengths_are_micrometres_whatever_the_scale():
    coarse = slide(blob())
    fine = np.asarray(ndimage.zoom(coarse, (2, 2, 1), order=0))
    one = tissue_mask(coarse, PLAN)
    other = tissue_mask(fine, TissuePlan(mpp=4.0))
    assert overlap(other, np.kron(one, np.ones((2, 2), bool))) > 0.95


def test_density_is_zero_on_glass_of_any_tone():
    picture = slide(np.zeros(SHAPE, bool), glass=210)
    assert density_over(picture, glass_of(picture)).mean() < 0.02


def test_otsu_parts_two_groups():
    values = np.concatenate([np.full(900, 0.1), np.full(100, 0.9)]).astype(np.float32)
    assert 0.1 < otsu(values) < 0.9


def test_impossible_plans_are_refused():
    with pytest.raises(ValueError, match="mpp"):
        TissuePlan(mpp=0.1)
    with pytest.raises(ValueError, match="floor_od"):
        TissuePlan(floor_od=0.2)
