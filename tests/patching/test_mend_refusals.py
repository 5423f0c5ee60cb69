"""What `mend` refuses before it paints, and files of others that it leaves as they are."""

import dataclasses
import json

import numpy as np
import pytest
import tifffile
from spoilt_slides import tissue, write_jpeg_slide

from histosynth.annotation.regions import Region, read_regions, region_mask, write_regions
from histosynth.core.errors import (
    BadOption,
    BadRegions,
    NotWritable,
    ResumeMismatch,
    UnreadableImage,
)
from histosynth.core.geometry import Box, Size
from histosynth.patching import rewriting, tile_checks
from histosynth.patching import run as run_module
from histosynth.patching import work as work_module
from histosynth.pipeline.mend import MendOptions, mend
from histosynth.pipeline.slide_artefacts import find_slide_artefacts
from histosynth.sampling.options import SamplingOptions
from histosynth.slides import open_slide
from histosynth.slides.carrying import writing_levels

SIZE = Size(384, 256)
FAST = SamplingOptions(steps=2, exemplar=False, device="cpu", dtype="fp32")
OPTIONS = MendOptions(FAST)


def square(x, y, side, name="fold"):
    return Region(name, ((x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)))


@pytest.fixture
def slide(tmp_path):
    return write_jpeg_slide(tmp_path / "a.tif", tissue(*SIZE))


@pytest.fixture
def paints_nothing(monkeypatch):
    def paint(work, over, piece):
        raise AssertionError("it was painted")

    monkeypatch.setattr(work_module, "paint_piece", paint)


def test_places_are_written_to_geojson_alone_and_never_over_the_slide(slide, tmp_path):
    before = slide.read_bytes()
    link = tmp_path / "link.geojson"
    link.symlink_to(slide)
    for out in (slide, tmp_path / "b.ome.tiff", link):
        with pytest.raises(BadOption, match="--out"):
            find_slide_artefacts(slide, out)
    assert slide.read_bytes() == before


def test_geojson_of_others_is_not_replaced(slide, tmp_path):
    out = tmp_path / "found.geojson"
    find_slide_artefacts(slide, out, only=("pen",))
    find_slide_artefacts(slide, out, only=("pen",))
    out.write_text("drawn by hand")
    with pytest.raises(NotWritable, match="changed since"):
        find_slide_artefacts(slide, out, only=("pen",))
    assert out.read_text() == "drawn by hand"


@pytest.mark.parametrize("form", ["text", "folder", "link"])
def test_another_file_in_place_of_the_polygons_is_refused_before_painting(
    slide, tmp_path, bundle_folder, form, paints_nothing
):
    path = tmp_path / "b.synthetic.geojson"
    if form == "text":
        write_regions(path, [square(60, 60, 30)])
    elif form == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    artifacts = path if form == "text" else [square(60, 60, 30)]
    with pytest.raises(NotWritable, match="not what these options give"):
        mend(
            slide,
            tmp_path / "b.ome.tiff",
            artifacts=artifacts,
            options=OPTIONS,
            bundle=bundle_folder,
        )
    assert not list(tmp_path.glob("b.ome.tiff*"))


def test_polygons_are_there_before_the_slide_and_say_what_changes_at_lower_levels(
    slide, tmp_path, bundle_folder, monkeypatch
):
    out = tmp_path / "b.ome.tiff"
    path = tmp_path / "b.synthetic.geojson"
    write = run_module.write_output
    seen = []

    def writing(*given):
        seen.append((path.exists(), out.exists()))
        return write(*given)

    monkeypatch.setattr(run_module, "write_output", writing)
    mend(slide, out, artifacts=[square(70, 70, 20)], options=OPTIONS, bundle=bundle_folder)
    assert seen == [(True, False)]
    (feature,) = json.loads(path.read_text())["features"]
    assert feature["properties"]["level"] == 0
    (lower,) = feature["properties"]["lower_levels"]
    assert lower == {"level": 1, "px_around": 4 * 17}
    allowed = region_mask(read_regions(path), SIZE.shape, (1, 1))
    rows, columns = np.nonzero(allowed)
    around = lower["px_around"]
    inside = np.zeros((64, 96), bool)
    inside[
        max(rows.min() - around, 0) // 4 : (rows.max() + 1 + around) // 4,
        max(columns.min() - around, 0) // 4 : (columns.max() + 1 + around) // 4,
    ] = True
    box = Box(0, 0, 96, 64)
    differs = (open_slide(slide).read(1, box) != open_slide(out).read(1, box)).any(axis=2)
    assert differs.any() and not differs[~inside].any()


