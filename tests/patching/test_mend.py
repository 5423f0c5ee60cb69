"""A slide with spoilt places in; equal everywhere else out, and continued after a stop."""

import json
import shutil
from collections import namedtuple

import numpy as np
import openslide
import pytest
import tifffile
from spoilt_slides import tissue, with_pen, write_jpeg_slide

import histosynth as hs
from histosynth.annotation.regions import Region, read_regions, region_mask, write_regions
from histosynth.core.errors import (
    BadOption,
    BadRegions,
    HistosynthError,
    NotWritable,
    ResumeMismatch,
    ScaleMismatch,
    UnreadableImage,
)
from histosynth.core.geometry import Box, Size
from histosynth.patching import work as work_module
from histosynth.patching.plan import MAX_DEPTH_UM, check_regions, make_plan
from histosynth.pipeline.mend import MendOptions, mend
from histosynth.pipeline.slide_artefacts import find_slide_artefacts
from histosynth.sampling.options import SamplingOptions
from histosynth.slides import open_slide
from histosynth.slides.writing import read_slide_recipe

SIZE = Size(700, 420)
FAST = SamplingOptions(steps=2, exemplar=False, device="cpu", dtype="fp32")
OPTIONS = MendOptions(FAST)


def square(x, y, side, name="fold"):
    return Region(name, ((x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)))


@pytest.fixture
def slide(tmp_path):
    pixels, _ = with_pen(tissue(*SIZE), half_width=24)
    return write_jpeg_slide(tmp_path / "a.tif", pixels)


def all_levels(path):
    slide = open_slide(path)
    return [
        slide.read(number, Box(0, 0, level.width, level.height))
        for number, level in enumerate(slide.levels)
    ]


