"""Tiles of a painted slide: its pixels, its nuclei in place, and a set that everything opens."""

import json

import numpy as np
import pytest
from slides_to_paint import PlainLayout, halved, random_slide, write_full_bundle

import histosynth as hs
from histosynth.core.errors import BadOption, NotWritable
from histosynth.core.geometry import Box
from histosynth.core.images import read_rgb
from histosynth.core.marking import synthetic_patient
from histosynth.core.slide_layout import LayoutOfClasses, origin_of
from histosynth.core.synthetic import read_recipe
from histosynth.core.tileset import TileSet
from histosynth.engine import EngineOptions
from histosynth.pipeline.paint import PaintOptions, paint
from histosynth.pipeline.paint_files import tile_cutting
from histosynth.pipeline.painted_tiles import TileCutting
from histosynth.pipeline.slide_layouts import sample_layout
from histosynth.slides import open_slide

SIZE = (416, 300)
LOCAL = EngineOptions("local")
DETECTOR = """task = "detector"
seed = 1
[loop]
steps = 1
batch = 1
warmup = 0
validate_every = 1
[data]
root = "tiles"
mpp = 0.5
crop = 64
classes = ["epithelial", "lymphocyte", "stromal"]
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_full_bundle(tmp_path_factory.mktemp("bundle"))


def painted(
    tmp_path, bundle, layout, *, name="slide.ome.tiff", region=None, codec="deflate", **cut
):
    tiles = TileCutting(tmp_path / "tiles", **{"size": 96, **cut})
    options = PaintOptions(region=region, codec=codec, engine=LOCAL, tiles=tiles)
    return paint(layout, tmp_path / name, options=options, bundle=bundle)


def pixels_of(path, box):
    slide = open_slide(path)
    try:
        return slide.read(0, box)
    finally:
        slide.close()


def check_tiles(found, layout, corner=(0, 0)):
    """Pixels and nuclei of all tiles, against the slide and the layout."""
    rows = list(TileSet(found.tiles.folder).tiles())
    for tile, row in rows:
        box = row.ref.box
        np.testing.assert_array_equal(tile.pixels, pixels_of(found.path, box))
        wanted = layout.window(box.shift(*corner))
        np.testing.assert_allclose(row.nuclei.xy, wanted.xy, atol=0.002)
        assert row.nuclei.names() == wanted.names()
    return [row for _, row in rows]


def test_tiles_are_crops_of_the_slide_with_its_nuclei(tmp_path, bundle):
    layout = PlainLayout(random_slide(SIZE))
    found = painted(tmp_path, bundle, layout)
    rows = check_tiles(found, layout)
    corners = {(row.ref.box.x, row.ref.box.y) for row in rows}
    assert corners == {(x, y) for x in (0, 96, 192, 288) for y in (0, 96, 192)}
    assert found.tiles.tiles == 12 and found.tiles.left_out == 0
    inside = layout.window(Box(0, 0, 384, 288)).counts()
    assert dict(found.tiles.nuclei) == {name: count for name, count in inside.items() if count}
    assert len({len(row.nuclei) for row in rows}) > 3  # no tile has the nuclei of another


def test_rows_say_what_they_are(tmp_path, bundle):
    found = painted(tmp_path, bundle, PlainLayout(random_slide(SIZE)))
    opened = hs.TileSet(found.tiles.folder)
    table = opened.table(["synthetic", "patient", "slide", "mpp", "split"])
    assert table["synthetic"].to_pylist() == [True] * 12
    (patient,) = set(table["patient"].to_pylist())
    assert patient.startswith("synthetic-")
    assert set(table["slide"].to_pylist()) == {"slide"}
    assert set(table["mpp"].to_pylist()) == {0.5}
    row = next(opened.rows())
    recipe = json.loads(row.recipe)
    assert recipe["verb"] == "paint" and recipe["tile"] == [0, 0, 96, 96]
    (tmp_path / "tile.png").write_bytes(row.image)
    assert read_recipe(tmp_path / "tile.png")["tile"] == [0, 0, 96, 96]
    assert read_rgb(tmp_path / "tile.png").shape == (96, 96, 3)


def test_a_region_of_the_slide_has_its_own_frame(tmp_path, bundle):
    layout = PlainLayout(random_slide(SIZE))
    found = painted(tmp_path, bundle, layout, region=Box(101, 53, 200, 200))
    rows = check_tiles(found, layout, corner=(101, 53))
    assert len(rows) == 4 and sum(len(row.nuclei) for row in rows) > 10


def test_tiles_without_tissue_are_left_out(tmp_path, bundle):
    layout = halved(PlainLayout(random_slide(SIZE)))  # tissue from column 208 on
    found = painted(tmp_path, bundle, layout)
    corners = {row.ref.box.x for row in check_tiles(found, layout)}
    assert corners == {192, 288}
    assert (found.tiles.tiles, found.tiles.left_out) == (6, 6)
    with pytest.raises(NotWritable, match="cut in another way"):
        painted(tmp_path, bundle, layout, min_tissue=0.9)
    again = TileCutting(tmp_path / "more", size=96, min_tissue=0.9)
    options = PaintOptions(codec="deflate", engine=LOCAL, tiles=again)
    cut = paint(layout, tmp_path / "slide.ome.tiff", options=options, bundle=bundle)
    assert cut.was_there and cut.tiles.tiles == 3


def test_a_second_run_changes_nothing_and_completes_what_is_missing(tmp_path, bundle):
    layout = PlainLayout(random_slide((900, 120)))
    first = painted(tmp_path, bundle, layout)
    files = sorted((tmp_path / "tiles").glob("*.parquet"))
    assert [path.name for path in files] == ["slide-0-0.parquet", "slide-8-0.parquet"]
    before = {path: path.read_bytes() for path in files}
    files[0].unlink()
    again = painted(tmp_path, bundle, layout)
    assert again.was_there and again.tiles == first.tiles
    assert {path: path.read_bytes() for path in files} == before


def test_slides_of_one_layout_are_of_one_patient_and_others_are_not(tmp_path, bundle):
    layout = PlainLayout(random_slide((200, 120)))
    painted(tmp_path, bundle, layout)
    painted(tmp_path, bundle, layout, name="jpeg.ome.tiff", codec="jpeg")
    painted(tmp_path, bundle, PlainLayout(random_slide((200, 120), seed=1)), name="two.ome.tiff")
    patients = {row.ref.slide: row.ref.patient for row in TileSet(tmp_path / "tiles").rows()}
    assert patients["slide"] == patients["jpeg"] != patients["two"]


def test_a_detector_is_trained_on_them_and_splits_are_of_patients(tmp_path, bundle):
    layout = PlainLayout(random_slide((200, 120)))
    painted(tmp_path, bundle, layout, split="train")
    other = PlainLayout(random_slide((200, 120), seed=1))
    painted(tmp_path, bundle, other, name="two.ome.tiff", split="validation")
    (tmp_path / "detector.toml").write_text(DETECTOR)
    found = hs.train(tmp_path / "detector.toml", tmp_path / "run", device="cpu")
    assert found["steps"] == 1, found
    with pytest.raises(NotWritable, match=r"the same layout \(synthetic-.*in split 'train'"):
        painted(tmp_path, bundle, layout, name="jpeg.ome.tiff", codec="jpeg", split="validation")
    assert not (tmp_path / "jpeg.ome.tiff").exists()


def test_a_layout_that_was_stored_or_edited_is_of_the_same_patient(tmp_path):
    drawn = hs.draw_slide_layout((600, 400), seed=2, like="model")
    sample_layout(drawn, tmp_path / "stored.parquet")
    stored = hs.open_layout(tmp_path / "stored.parquet")
    hs.edit_layout(stored, tmp_path / "edited.parquet", [hs.LayoutEdit("raise", "stromal", 1.5)])
    edited = hs.open_layout(tmp_path / "edited.parquet")
    assert len({each.digest for each in (drawn, stored, edited)}) == 3
    origins = {
        origin_of(each) for each in (drawn, stored, edited, LayoutOfClasses(stored, stored.classes))
    }
    assert origins == {drawn.digest}
    facts = {"sha256": stored.digest, "origin": origin_of(stored)}
    patient = synthetic_patient({"layout": {"sha256": drawn.digest}})
    assert synthetic_patient({"layout": facts}) == patient


def test_what_cannot_be_is_refused_before_anything_is_painted(tmp_path, bundle):
    layout = PlainLayout(random_slide((200, 120)))
    for cut in ({"size": 16}, {"size": 4000}, {"min_tissue": 1.5}, {"size": 128}):
        with pytest.raises(BadOption):
            painted(tmp_path, bundle, layout, **cut)
    with pytest.raises(BadOption, match="--tile-split"):
        painted(tmp_path, bundle, layout, split="mine")
    for given in ((None, 256, None), (None, None, 0.5), (None, None, None, "train")):
        with pytest.raises(BadOption, match="--tiles"):
            tile_cutting(*given)
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "mine.parquet").write_bytes(b"PAR1")
    with pytest.raises(NotWritable, match="another tile set"):
        painted(tmp_path, bundle, layout)
    assert [path.name for path in tmp_path.iterdir()] == ["tiles"]
