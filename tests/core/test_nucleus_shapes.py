"""Sizes and shapes of nuclei: what they may be, and how they turn, move and are drawn."""

import numpy as np
import pytest

from histosynth.core.errors import BadNuclei
from histosynth.core.geometry import Box
from histosynth.core.nuclei import SHAPE_MAPS, Nuclei
from histosynth.core.nucleus_shapes import checked_shapes, known_shapes

CLASSES = ("a", "b")
NAN = float("nan")


def nuclei_of(xy, shapes, size=(96, 64), mpp=0.5):
    names = ["a"] * len(xy)
    return Nuclei.of(xy, names, size=size, mpp=mpp, classes=CLASSES, shapes=shapes)


SOME = nuclei_of(
    [[20.3, 30.1], [60, 20], [70, 50]],
    [[60, 2.5, 30], [30, 1, 0], [NAN, NAN, NAN]],
)


def test_an_ellipse_has_the_area_of_its_nucleus():
    for area, elongation, angle in ((30, 1, 0), (60, 2.5, 30), (100, 4, 110)):
        one = nuclei_of([[48, 32]], [[area, elongation, angle]])
        drawn = one.rasterize_shapes(cell=1)[0]
        assert (drawn > 0.25).sum() * 0.5**2 == pytest.approx(area, rel=0.06)
        rows, columns = np.nonzero(drawn > 0.25)
        covariance = np.cov(np.stack([columns, rows]))
        values, vectors = np.linalg.eigh(covariance)
        assert np.sqrt(values[1] / values[0]) == pytest.approx(elongation, rel=0.08)
        if elongation > 1:
            found = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180
            assert found == pytest.approx(angle, abs=3)


@pytest.mark.parametrize("index", range(8))
def test_shapes_turn_with_the_tile(index):
    turned = np.rot90(SOME.rasterize_shapes(cell=1), index % 4, axes=(1, 2))
    if index >= 4:
        turned = turned[:, :, ::-1]
    found = SOME.pose(index).rasterize_shapes(cell=1)
    np.testing.assert_allclose(found, turned, atol=2e-3)


def test_shapes_stay_with_their_nuclei():
    cropped = SOME.crop(Box(40, 0, 56, 64))
    np.testing.assert_array_equal(cropped.shapes, SOME.shapes[1:])
    np.testing.assert_array_equal(SOME.where(np.array([0, 0, 1], bool)).shapes, SOME.shapes[2:])
    plain = nuclei_of([[5, 5]], None)
    both = plain.concat(SOME)
    assert known_shapes(both.shapes).tolist() == [False, True, True, False]
    assert plain.concat(plain).shapes is None
    np.testing.assert_array_equal(SOME.to_mpp(0.25, (192, 128)).shapes, SOME.shapes)
    np.testing.assert_array_equal(SOME.shift(1, 0).shapes, SOME.shapes)
    forgotten = SOME.without_shape(np.array([True, False, False]))
    assert known_shapes(forgotten.shapes).tolist() == [False, True, False]


def test_unknown_shapes_leave_no_trace():
    maps = SOME.rasterize_shapes(cell=2)
    assert maps.shape == (SHAPE_MAPS, 32, 48)
    assert not maps[:, 20:, 30:].any()
    assert maps[1, 10, 30] > 0.8
    assert not nuclei_of([[5, 5]], None).rasterize_shapes().any()


def test_nuclei_that_touch_are_parted():
    pair = nuclei_of([[40, 32], [52, 32]], [[28, 1, 0], [28, 1, 0]])
    row = pair.rasterize_shapes(cell=1)[0, 32]
    assert row[46] < 0.7 < row[40] and row[46] < row[52]


def test_what_is_not_given_beside_an_area_is_round():
    shapes = checked_shapes([[50, NAN, NAN], [NAN, NAN, NAN], [20, 2, 200]], 3, tile_um2=4096)
    np.testing.assert_allclose(shapes, [[50, 1, 0], [NAN, NAN, NAN], [20, 2, 20]])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((-3, 1, 0), "impossible area_um2 (first: row 2, -3)"),
        ((0, 1, 0), "impossible area_um2"),
        ((5000, 1, 0), "impossible area_um2 (first: row 2, 5000)"),
        ((float("inf"), 1, 0), "impossible area_um2"),
        ((50, 0.5, 0), "impossible elongation (first: row 2, 0.5)"),
        ((50, 100, 0), "impossible elongation"),
        ((50, 2, float("inf")), "impossible angle"),
        ((NAN, 2, NAN), "impossible area_um2 (first: row 2, nan)"),
    ],
)
def test_shapes_that_no_nucleus_has_are_refused(row, words):
    with pytest.raises(BadNuclei) as caught:
        nuclei_of([[5, 5], [9, 9]], [[50, 1, 0], row])
    assert words in str(caught.value)


def test_an_area_larger_than_the_tile_is_refused():
    with pytest.raises(BadNuclei, match="at most 256 um2"):
        nuclei_of([[5, 5]], [[300, 1, 0]], size=(32, 32))
    with pytest.raises(BadNuclei, match=r"come as \(1, 3\), not as \(2, 3\)"):
        nuclei_of([[5, 5]], [[3, 1, 0]] * 2)
