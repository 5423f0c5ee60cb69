"""Pieces on several processes, and touched tiles in files: the same bytes, in bounded memory."""

import pickle
import tracemalloc

import numpy as np
import pytest
from spoilt_slides import tissue, write_jpeg_slide

from histosynth.annotation.regions import Region
from histosynth.core.errors import BadOption, BadRun
from histosynth.core.geometry import Box, Size
from histosynth.engine import EngineOptions, opening
from histosynth.patching import level_tiles, patches
from histosynth.patching import work as work_module
from histosynth.patching.level_tiles import tiles_of_levels
from histosynth.patching.patches import Patch, PatchFiles, PatchPlace, patch_path, write_patch
from histosynth.patching.pieces import canvas_box
from histosynth.patching.plan import make_plan
from histosynth.patching.work import PieceItems
from histosynth.pipeline.mend import MendOptions, mend
from histosynth.sampling.options import SamplingOptions
from histosynth.slides import open_slide
from histosynth.slides.carrying import open_carried

FAST = SamplingOptions(steps=2, exemplar=False, device="cpu", dtype="fp32")


def square(x, y, side):
    return Region("fold", ((x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)))


class OtherProcesses:
    """An engine whose every item is received by a process that has opened nothing, last ones first.

    Attributes:
        order: in which they were begun.
    """

    name = "other processes"

    def __init__(self):
        self.order = []

    def map(self, work, items, *, after=None):
        sent = [pickle.dumps((work, item)) for item in items]
        todo = list(range(len(items)))
        while todo:
            index = [each for each in todo if not set(after[each]) & set(todo)][-1]
            todo.remove(index)
            self.order.append(index)
            work_module._opened.clear()
            received, item = pickle.loads(sent[index])
            yield index, received(item)


def with_what_is_around(work, slide, piece):
    """A patch that depends on all that is read around a piece."""
    around = canvas_box(piece.box, work.plan, 2.0)
    level = slide.read(0, around).mean() / 2 + work.plan.mask(around).mean() * 100
    pixels = np.full((*piece.mask.shape, 3), level, np.uint8)
    return Patch(piece.box, pixels, piece.mask)


def test_the_bytes_are_the_same_in_other_processes_and_in_another_order(
    tmp_path, bundle_folder, monkeypatch
):
    """Three pieces, of which the second sees the first as known tissue."""
    slide = write_jpeg_slide(tmp_path / "a.tif", tissue(1400, 256), mpp=0.25)
    regions = [square(100, 100, 40), square(400, 100, 40), square(1000, 100, 40)]
    engine = OtherProcesses()
    monkeypatch.setitem(opening.ENGINES, "pool", lambda options: engine)
    monkeypatch.setattr(work_module, "paint_piece", with_what_is_around)
    monkeypatch.setattr(work_module, "LEAST_ENGINE_PX", 0)
    outs = []
    for name in ("local", "pool"):
        out = tmp_path / f"{name}.ome.tiff"
        options = MendOptions(FAST, engine=EngineOptions(name, 2))
        mend(slide, out, artifacts=regions, options=options, bundle=bundle_folder)
        outs.append(out.read_bytes())
    assert outs[0] == outs[1]
    assert engine.order == [2, 0, 1]


def test_little_is_painted_in_this_process(tmp_path, bundle_folder, monkeypatch):
    slide = write_jpeg_slide(tmp_path / "a.tif", tissue(1400, 256), mpp=0.25)
    engine = OtherProcesses()
    monkeypatch.setitem(opening.ENGINES, "pool", lambda options: engine)
    monkeypatch.setattr(work_module, "paint_piece", with_what_is_around)
    mend(
        slide,
        tmp_path / "b.ome.tiff",
        artifacts=[square(100, 100, 40), square(1000, 100, 40)],
        options=MendOptions(FAST, engine=EngineOptions("pool")),
        bundle=bundle_folder,
    )
    assert engine.order == []


def test_an_engine_that_is_not_there_is_refused(tmp_path, bundle_folder):
    slide = write_jpeg_slide(tmp_path / "a.tif", tissue(384, 256))
    with pytest.raises(BadOption, match="--workers"):
        mend(
            slide,
            tmp_path / "b.ome.tiff",
            artifacts=[square(100, 100, 60)],
            options=MendOptions(FAST, engine=EngineOptions("pool", 0)),
            bundle=bundle_folder,
        )


def test_a_piece_waits_for_those_that_it_shows_and_for_no_other(tmp_path):
    regions = [square(100, 100, 60), square(400, 100, 60), square(3000, 100, 60)]
    plan = make_plan(regions, Size(4000, 1000), grid=(16, 16), mpp=0.25, core_px=4096)
    items = PieceItems(plan, tmp_path, 2.0)
    assert items.before() == [[], [0], []]
    second, third = items.items([1, 2])
    assert [len(item.plan.regions) for item in (second, third)] == [2, 1]
    assert [place.box for place in second.before] == [plan.pieces[0].box]
    assert third.before == ()


def patch_files(folder, boxes):
    places = []
    for number, box in enumerate(boxes):
        pixels = np.full((box.height, box.width, 3), 90, np.uint8)
        path = patch_path(folder, number)
        write_patch(path, Patch(box, pixels, np.ones(pixels.shape[:2], bool)))
        places.append(PatchPlace(path, box))
    return PatchFiles(places)


def peak_of(carried, files, folder):
    tracemalloc.start()
    touched = [range(level.count) for level in carried.levels]
    found = tiles_of_levels(carried, files, folder, touched)
    for tiles in found:
        for index in sorted(tiles.indices):
            assert tiles.tile(index).painted.any()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, [len(tiles.indices) for tiles in found]


def test_memory_does_not_grow_with_the_tiles_that_are_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(level_tiles, "KEPT_TILE_BYTES", 1 << 19)
    monkeypatch.setattr(patches, "KEPT_PATCH_BYTES", 1 << 19)
    path = write_jpeg_slide(tmp_path / "a.tif", tissue(1024, 1536))
    boxes = [Box(x, y, 256, 256) for y in range(0, 1536, 256) for x in range(0, 1024, 256)]
    carried = open_carried(open_slide(path))
    carried.slide.read(0, Box(0, 0, 1024, 1536))  # its cache of decoded tiles is full
    few = peak_of(carried, patch_files(tmp_path / "few", boxes[:6]), tmp_path / "few")
    many = peak_of(carried, patch_files(tmp_path / "many", boxes), tmp_path / "many")
    assert few[1][0] == 24 and many[1][0] == 96
    assert many[0] < few[0] + (1 << 19)
    assert many[0] < 96 * 128 * 128 * 4


def test_a_patch_that_is_lost_meanwhile_is_refused(tmp_path):
    box = Box(0, 0, 64, 64)
    files = patch_files(tmp_path, [box])
    files.places[0].path.write_bytes(b"")
    with pytest.raises(BadRun, match="absent or damaged"):
        list(files.touching(box))