def files_of(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_slide_is_equal_outside_of_what_is_painted(slide, tmp_path, bundle_folder):
    out = tmp_path / "b.ome.tiff"
    given = tmp_path / "given.geojson"
    write_regions(given, [square(40, 60, 50), square(600, 300, 60, "pen")])
    result = mend(slide, out, artifacts=given, options=OPTIONS, bundle=bundle_folder)
    assert result.regions == {"fold": 1, "pen": 1}
    assert [level.differing_px for level in result.levels] == [0, 0]
    assert files_of(tmp_path) == {"a.tif", "given.geojson", "b.ome.tiff", "b.synthetic.geojson"}
    regions = read_regions(result.geojson)
    assert {region.name for region in regions} == {"synthetic: fold", "synthetic: pen"}
    allowed = region_mask(regions, SIZE.shape, (1, 1))
    before, after = all_levels(slide), all_levels(out)
    differs = (before[0] != after[0]).any(axis=2)
    assert not differs[~allowed].any()
    assert differs[60:110, 40:90].mean() > 0.5
    assert allowed[60:110, 40:90].all() and allowed[300:360, 600:660].all()
    below = (before[1] != after[1]).any(axis=2)
    assert below[16:26, 11:21].mean() > 0.5
    assert not below[60:, 40:120].any()
    assert len(openslide.OpenSlide(str(out)).level_dimensions) == 2
    with tifffile.TiffFile(out) as tiff:
        assert len(tiff.series[0].levels) == 2
    recipe = read_slide_recipe(out)
    assert recipe["synthetic"] is True and recipe["extent"] == "regions"
    assert recipe["regions"]["counts"] == {"fold": 1, "pen": 1}
    assert "a.tif" not in json.dumps(recipe)
    assert open_slide(out).mpp == pytest.approx(0.5)


def test_the_same_command_gives_the_same_bytes_and_finds_them_there(slide, tmp_path, bundle_folder):
    regions = [square(100, 100, 40)]
    names = ("b.ome.tiff", "c.ome.tiff")
    for name in names:
        mend(slide, tmp_path / name, artifacts=regions, options=OPTIONS, bundle=bundle_folder)
    first, second = ((tmp_path / name).read_bytes() for name in names)
    assert first == second
    again = mend(
        slide, tmp_path / names[0], artifacts=regions, options=OPTIONS, bundle=bundle_folder
    )
    assert again.was_there and not again.levels
    other = [square(100, 104, 40)]
    with pytest.raises(NotWritable, match="not what these options give"):
        mend(slide, tmp_path / names[0], artifacts=other, options=OPTIONS, bundle=bundle_folder)


def test_a_run_that_was_stopped_goes_on(slide, tmp_path, bundle_folder, monkeypatch):
    out = tmp_path / "b.ome.tiff"
    regions = [square(40, 60, 40), square(560, 60, 40)]
    painted = []
    paint = work_module.paint_piece

    def stopping(work, over, piece):
        if painted:
            raise KeyboardInterrupt
        painted.append(piece.box)
        return paint(work, over, piece)

    monkeypatch.setattr(work_module, "paint_piece", stopping)
    with pytest.raises(KeyboardInterrupt):
        mend(slide, out, artifacts=regions, options=OPTIONS, bundle=bundle_folder)
    assert not out.exists()
    with pytest.raises(ResumeMismatch, match="seed"):
        other = MendOptions(SamplingOptions(seed=4, steps=2, exemplar=False, dtype="fp32"))
        mend(slide, out, artifacts=regions, options=other, bundle=bundle_folder)
    painted.clear()
    mend(slide, out, artifacts=regions, options=OPTIONS, bundle=bundle_folder)
    assert len(painted) == 1  # the other one was there
    whole = tmp_path / "c.ome.tiff"
    painted.clear()
    monkeypatch.setattr(work_module, "paint_piece", paint)
    mend(slide, whole, artifacts=regions, options=OPTIONS, bundle=bundle_folder)
    assert whole.read_bytes() == out.read_bytes()
    assert not list(tmp_path.glob("*.parts"))


def test_a_finer_slide_is_painted_at_the_bundles_scale(tmp_path, bundle_folder):
    path = write_jpeg_slide(tmp_path / "a.tif", tissue(800, 640), mpp=0.25, chroma="444")
    out = tmp_path / "b.ome.tiff"
    result = mend(
        path, out, artifacts=[square(200, 200, 80)], options=OPTIONS, bundle=bundle_folder
    )
    assert result.recipe["painted_mpp"] == pytest.approx(0.5)
    allowed = np.zeros((640, 800), bool)
    allowed[192:288, 192:288] = True
    differs = (all_levels(path)[0] != all_levels(out)[0]).any(axis=2)
    assert differs[allowed].mean() > 0.5
    assert not differs[~allowed].any()


def test_a_slide_in_strips_is_refused_and_written_anew_where_it_is_wanted(tmp_path, bundle_folder):
    path = tmp_path / "a.tif"
    pixels = tissue(*SIZE)
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb",
        resolution=(20_000, 20_000),
        resolutionunit=3,
        metadata=None,
        iccprofile=b"icc" * 50,
    )
    out = tmp_path / "b.ome.tiff"
    regions = [square(100, 100, 50)]
    with pytest.raises(UnreadableImage, match="--rewrite deflate"):
        mend(
            path,
            out,
            artifacts=regions,
            options=MendOptions(FAST, mpp=0.5),
            bundle=bundle_folder,
        )
    assert files_of(tmp_path) == {"a.tif"}
    options = MendOptions(FAST, rewrite="deflate", mpp=0.5)
    result = mend(path, out, artifacts=regions, options=options, bundle=bundle_folder)
    (proof,) = result.levels
    with tifffile.TiffFile(out) as tiff:
        assert tiff.pages[0].iccprofile == b"icc" * 50
    assert proof.differing_px == 0 and 2500 <= proof.painted_px <= 51 * 51
    after = all_levels(out)[0]
    differs = (after != pixels).any(axis=2)
    assert differs[100:150, 100:150].mean() > 0.5
    differs[99:151, 99:151] = False
    assert not differs.any()


