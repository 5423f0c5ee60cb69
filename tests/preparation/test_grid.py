"""Grid: every pixel of tissue where it belongs, at the scale that is stated."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histosynth.core.errors import BadOption, FinerThanSlide
from histosynth.core.geometry import Box
from histosynth.preparation.grid import GridPlan, lay_grid, tissue_shares
from histosynth.slides.slide import PyramidLevel


def slide(
    width,
    height,
    mpp=0.5,
    steps=(1.0,),
):
    levels = [PyramidLevel(round(width / step), round(height / step), step) for step in steps]
    return SimpleNamespace(
        levels=levels,
        mpp=mpp,
        path=Path("s.svs"),
    )


@given(
    st.integers(64, 3000),
    st.integers(64, 3000),
    st.integers(32, 700),
    st.floats(0.2, 0.515),
)
def test_tiles_side_by_side_neither_overlap_nor_leave_gaps(
    width,
    height,
    size,
    mpp,
):
    grid = lay_grid(slide(width, height, mpp), GridPlan(size=size, mpp=0.5))
    seen = {corner for corner in grid.corners}
    assert len(seen) == len(grid.corners)
    assert all(x % size == 0 and y % size == 0 for x, y in seen)
    for index in range(len(grid.corners)):
        window = grid.window(index)
        assert window.x + window.width <= width + 1e-3 + grid.step
        assert window.y + window.height <= height + 1e-3 + grid.step


def test_scans_within_half_a_per_cent_are_taken_as_they_are_and_say_so():
    grid = lay_grid(slide(2220, 2967, 0.499), GridPlan(size=1024, mpp=0.5))
    assert grid.step == 1 and grid.mpp == pytest.approx(0.499)
    other = lay_grid(slide(2220, 2967, 0.46), GridPlan(size=512, mpp=0.5))
    assert other.step == pytest.approx(0.5 / 0.46) and other.mpp == pytest.approx(0.5)


def test_edges_are_dropped_moved_in_or_filled():
    one = slide(1000, 300)
    counts = {
        edge: len(lay_grid(one, GridPlan(size=256, edge=edge)).corners)
        for edge in ("drop", "shift", "pad")
    }
    assert counts == {"drop": 3, "shift": 8, "pad": 8}
    assert lay_grid(one, GridPlan(size=256, edge="shift")).corners[-1] == (744, 44)
    assert lay_grid(slide(100, 100), GridPlan(size=256, edge="pad")).corners == ((0, 0),)
    assert lay_grid(slide(100, 100), GridPlan(size=256)).corners == ()


def test_stride_overlaps_tiles():
    grid = lay_grid(slide(512, 256), GridPlan(size=256, stride=128))
    assert [x for x, _ in grid.corners] == [0, 128, 256]


def test_a_million_tiles_are_too_many():
    with pytest.raises(BadOption, match="at most 1,000,000"):
        lay_grid(slide(200_000, 200_000), GridPlan(size=32))


@given(
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_shares_are_those_counted_one_by_one(
    x,
    y,
    width,
    height,
):
    mask = np.random.default_rng(0).random((30, 40)) < 0.4
    (share,) = tissue_shares(mask, [Box(x * 2, y * 2, width * 2, height * 2)], (2.0, 2.0))
    assert share == pytest.approx(mask[y : y + height, x : x + width].sum() / (width * height))


@pytest.mark.parametrize(
    ("slide_mpp", "tile_mpp"), [(8.0, 0.5), (0.5, 0.0625), (1.0, 0.5), (0.52, 0.5), (0.5, 0.48)]
)
def test_tiles_finer_than_the_slide_are_refused_with_both_scales(slide_mpp, tile_mpp):
    with pytest.raises(FinerThanSlide) as refusal:
        lay_grid(slide(4000, 4000, mpp=slide_mpp), GridPlan(size=64, mpp=tile_mpp))
    assert str(refusal.value) == (
        f"Tiles of {tile_mpp:g} um/px are finer than s.svs, which was scanned at {slide_mpp:g} "
        "um/px: enlarging adds no detail. Set mpp of [tiles] (--tile-mpp) to "
        f"{slide_mpp:g} or more, or leave the slide out; if the slide states a wrong scale, give "
        "the right one with --mpp."
    )


@pytest.mark.parametrize(("slide_mpp", "tile_mpp"), [(0.5, 0.4999), (0.515, 0.5), (0.25, 0.5)])
def test_tiles_of_the_slide_s_scale_within_three_per_cent_are_not(slide_mpp, tile_mpp):
    assert lay_grid(slide(400, 400, mpp=slide_mpp), GridPlan(size=64, mpp=tile_mpp)).corners


def test_strides_of_less_than_a_pixel_are_refused():
    with pytest.raises(BadOption, match="at least one px of the slide"):
        lay_grid(slide(400, 400, mpp=0.51), GridPlan(size=64, stride=1, mpp=0.5))


@pytest.mark.parametrize("size", [24, 33, 100, 300, 500])
def test_a_tile_wholly_in_tissue_has_all_of_its_share(size):
    mask = np.ones((60, 60), bool)
    boxes = [Box(x, x, size, size) for x in range(0, 900 - size, 37)]
    assert (tissue_shares(mask, boxes, (16.0, 16.0)) == 1).all()