def test_a_slide_that_fails_leaves_no_polygons(slide, tmp_path, bundle_folder, monkeypatch):
    def failing(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "write_output", failing)
    words = {"artifacts": [square(70, 70, 20)], "bundle": bundle_folder}
    with pytest.raises(KeyboardInterrupt):
        mend(slide, tmp_path / "b.ome.tiff", options=OPTIONS, **words)
    assert not (tmp_path / "b.synthetic.geojson").exists()
    other = MendOptions(FAST, mpp=0.49)
    with pytest.raises(ResumeMismatch, match="mpp"):
        mend(slide, tmp_path / "b.ome.tiff", options=other, **words)


def test_options_without_effect_are_refused(slide, tmp_path):
    out = tmp_path / "b.ome.tiff"
    with pytest.raises(BadOption, match="--nuclei"):
        mend(slide, out, options=MendOptions(FAST, classes=tmp_path / "c.toml"))
    with pytest.raises(BadOption, match="label"):
        mend(slide, out, options=MendOptions(SamplingOptions(label="breast")))


def test_a_file_has_its_own_classes(slide, tmp_path, bundle_folder):
    given = tmp_path / "given.geojson"
    write_regions(given, [square(60, 60, 20, "Ink spot"), square(200, 60, 20, "Other")])
    words = {"artifacts": given, "bundle": bundle_folder}
    out = tmp_path / "b.ome.tiff"
    with pytest.raises(BadRegions, match="Ink spot, Other"):
        mend(slide, out, options=MendOptions(FAST, only=("fold",)), **words)
    result = mend(slide, out, options=MendOptions(FAST, only=("INK spot",)), **words)
    assert result.regions == {"Ink spot": 1}


def test_lines_are_no_areas(slide, tmp_path, bundle_folder):
    given = tmp_path / "line.geojson"
    line = {"type": "LineString", "coordinates": [[10, 10], [90, 90]]}
    feature = {"type": "Feature", "geometry": line, "properties": {"objectType": "annotation"}}
    given.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(BadRegions, match="lines and points are no areas"):
        mend(
            slide,
            tmp_path / "b.ome.tiff",
            artifacts=given,
            options=OPTIONS,
            bundle=bundle_folder,
        )


