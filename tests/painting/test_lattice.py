"""Windows of a canvas: they cover it, and their weights add up to 1."""

import numpy as np
import pytest

from histosynth.core.geometry import Box
from histosynth.painting.lattice import OVERLAP_CELLS, WINDOW_CELLS, Lattice, WindowAxis

STRIDE = WINDOW_CELLS - OVERLAP_CELLS
AXES = [
    WindowAxis(cells, window, least, grid)
    for window, least, grid in ((128, 16, 1), (128, 16, 4), (128, 32, 8), (32, 32, 16))
    for cells in (
        1,
        15,
        16,
        17,
        window - 1,
        window,
        window + 1,
        window + OVERLAP_CELLS,
        2 * window - OVERLAP_CELLS,
        2 * window - OVERLAP_CELLS + 1,
        3 * (window - OVERLAP_CELLS) + OVERLAP_CELLS,
        5 * window,
        1000,
    )
]


def span(axis, index):
    return axis.start(index), axis.start(index) + axis.length(index)


def named(axis):
    return f"{axis.cells}-{axis.window}-{axis.least}-{axis.grid}"


@pytest.fixture(params=AXES, ids=named)
def axis(request):
    return request.param


def test_weights_of_all_windows_add_up_to_1(axis):
    last = span(axis, axis.count - 1)[1]
    total = np.zeros(last)
    for index in range(axis.count):
        first, after = span(axis, index)
        weights = axis.weights(index)
        assert weights.shape == (axis.length(index),) and (weights > 0).all()
        total[first:after] += weights
    assert last >= axis.cells
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_windows_are_of_sizes_that_the_network_takes(axis):
    lengths = [axis.length(index) for index in range(axis.count)]
    assert all(length == axis.window for length in lengths[:-1])
    assert axis.least <= lengths[-1] <= axis.window
    assert lengths[-1] % axis.grid == 0


def test_no_window_is_needless(axis):
    if axis.count > 1:
        assert span(axis, axis.count - 2)[1] < axis.cells


def test_the_windows_that_hold_cells_are_all_found(axis):
    random = np.random.default_rng(axis.cells)
    pairs = [(0, 1), (axis.cells - 1, axis.cells), (0, axis.cells)]
    pairs += [sorted(random.choice(axis.cells + 1, 2, replace=False)) for _ in range(60)]
    for first, after in pairs:
        expected = [
            index
            for index in range(axis.count)
            if span(axis, index)[0] < after and first < span(axis, index)[1]
        ]
        assert list(axis.covering(int(first), int(after))) == expected and expected


def test_one_window_is_enough_up_to_its_side():
    assert WindowAxis(WINDOW_CELLS).count == 1
    assert (WindowAxis(WINDOW_CELLS).weights(0) == 1).all()
    longer = WindowAxis(WINDOW_CELLS + 1)
    assert longer.count == 2 and longer.length(1) == longer.least
    assert WindowAxis(STRIDE + WINDOW_CELLS).count == 2


@pytest.mark.parametrize("sides", [(163, 138), (16, 500), (129, 128), (368, 250)])
def test_weights_of_both_sides_add_up_to_1(sides):
    lattice = Lattice(WindowAxis(sides[0], grid=8), WindowAxis(sides[1], grid=8))
    total = np.zeros((sides[1] + WINDOW_CELLS, sides[0] + WINDOW_CELLS))
    held = set()
    for column, row in lattice.covering(lattice.canvas):
        window = lattice.window(column, row)
        weights = lattice.weights(column, row)
        assert weights.shape == window.size.shape
        total[window.slices] += weights
        held.add((column, row))
    assert len(held) == lattice.columns.count * lattice.rows.count
    np.testing.assert_allclose(total[lattice.canvas.slices], 1, atol=1e-6)


def test_windows_of_a_box_come_row_by_row():
    lattice = Lattice(WindowAxis(500), WindowAxis(400))
    box = Box(100, 110, 40, 20)
    assert list(lattice.covering(box)) == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert lattice.window(1, 1) == Box(STRIDE, STRIDE, WINDOW_CELLS, WINDOW_CELLS)
