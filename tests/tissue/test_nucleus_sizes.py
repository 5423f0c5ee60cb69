"""Typical sizes of nuclei, and sizes that are drawn from them."""

from dataclasses import replace

import numpy as np
import pytest

from histosynth.core.geometry import Box
from histosynth.core.nuclei import ANY_CLASS
from histosynth.core.nucleus_shapes import known_shapes
from histosynth.tissue.layout import draw_layout
from histosynth.tissue.nucleus_sizes import (
    LEVELS,
    ClassSizes,
    corrected_sizes,
    draw_shapes,
    measure_sizes,
)
from histosynth.tissue.position_hash import hashed_at, hashed_places

NUCLEI = draw_layout((512, 512), mpp=0.5, seed=0)
TYPICAL = ClassSizes(
    tuple(np.linspace(20, 60, len(LEVELS))),
    tuple(np.linspace(1, 2, len(LEVELS))),
)


def with_random_shapes(seed):
    random = np.random.default_rng(seed)
    count = len(NUCLEI)
    shapes = np.stack(
        [
            random.lognormal(3.5, 0.4, count),
            1 + random.gamma(2, 0.2, count),
            random.uniform(0, 180, count),
        ],
        axis=1,
    )
    return replace(NUCLEI, shapes=shapes.astype(np.float32))


def test_drawn_sizes_are_distributed_as_those_measured():
    tiles = [with_random_shapes(seed) for seed in range(4)]
    sizes = measure_sizes(tiles, NUCLEI.classes)
    drawn = [draw_shapes(NUCLEI, sizes, seed=seed).shapes for seed in range(4)]
    compared = 0
    for class_id in range(len(NUCLEI.classes)):
        own = NUCLEI.class_ids == class_id
        measured = np.concatenate([tile.shapes[own] for tile in tiles])
        made = np.concatenate([shapes[own] for shapes in drawn])
        if len(measured) < 300:
            continue
        for column in (0, 1):
            expected = np.quantile(measured[:, column], (0.1, 0.5, 0.9))
            found = np.quantile(made[:, column], (0.1, 0.5, 0.9))
            np.testing.assert_allclose(found, expected, rtol=0.08)
        compared += 1
    assert compared >= 2
    angles = np.concatenate(drawn)[:, 2]
    assert 80 < np.median(angles) < 100 and angles.min() >= 0 and angles.max() <= 180


def test_given_shapes_stay_and_unclassified_nuclei_get_none():
    shapes = np.full((len(NUCLEI), 3), np.nan, np.float32)
    shapes[3] = 44, 1.5, 30
    class_ids = NUCLEI.class_ids.copy()
    class_ids[5] = ANY_CLASS
    nuclei = replace(NUCLEI, shapes=shapes, class_ids=class_ids)
    drawn = draw_shapes(nuclei, [TYPICAL] * len(NUCLEI.classes), seed=1).shapes
    assert drawn[3].tolist() == [44, 1.5, 30]
    assert np.isnan(drawn[5]).all()
    assert known_shapes(drawn).sum() == len(NUCLEI) - 1


def test_a_nucleus_is_drawn_alike_whatever_others_there_are_and_another_seed_draws_others():
    sizes = [TYPICAL] * len(NUCLEI.classes)
    all_drawn = draw_shapes(NUCLEI, sizes, seed=7).shapes
    some = np.arange(len(NUCLEI)) % 3 == 0
    few = replace(NUCLEI, xy=NUCLEI.xy[some], class_ids=NUCLEI.class_ids[some])
    assert np.array_equal(draw_shapes(few, sizes, seed=7).shapes, all_drawn[some])
    assert not np.array_equal(draw_shapes(NUCLEI, sizes, seed=8).shapes, all_drawn)


