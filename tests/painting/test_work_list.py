"""Pieces of work: each waits for all that it reads, and nothing is done that is not needed."""

from dataclasses import replace

import numpy as np
import pytest

from histosynth.core.geometry import Box
from histosynth.painting.lattice import Lattice, WindowAxis
from histosynth.painting.pieces import remaining_readers
from histosynth.painting.pixels import PLOT_PX, needed_cells
from histosynth.painting.work_list import Area, Finished, list_work, whole_plot

CELL_PX = 8
PHASES = 2


def nothing(*_):
    return False


NOTHING = Finished(nothing, nothing, nothing)


def lattice_of(slide):
    axes = [WindowAxis(-(-side // CELL_PX), grid=8) for side in slide.size]
    return Lattice(*axes)


def listed(slide, box=None, finished=NOTHING, phases=PHASES):
    area = Area(box or slide, PLOT_PX)
    return list_work(lattice_of(slide), area, phases, finished, slide)


def places_of(work, step):
    return {(piece.column, piece.row) for piece in work.pieces if piece.step == step}


def windows_that_are_read(work, slide, area, piece):
    """(phase, column, row) of all windows whose latents a piece reads."""
    lattice = lattice_of(slide)
    if piece.step < work.phases:
        # blending reads under all of a window, also where it reaches beyond the canvas
        cells = lattice.window(piece.column, piece.row)
        phases = range(piece.step)
    else:
        plot = (piece.column, piece.row)
        if piece.step == work.blocks_step:
            box = area.block_box(*plot)
            plot = (box.x // PLOT_PX, box.y // PLOT_PX)
        _, cells = needed_cells(whole_plot(*plot, slide), lattice.canvas)
        phases = [work.phases - 1]
    for phase in phases:
        for row in range(lattice.rows.count):
            for column in range(lattice.columns.count):
                if lattice.window(column, row).intersect(cells):
                    yield phase, column, row


SLIDES = {
    "one window": Box(0, 0, 600, 500),
    "four windows": Box(0, 0, 1300, 1100),
    "a short last window": Box(0, 0, 1032, 1030),
    "many": Box(0, 0, 5000, 4100),
    "narrow": Box(0, 0, 40, 6000),
}
REGIONS = {
    "all": None,
    "unaligned": (0.3, 0.2, 0.5, 0.6),
    "a corner": (0.9, 0.95, 0.1, 0.05),
}


def region_of(slide, shares):
    if shares is None:
        return slide
    x, y, width, height = (
        round(share * side) for share, side in zip(shares, (*slide.size, *slide.size), strict=True)
    )
    return Box(x, y, max(width, 1), max(height, 1))


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("name", SLIDES)
@pytest.mark.parametrize("phases", [1, 2, 3])
def test_a_piece_waits_for_all_that_it_reads_and_for_earlier_ones_alone(name, region, phases):
    slide = SLIDES[name]
    box = region_of(slide, REGIONS[region])
    area = Area(box, PLOT_PX)
    work = listed(slide, box, phases=phases)
    assert len(set(work.pieces)) == len(work.pieces) == len(work.after)
    for index, (piece, needs) in enumerate(zip(work.pieces, work.after, strict=True)):
        assert all(need < index for need in needs) and len(set(needs)) == len(needs)
        waited = [work.pieces[need] for need in needs]
        if piece.step == work.blocks_step and not area.is_aligned:
            plots = {(each.column, each.row) for each in waited}
            assert plots == set(area.plots(area.block_box(piece.column, piece.row)))
            continue
        found = {(each.step, each.column, each.row) for each in waited}
        assert found == set(windows_that_are_read(work, slide, area, piece))


@pytest.mark.parametrize("name", SLIDES)
def test_all_blocks_are_listed_and_each_plot_is_done_once(name):
    slide = SLIDES[name]
    across, down = -(-slide.width // PLOT_PX), -(-slide.height // PLOT_PX)
    every = {(column, row) for column in range(across) for row in range(down)}
    work = listed(slide)
    assert places_of(work, work.blocks_step) == every
    assert not places_of(work, work.plots_step)  # each block is one plot
    lattice = lattice_of(slide)
    windows = {
        (column, row)
        for column in range(lattice.columns.count)
        for row in range(lattice.rows.count)
    }
    assert [places_of(work, phase) for phase in range(PHASES)] == [windows] * PHASES


def test_blocks_are_plots_where_the_region_lies_on_their_grid():
    slide = Box(0, 0, 9000, 9000)
    assert Area(Box(2048, 1024, 3000, 700), PLOT_PX).is_aligned
    assert not Area(Box(2048, 1023, 3000, 700), PLOT_PX).is_aligned
    assert not Area(Box(0, 0, 3000, 700), 512).is_aligned
    aligned = listed(slide, Box(2048, 1024, 1024, 1024))
    assert not places_of(aligned, aligned.plots_step)
    moved = listed(slide, Box(2040, 1024, 1024, 1024))
    assert places_of(moved, moved.plots_step) == {(1, 1), (2, 1)}
    assert places_of(moved, moved.blocks_step) == {(0, 0)}


def test_a_region_costs_what_its_area_costs_on_a_slide_of_any_size():
    counts = set()
    for side in (20_000, 50_000, 200_000):
        slide = Box(0, 0, side, side)
        counts.add(len(listed(slide, Box(5120, 5120, 1024, 1024)).pieces))
    # the windows of a plot, those next to them, and the block
    (count,) = counts
    assert count <= 3 * 3 + 5 * 5 + 1


def test_nothing_is_done_where_all_blocks_are_finished():
    work = listed(SLIDES["many"], finished=replace(NOTHING, block=lambda *_: True))
    assert work.pieces == [] and work.after == []


def test_windows_of_finished_blocks_are_not_painted_again():
    slide = SLIDES["many"]
    work = listed(
        slide, finished=replace(NOTHING, block=lambda column, row: (column, row) != (0, 0))
    )
    assert places_of(work, work.blocks_step) == {(0, 0)}
    assert places_of(work, 1) == {(0, 0), (1, 0), (0, 1), (1, 1)}
    assert places_of(work, 0) == {(column, row) for column in range(3) for row in range(3)}


def test_a_window_that_is_there_is_neither_done_nor_waited_for():
    slide = SLIDES["four windows"]
    work = listed(slide, finished=replace(NOTHING, window=lambda phase, *_: phase == 1))
    assert {piece.step for piece in work.pieces} == {work.blocks_step}
    assert not any(work.after)


def test_a_missing_window_of_the_last_phase_brings_back_those_before():
    slide = SLIDES["many"]
    missing = {(1, 2, 2), (0, 1, 2), (0, 4, 4)}
    finished = replace(NOTHING, window=lambda *place: place not in missing)
    work = listed(slide, finished=finished)
    windows = {(each.step, each.column, each.row) for each in work.pieces if each.step < PHASES}
    assert windows == {(1, 2, 2), (0, 1, 2)}  # nobody reads the one at the corner any more
    assert len(places_of(work, work.blocks_step)) == 5 * 5
    (last,) = [index for index, each in enumerate(work.pieces) if each.step == 1]
    (needed,) = work.after[last]
    assert work.pieces[needed].step == 0


def test_plots_that_are_kept_need_no_windows():
    slide = SLIDES["many"]
    box = Box(1000, 1000, 1100, 1000)
    work = listed(slide, box, replace(NOTHING, plot=lambda *_: True))
    assert {piece.step for piece in work.pieces} == {work.blocks_step}
    one = listed(slide, box, replace(NOTHING, plot=lambda column, row: (column, row) != (1, 1)))
    assert places_of(one, one.plots_step) == {(1, 1)}


def test_work_goes_down_the_slide():
    """Latents of few rows are kept at a time."""
    slide = Box(0, 0, 3000, 60_000)
    work = listed(slide)
    readers = remaining_readers(work)
    kept, most = 0, 0
    for piece, needs in zip(work.pieces, work.after, strict=True):
        kept += piece.step < PHASES
        for need in needs:
            readers[need] -= 1
            kept -= not readers[need]
        most = max(most, kept)
    assert kept == 0
    columns = lattice_of(slide).columns.count
    assert most <= 8 * columns


def test_each_result_is_counted_for_those_that_read_it():
    work = listed(SLIDES["many"])
    expected = np.zeros(len(work.pieces), int)
    for needs in work.after:
        expected[needs] += 1
    readers = remaining_readers(work)
    assert readers == expected.tolist()
    of_windows = [
        count for piece, count in zip(work.pieces, readers, strict=True) if piece.step < 2
    ]
    assert min(of_windows) >= 1  # nothing is painted that nobody reads
