"""Nuclei along fibres: what is drawn is what was measured."""

from dataclasses import replace

import numpy as np
import pytest

from histosynth.core.nuclei import Nuclei
from histosynth.core.orientation import FibreOrientation
from histosynth.tissue.alignment import ClassAlignment, measure_alignment
from histosynth.tissue.nucleus_sizes import LEVELS, ClassSizes, draw_shapes

SIZE = (1024, 1024)
CLASSES = ("epithelial", "lymphocyte", "stromal")
SIZES = tuple(
    ClassSizes(tuple(20 + 40 * level for level in LEVELS), tuple(1 + 2 * level for level in LEVELS))
    for _ in CLASSES
)
ALONG = (
    ClassAlignment(),
    ClassAlignment(factor=12.0, log_strength=(-1.2, 0.6)),
    ClassAlignment(factor=30.0, correlation=0.5, log_strength=(-1.2, 0.6)),
)


def nuclei(count=3000, seed=0):
    random = np.random.default_rng(seed)
    xy = random.uniform(0, 1000, (count, 2)).astype(np.float32)
    ids = random.integers(0, 3, count).astype(np.uint8)
    return Nuclei(xy, ids, CLASSES, SIZE, 0.5)


def fibres(angle=None, strength=None, seed=0):
    """Of one angle and strength, or of random ones in each cell."""
    random = np.random.default_rng(seed)
    twice = 2 * np.deg2rad(random.uniform(0, 180, (128, 128)) if angle is None else angle)
    strengths = strength
    if strength is None:
        strengths = np.exp(random.normal(-1.2, 0.6, (128, 128))).clip(max=1)
    axes = np.stack([strengths * np.cos(twice), strengths * np.sin(twice)], axis=-1)
    return FibreOrientation(np.broadcast_to(axes, (128, 128, 2)), SIZE)


def drawn(of, along=ALONG, **options):
    return draw_shapes(nuclei(), SIZES, seed=1, fibres=of, alignment=along, **options)


def test_what_is_drawn_is_measured_again():
    of = fibres()
    found = measure_alignment([(drawn(of), of)], CLASSES)
    assert found[0].factor < 1 and abs(found[0].correlation) < 0.08
    assert found[1].factor == pytest.approx(12, rel=0.15)
    assert found[2].factor == pytest.approx(30, rel=0.15)
    assert abs(found[1].correlation) < 0.08
    assert found[2].correlation == pytest.approx(0.5, abs=0.08)
    assert found[1].log_strength == pytest.approx((-1.2, 0.6), abs=0.08)


@pytest.mark.parametrize("angle", [0, 40, 90, 175])
def test_long_nuclei_lie_along_strong_fibres(angle):
    shapes = drawn(fibres(angle, 0.9))
    long = (shapes.class_ids == 2) & (shapes.shapes[:, 1] > 2)
    away = (shapes.shapes[long, 2] - angle + 90) % 180 - 90
    assert np.abs(away).max() < 30 and np.abs(away.mean()) < 1.5
    assert ((shapes.shapes[:, 2] >= 0) & (shapes.shapes[:, 2] < 180)).all()


def test_without_fibres_nuclei_lie_in_any_direction_as_before():
    plain = draw_shapes(nuclei(), SIZES, seed=1)
    none = drawn(fibres(30, 0.0))
    np.testing.assert_array_equal(plain.shapes, none.shapes)
    np.testing.assert_array_equal(plain.shapes, drawn(fibres(30, 0.5), ()).shapes)
    counts, _ = np.histogram(plain.shapes[:, 2], bins=6, range=(0, 180))
    assert counts.min() > 0.85 * 500


def test_shapes_that_are_given_stay_as_they_are():
    given = draw_shapes(nuclei(), SIZES, seed=5)
    led = draw_shapes(given, SIZES, seed=1, fibres=fibres(30, 0.9), alignment=ALONG)
    np.testing.assert_array_equal(led.shapes, given.shapes)


def test_too_few_nuclei_tell_nothing():
    some = nuclei(60)
    few = replace(draw_shapes(some, SIZES, seed=1), class_ids=np.uint8([2] * 10 + [0] * 50))
    found = measure_alignment([(few, fibres())], CLASSES)
    assert found[1] == found[2] == ClassAlignment()
    assert measure_alignment([], CLASSES) == (ClassAlignment(),) * 3


@pytest.mark.parametrize(
    ("altered", "problem"),
    [
        ({"factor": -1.0}, "factor"),
        ({"factor": float("nan")}, "factor"),
        ({"correlation": 1.0}, "correlation"),
        ({"log_strength": (0.0, 0.0)}, "log_strength"),
        ({"log_strength": (float("inf"), 1.0)}, "log_strength"),
    ],
)
def test_what_is_no_alignment_is_refused(altered, problem):
    with pytest.raises(ValueError, match=problem):
        ClassAlignment(**altered)
