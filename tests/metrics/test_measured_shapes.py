"""Shapes of nuclei measured in a tile."""

import numpy as np
import pytest

from histosynth.core.nuclei import Nuclei
from histosynth.core.nucleus_shapes import known_shapes
from histosynth.metrics.morphology.segment import SAMPLE_UM
from histosynth.metrics.morphology.shapes import shapes_of_masks, with_measured_shapes


def ellipse(area_um2, elongation, angle, side=101):
    radius = np.sqrt(area_um2 / np.pi) / SAMPLE_UM
    long_axis = radius * np.sqrt(elongation)
    rows, columns = np.mgrid[:side, :side] - side // 2
    turn = np.radians(angle)
    along = (columns * np.cos(turn) + rows * np.sin(turn)) / long_axis
    across = (rows * np.cos(turn) - columns * np.sin(turn)) / (long_axis / elongation)
    return along**2 + across**2 <= 1


@pytest.mark.parametrize("shape", [(30, 1.5, 20), (60, 2.5, 100), (100, 3, 170)])
def test_the_ellipse_of_a_mask_is_found(shape):
    found = shapes_of_masks(ellipse(*shape)[None])[0]
    assert found == pytest.approx(shape, rel=0.05)


def test_shapes_of_nuclei_are_those_of_their_outlines():
    pixels = np.full((128, 128, 3), (235, 190, 215), np.uint8)
    dark = np.array([90, 60, 140], np.uint8)
    places = [(40, 40, 50, 2.0, 45), (90, 80, 30, 1.0, 0)]
    rows, columns = np.mgrid[:128, :128]
    for x, y, area, elongation, angle in places:
        radius = np.sqrt(area / np.pi) / 0.5
        turn = np.radians(angle)
        dx = columns - x
        dy = rows - y
        along = (dx * np.cos(turn) + dy * np.sin(turn)) / (radius * np.sqrt(elongation))
        across = (dy * np.cos(turn) - dx * np.sin(turn)) / (radius / np.sqrt(elongation))
        pixels[along**2 + across**2 <= 1] = dark
    nuclei = Nuclei.of(
        [[40, 40], [90, 80], [20, 110]],
        ["a"] * 3,
        size=(128, 128),
        mpp=0.5,
        classes=("a",),
        shapes=[[np.nan] * 3, [77, 3, 10], [np.nan] * 3],
    )
    found = with_measured_shapes(pixels, nuclei).shapes
    assert found[0] == pytest.approx([50, 2, 45], rel=0.12)
    assert found[1].tolist() == [77, 3, 10]  # what was given stays
    assert not known_shapes(found)[2]  # there is no nucleus
