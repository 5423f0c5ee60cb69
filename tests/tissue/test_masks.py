"""Masks: each shape has the properties of its damage, and shapes can be chosen."""

import numpy as np
import pytest
from scipy import ndimage

from histosynth.core.errors import BadMask, BadOption
from histosynth.tissue import masks as masks
from histosynth.tissue.masks import SHAPES, draw_mask


def draws(shape: str, count: int = 40, side: int = 160) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [draw_mask(random, (side, side), shapes=(shape,)) for _ in range(count)]


def inner_radii(mask: np.ndarray) -> np.ndarray:
    """Distance to the edge along the ridge: half the width of what is drawn."""
    away = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1]
    return away[(away == ndimage.maximum_filter(away, 7)) & (away > 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_leaves_some_tissue_and_takes_some(shape):
    for size in ((64, 64), (160, 96), (512, 512)):
        random = np.random.default_rng(0)
        for _ in range(5):
            mask = draw_mask(random, size, shapes=(shape,))
            assert mask.shape == size[::-1] and mask.dtype == bool and 0.01 < mask.mean() < 0.85


def test_only_the_shapes_named_are_drawn(monkeypatch):
    seen = []
    for name, draw in dict(SHAPES).items():
        monkeypatch.setitem(
            SHAPES,
            name,
            lambda *a, name=name, draw=draw: (seen.append(name), draw(*a))[1],
        )
    random = np.random.default_rng(0)
    for _ in range(60):
        draw_mask(random, (96, 96), shapes=("pen", "tear"))
    assert set(seen) == {"pen", "tear"}
    seen.clear()
    for _ in range(200):
        draw_mask(random, (96, 96))
    assert set(seen) == set(SHAPES)


def test_a_seed_draws_one_mask_and_another_seed_another():
    for shape in ("pen", "bubbles"):
        one, again, other = (
            draw_mask(np.random.default_rng(seed), (128, 128), shapes=(shape,))
            for seed in (5, 5, 6)
        )
        assert (one == again).all() and (one != other).any()


def test_a_pen_s_line_has_one_width_and_is_long():
    random = np.random.default_rng(1)
    for stroke in (masks._line, masks._loop):
        for _ in range(20):
            path = stroke(random, 200, 200)
            steps = np.hypot(*np.diff(path, axis=0).T)
            assert steps.max() <= 0.75, "there are gaps in the line"
            assert steps.sum() > 0.5 * 200
            drawn = masks._trace([path], (200, 200), 6.0)
            radii = inner_radii(drawn)
            assert len(radii) == 0 or 5.0 < np.median(radii) < 8.0


def test_a_pen_s_line_is_smooth():
    random = np.random.default_rng(2)
    for _ in range(20):
        turns = np.diff(np.unwrap(np.arctan2(*np.diff(masks._line(random, 200, 200), axis=0).T)))
        assert np.abs(turns).max() < 0.1


def test_a_line_that_runs_just_off_the_tile_still_shows_its_edge():
    beside = np.stack([np.full(100, -3.0), np.linspace(0, 50, 100)], 1)
    assert masks._trace([beside], (50, 50), 6.0)[:3].all()
    assert not masks._trace([beside - (20, 0)], (50, 50), 6.0).any()


def test_pens_draw_loops_at_times_and_dots_at_times():
    parts = [ndimage.label(mask)[1] for mask in draws("pen")]
    closed = [ndimage.binary_fill_holes(mask).sum() > mask.sum() * 1.2 for mask in draws("pen")]
    assert max(parts) > 1 and min(parts) == 1
    assert any(closed) and not all(closed)


def test_bubbles_are_round_and_differ_in_size_and_some_are_rims():
    areas = []
    rims = 0
    for mask in draws("bubbles", 60):
        labelled, _ = ndimage.label(mask)
        for box in ndimage.find_objects(labelled):
            height, width = (part.stop - part.start for part in box)
            inside = all(part.start > 0 and part.stop < 160 for part in box)
            if inside and abs(height - width) <= 1 and height > 8:
                share = (labelled[box] > 0).mean()
                rims += share < 0.6
                areas += [height] if abs(share - np.pi / 4) < 0.06 else []
    assert len(areas) > 20 and max(areas) > 4 * min(areas)
    assert rims > 2


def test_bubbles_come_alone_and_in_crowds():
    counts = [ndimage.label(mask)[1] for mask in draws("bubbles", 60)]
    assert min(counts) == 1 and max(counts) >= 4


def test_a_shape_that_is_none_is_refused():
    with pytest.raises(BadOption, match=r"shapes is scratch, but must be of strokes, .*bubbles"):
        draw_mask(np.random.default_rng(0), (64, 64), shapes=("pen", "scratch"))


def test_a_tile_too_small_is_refused_and_not_tried_for_ever(monkeypatch):
    monkeypatch.setitem(
        SHAPES,
        "block",
        lambda random, height, width: np.ones((height, width), bool),
    )
    with pytest.raises(BadMask, match="4 x 4 px"):
        draw_mask(np.random.default_rng(0), (4, 4), shapes=("block",))