def change_tile(path, level, index, change):
    """Change a tile's bytes, or its count of them to 0."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[level]
        at, count = page.dataoffsets[index], page.databytecounts[index]
        tag = page.tags[325]
        counts = tag.valueoffset, {3: 2, 4: 4, 16: 8}[int(tag.dtype)]
    data = bytearray(path.read_bytes())
    if change is None:
        start, width = counts
        data[start + index * width : start + (index + 1) * width] = bytes(width)
    else:
        tile = change(bytes(data[at : at + count]))
        data[at : at + count] = tile
    path.write_bytes(data)


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (None, "never scanned"),
        (lambda tile: tile.replace(b"\xff\xc0", b"\xff\xc2", 1), "not baseline"),
        (lambda tile: tile.replace(b"\x01\x22\x00", b"\x01\x11\x00", 1), "blocks of JPEG"),
        (lambda tile: b"\0\0" + tile[2:], "no JPEG stream"),
    ],
)
def test_a_touched_tile_that_cannot_be_edited_is_refused_before_painting(
    tmp_path, bundle_folder, paints_nothing, level, change, sentence
):
    slide = write_jpeg_slide(tmp_path / "a.tif", tissue(768, 640))
    index = {0: 7, 1: 1}[level]
    change_tile(slide, level, index, change)
    out = tmp_path / "b.ome.tiff"
    region = square(600, 150, 30) if level else square(150, 150, 30)
    with pytest.raises(UnreadableImage, match=sentence) as caught:
        mend(slide, out, artifacts=[region], options=OPTIONS, bundle=bundle_folder)
    place = "(512, 0)" if level else "(128, 128)"
    assert place in str(caught.value) and f"level {level}" in str(caught.value)
    assert not list(tmp_path.glob("b.*"))


def test_levels_too_far_apart_are_refused(slide, tmp_path, bundle_folder, monkeypatch):
    monkeypatch.setattr(tile_checks, "MAX_TILE_ABOVE_PX", 512 * 512 - 1)
    with pytest.raises(UnreadableImage, match="512 x 512 px of the level above"):
        mend(
            slide,
            tmp_path / "b.ome.tiff",
            artifacts=[square(70, 70, 20)],
            options=OPTIONS,
            bundle=bundle_folder,
        )


def test_the_written_file_is_decoded_by_its_own_tags(tmp_path, bundle_folder, monkeypatch):
    """A predictor that is not stated is found, though all bytes of tiles are right."""
    slide = tmp_path / "a.tif"
    tifffile.imwrite(
        slide,
        tissue(*SIZE),
        tile=(128, 128),
        compression="deflate",
        predictor=True,
        photometric="rgb",
        resolution=(20_000, 20_000),
        resolutionunit=3,
        metadata=None,
    )
    tags = writing_levels._tags
    monkeypatch.setattr(
        writing_levels, "_tags", lambda level: [tag for tag in tags(level) if tag.code != 317]
    )
    with pytest.raises(UnreadableImage, match="shows other colours"):
        mend(
            slide,
            tmp_path / "b.ome.tiff",
            artifacts=[square(140, 140, 20)],
            options=OPTIONS,
            bundle=bundle_folder,
        )
    assert not list(tmp_path.glob("b.*.tiff")) and not list(tmp_path.glob("b.*.geojson"))


def test_a_slide_that_is_written_anew_appears_after_it_was_compared(
    slide, tmp_path, bundle_folder, monkeypatch
):
    out = tmp_path / "b.ome.tiff"
    prove = rewriting._proof
    seen = []

    def proving(path, *given):
        seen.append((path.exists(), out.exists()))
        return dataclasses.replace(prove(path, *given), differing_px=3)

    monkeypatch.setattr(rewriting, "_proof", proving)
    with pytest.raises(UnreadableImage, match="3 px differ"):
        mend(
            slide,
            out,
            artifacts=[square(140, 140, 20)],
            options=MendOptions(FAST, rewrite="deflate"),
            bundle=bundle_folder,
        )
    assert seen == [(True, False)]
    assert {path.name for path in tmp_path.glob("b.*")} == {"b.ome.tiff.parts"}


def test_a_polygon_that_leaves_the_slide_by_little_is_cut_at_the_edge(
    slide, tmp_path, bundle_folder
):
    regions = [square(-5, 60, 70), square(320, 190, 68)]
    out = tmp_path / "b.ome.tiff"
    result = mend(slide, out, artifacts=regions, options=OPTIONS, bundle=bundle_folder)
    box = Box(0, 0, *SIZE)
    differs = (open_slide(slide).read(0, box) != open_slide(out).read(0, box)).any(axis=2)
    assert differs[64:128, :64].mean() > 0.5 and differs[192:, 320:].mean() > 0.2
    allowed = region_mask(read_regions(result.geojson), SIZE.shape, (1, 1))
    assert not differs[~allowed].any()