@pytest.mark.parametrize("rewrite", ["", "deflate"])
def test_a_disk_without_room_is_refused_before_any_work(
    slide, tmp_path, bundle_folder, monkeypatch, rewrite
):
    full = namedtuple("usage", "total used free")(10, 9, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(NotWritable, match="are free"):
        mend(
            slide,
            tmp_path / "b.ome.tiff",
            artifacts=[square(100, 100, 50)],
            options=MendOptions(FAST, rewrite=rewrite),
            bundle=bundle_folder,
        )
    assert files_of(tmp_path) == {"a.tif"}


def test_regions_that_cannot_be_painted_are_refused_with_nothing_written(
    slide, tmp_path, bundle_folder
):
    out = tmp_path / "b.ome.tiff"
    beyond = [square(SIZE.width - 20, 10, 50)]
    everything = [square(-0.5, -0.5, 419)]
    for regions, sentence in (
        ([], "No region"),
        (beyond, "30 px beyond the slide"),
        (everything, "of the slide"),
    ):
        with pytest.raises(BadRegions, match=sentence):
            mend(slide, out, artifacts=regions, options=OPTIONS, bundle=bundle_folder)
    empty = tmp_path / "empty.geojson"
    empty.write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(HistosynthError):
        mend(slide, out, artifacts=empty, options=OPTIONS, bundle=bundle_folder)
    assert files_of(tmp_path) == {"a.tif", "empty.geojson"}


def test_options_that_cannot_be_used_are_refused(slide, tmp_path, bundle_folder):
    out = tmp_path / "b.ome.tiff"
    with pytest.raises(BadOption, match=r"ome\.tiff"):
        mend(slide, tmp_path / "b.tif")
    with pytest.raises(BadOption, match="pen"):
        mend(slide, out, options=MendOptions(FAST, only=("pens",)))
    with pytest.raises(BadOption, match="deflate"):
        mend(slide, out, options=MendOptions(FAST, rewrite="jpeg"))
    with pytest.raises(ScaleMismatch, match="1"):
        mend(
            slide,
            out,
            artifacts=[square(9, 9, 9)],
            options=MendOptions(FAST, mpp=1.0),
            bundle=bundle_folder,
        )
    assert files_of(tmp_path) == {"a.tif"}


def test_what_is_found_is_painted(slide, tmp_path, bundle_folder):
    found = find_slide_artefacts(slide, tmp_path / "found.geojson", only=("pen",))
    assert found.regions == {"pen": 1}
    assert 0 < found.share < 0.2
    options = MendOptions(FAST, only=("pen",))
    result = hs.mend(slide, tmp_path / "b.ome.tiff", options=options, bundle=bundle_folder)
    assert result.regions == {"pen": 1}
    same = hs.mend(
        slide,
        tmp_path / "c.ome.tiff",
        artifacts=tmp_path / "found.geojson",
        options=options,
        bundle=bundle_folder,
    )
    assert same.painted_px == result.painted_px
    left = find_slide_artefacts(result.path, tmp_path / "left.geojson", only=("pen",))
    assert left.regions == {} or left.area_mm2 < found.area_mm2 / 2


def test_given_nuclei_decide(slide, tmp_path, bundle_folder):
    points = tmp_path / "n.csv"
    rows = [f"{x},{y},epithelial" for x in range(60, 160, 18) for y in range(60, 160, 18)]
    points.write_text("\n".join(["x,y,class", *rows]))
    regions = [square(80, 80, 60)]
    drawn = mend(
        slide, tmp_path / "b.ome.tiff", artifacts=regions, options=OPTIONS, bundle=bundle_folder
    )
    options = MendOptions(FAST, nuclei=points)
    given = mend(
        slide, tmp_path / "c.ome.tiff", artifacts=regions, options=options, bundle=bundle_folder
    )
    assert given.recipe["nuclei"]["sha256"] and drawn.recipe["nuclei"] is None
    assert (all_levels(given.path)[0] != all_levels(drawn.path)[0]).any()


def plan_of(regions, size=(4000, 4000), core_px=1024, mpp=0.5):
    return make_plan(regions, Size(*size), grid=(16, 16), mpp=mpp, core_px=core_px)


def test_pieces_hold_every_region_once():
    regions = [square(100, 100, 60, "pen"), square(170, 100, 60, "fold"), square(2000, 2000, 90)]
    plan = plan_of(regions)
    assert [piece.names for piece in plan.pieces] == [("fold", "pen"), ("fold",)]
    shape = (4000, 4000)
    seen = np.zeros(shape, np.uint8)
    for piece in plan.pieces:
        assert piece.box.x % 16 == 0 and piece.box.y % 16 == 0
        seen[piece.box.slices] += piece.mask
    assert seen.max() == 1
    wanted = region_mask(regions, shape, (1, 1))
    assert (seen[wanted] == 1).all()
    assert plan.painted_px == int(seen.sum())


def test_a_long_stroke_is_cut_into_pieces_that_do_not_overlap():
    stroke = Region("pen", ((50, 900), (3900, 2500), (3900, 2600), (50, 1000), (50, 900)))
    plan = plan_of([stroke])
    assert len(plan.pieces) > 3
    assert all(max(piece.box.size) <= 1024 for piece in plan.pieces)
    seen = np.zeros((4000, 4000), np.uint8)
    for piece in plan.pieces:
        seen[piece.box.slices] += piece.mask
    assert seen.max() == 1
    assert (seen[region_mask([stroke], (4000, 4000), (1, 1))] == 1).all()


def test_a_region_may_be_so_wide_and_no_wider():
    side = int(2 * MAX_DEPTH_UM / 0.5)
    plan_of([square(500, 500, side - 64)])
    with pytest.raises(BadRegions, match="from any known tissue"):
        plan_of([square(500, 500, side + 64)])


def test_regions_are_checked_against_the_slide():
    check_regions([square(0, 0, 100)], Size(100, 100))
    check_regions([square(-9, 0, 100)], Size(100, 100))
    for beyond in (square(-11, 0, 100), square(0, 11, 100), square(-6, -6, 100)):
        with pytest.raises(BadRegions, match="px beyond"):
            check_regions([beyond], Size(100, 100))
    with pytest.raises(BadRegions, match="over the limit"):
        check_regions([square(0, 0, 5)] * 20_001, Size(100, 100))