def test_nothing_is_drawn_of_a_class_that_was_hardly_measured():
    nuclei = with_random_shapes(0)
    few = replace(
        nuclei,
        xy=nuclei.xy[:49],
        class_ids=np.zeros(49, np.uint8),
        shapes=nuclei.shapes[:49],
    )
    sizes = measure_sizes([few], NUCLEI.classes)
    assert sizes == (ClassSizes(),) * len(NUCLEI.classes)
    assert not known_shapes(draw_shapes(NUCLEI, sizes, seed=0).shapes).any()


@pytest.mark.parametrize(
    ("area", "elongation", "problem"),
    [
        ((30.0,), (1.0,), "area_um2 has 1 quantiles in place of 15"),
        ((30.0,) * 14 + (5000.0,), (1.0,) * 15, "quantiles of area_um2 must lie within 0.01..2000"),
        ((30.0,) * 15, (float("nan"),) * 15, "quantiles of elongation must lie within 1..20"),
        ((31.0,) + (30.0,) * 14, (1.0,) * 15, "quantiles of area_um2 must ascend"),
        ((30.0,) * 15, (), "area_um2 and elongation must be known of the same classes"),
    ],
)
def test_quantiles_that_cannot_be_are_refused(area, elongation, problem):
    with pytest.raises(ValueError, match=problem):
        ClassSizes(area, elongation)


def test_single_places_have_the_numbers_of_windows():
    window = hashed_at(5, -3, 2, width=4, height=3, count=2)
    x, y = np.meshgrid(np.arange(-3, 1), np.arange(2, 5))
    places = hashed_places(5, x.ravel(), y.ravel(), count=2)
    assert np.array_equal(places, window.reshape(2, -1))


def test_sizes_are_corrected_by_what_was_made_of_them():
    area = np.linspace(20, 60, len(LEVELS))
    elongation = np.linspace(1.1, 2, len(LEVELS))
    # small nuclei come out 30 % larger than drawn, all of them rounder by a fifth of the logarithm
    growth = np.linspace(1.3, 1, len(LEVELS))
    made = ClassSizes(tuple(area * growth), tuple(elongation**0.8))
    drawn = ClassSizes(tuple(area), tuple(elongation))
    real = drawn
    first, second = corrected_sizes(
        [drawn, drawn], real=[real, real], synthetic=[made, made], class_ids=[1]
    )
    assert first == drawn
    np.testing.assert_allclose(second.area_um2, area / growth, atol=1e-3)
    np.testing.assert_allclose(second.elongation, elongation**1.25, atol=1e-3)


def test_corrected_sizes_ascend_within_what_can_be_and_stay_where_too_few_were_measured():
    flat = ClassSizes((30.0,) * len(LEVELS), (20.0,) * len(LEVELS))
    falling = ClassSizes(tuple(np.linspace(1, 2000, len(LEVELS))), (1.0,) * len(LEVELS))
    (found,) = corrected_sizes([TYPICAL], real=[flat], synthetic=[falling], class_ids=[0])
    assert sorted(found.area_um2) == list(found.area_um2) and max(found.elongation) == 20
    unknown = ClassSizes()
    for each in ((unknown, flat, flat), (TYPICAL, unknown, flat), (TYPICAL, flat, unknown)):
        drawn, real, made = each
        assert corrected_sizes([drawn], real=[real], synthetic=[made], class_ids=[0]) == (drawn,)


def test_a_nucleus_of_a_slide_has_one_shape_in_all_windows():
    sizes = [TYPICAL] * len(NUCLEI.classes)
    whole = draw_shapes(NUCLEI, sizes, seed=7, corner=(4096, 1024))
    box = Box(131, 77, 300, 256)
    window = draw_shapes(NUCLEI.crop(box), sizes, seed=7, corner=(4096 + 131, 1024 + 77))
    expected = whole.crop(box)
    assert len(window) > 50
    np.testing.assert_array_equal(window.shapes, expected.shapes)
    elsewhere = draw_shapes(NUCLEI.crop(box), sizes, seed=7)
    assert (elsewhere.shapes[:, 0] != expected.shapes[:, 0]).mean() > 0.9
