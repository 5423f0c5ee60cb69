"""Layouts of slides as files: windows, round trips, and damaged files."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import histosynth as hs
from histosynth.annotation.layout_empty import SlideEmptyRegions, read_slide_empty
from histosynth.annotation.layout_files import open_layout, write_layout
from histosynth.annotation.layout_geojson import read_layout, write_layout_geojson
from histosynth.annotation.regions import Region, write_regions
from histosynth.core.errors import BadNuclei
from histosynth.core.geometry import Box
from histosynth.tissue.layouts.slide_rows import SlideRows

SIZE = (3000, 2000)
CLASSES = ("epithelial", "stromal")
KEY = b"histosynth:layout"


def parts_of(seed=0, count=4000):
    """Nuclei of two halves of a slide."""
    random = np.random.default_rng(seed)
    x = random.integers(0, 100 * SIZE[0] - 100, count)
    y = random.integers(0, 100 * SIZE[1] - 100, count)
    all_rows = SlideRows(x, y, random.integers(0, 2, count).astype(np.uint8))
    left = x < 150_000
    return [all_rows.take(left), all_rows.take(~left)]


def write(path, parts=None, **changes):
    options = {"classes": CLASSES, "size": SIZE, "mpp": 0.5, "facts": {"synthetic": True}}
    return write_layout(path, parts_of() if parts is None else parts, **{**options, **changes})


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "l.parquet")
    return tmp_path / "l.parquet"


def test_a_window_holds_what_was_written(path):
    layout = open_layout(path)
    box = Box(1400, 700, 300, 400)
    found = layout.window(box)
    rows = [part.inside(box) for part in parts_of()]
    xy = np.concatenate([np.stack([part.x, part.y], 1) for part in rows]) / 100 - [1400, 700]
    assert len(layout) == 4000
    assert len(found) == len(xy) > 30
    order = np.lexsort(xy.T)
    assert np.allclose(found.xy, xy[order], atol=1e-3)
    assert (layout.classes, layout.mpp, tuple(layout.size)) == (CLASSES, 0.5, SIZE)
    assert layout.empty(box) is None
    assert layout.facts["synthetic"] is True


def test_equal_layouts_are_equal_files(path, tmp_path):
    write(tmp_path / "again.parquet")
    assert path.read_bytes() == (tmp_path / "again.parquet").read_bytes()
    assert open_layout(path).digest == open_layout(tmp_path / "again.parquet").digest


def test_a_window_reads_the_groups_that_it_touches(path, monkeypatch):
    layout = open_layout(path)
    read = []
    group = layout.group
    monkeypatch.setattr(layout, "group", lambda number: read.append(number) or group(number))
    layout.window(Box(100, 100, 500, 500))
    assert read == [0]


def test_no_nucleus_is_a_layout(tmp_path):
    write(tmp_path / "none.parquet", [])
    write(tmp_path / "empty.parquet", [SlideRows.none()])
    for name in ("none", "empty"):
        layout = open_layout(tmp_path / f"{name}.parquet")
        assert len(layout.window(Box(0, 0, 500, 500))) == len(layout) == 0


def test_shapes_go_with_their_nuclei(tmp_path):
    rows = SlideRows(
        np.array([1000, 2000]),
        np.array([500, 100]),
        np.array([0, 255], np.uint8),
        np.array([[40.0, 1.5, 0.3], [np.nan] * 3], np.float32),
    )
    write(tmp_path / "s.parquet", [rows])
    found = open_layout(tmp_path / "s.parquet").window(Box(0, 0, 50, 50))
    assert found.names() == ["any", "epithelial"]
    assert np.allclose(found.shapes[1], [40, 1.5, 0.3])
    assert np.isnan(found.shapes[0]).all()


def test_geojson_there_and_back(path, tmp_path):
    write_layout_geojson(
        tmp_path / "l.geojson", parts_of(), classes=CLASSES, colours={"stromal": (1, 2, 3)}
    )
    back = read_layout(tmp_path / "l.geojson", size=SIZE, mpp=0.5)
    box = Box(0, 0, *SIZE)
    first, second = open_layout(path).window(box), back.window(box)
    assert np.array_equal(first.xy, second.xy)
    assert first.names() == second.names()
    features = json.loads((tmp_path / "l.geojson").read_text())["features"]
    colours = {each["properties"]["classification"].get("color", [0])[0] for each in features}
    assert colours == {0, 1}


def test_a_layout_outside_its_slide_is_refused(path, tmp_path):
    write_layout_geojson(tmp_path / "l.geojson", parts_of(), classes=CLASSES, colours={})
    with pytest.raises(BadNuclei, match="lie outside the slide of 1,000 x 1,000 px"):
        read_layout(tmp_path / "l.geojson", size=(1000, 1000), mpp=0.5)


def test_empty_regions_lie_next_to_it(path):
    square = ((100.0, 100.0), (300.0, 100.0), (300.0, 200.0), (100.0, 200.0))
    far = tuple((x + 2000, y) for x, y in square)
    write_regions(
        path.with_name("l.empty.geojson"), [Region("lumen", square), Region("glass", far)]
    )
    layout = open_layout(path)
    mask = layout.empty(Box(50, 50, 400, 200))
    assert mask.sum() == pytest.approx(200 * 100, rel=0.03)
    assert mask[60, 60]
    assert not layout.empty(Box(500, 500, 10, 10)).any()
    assert len(read_slide_empty(path.with_name("l.empty.geojson")).regions) == 2
    assert SlideEmptyRegions([]).inside(Box(0, 0, 5, 5)).sum() == 0


def rewritten(path, facts=None, **columns):
    """The file with other facts, or columns."""
    table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[KEY])
    for name, values in columns.items():
        index = table.schema.get_field_index(name.rstrip("_"))
        table = table.set_column(index, name.rstrip("_"), values(table))
    stored = {**metadata, **(facts or {})}
    table = table.replace_schema_metadata({KEY: json.dumps(stored).encode()})
    pq.write_table(table, path)


BAD_FACTS = [
    ({"version": 9}, "version 9, not 1"),
    ({"size": [0, 5]}, "a size of 0 x 5 px"),
    ({"size": [5, 1 << 40]}, "px"),
    ({"mpp": 0}, "a scale of 0 um/px"),
    ({"mpp": "half"}, "a scale of 'half' um/px"),
    ({"classes": [str(number) for number in range(100_000)]}, "100,000 classes"),
    ({"classes": ["a", "a"]}, "2 classes, not 1 to 250 different names"),
    ({"classes": ["a", 3]}, "2 classes"),
    ({"size": [200, 200]}, "lie outside its slide of 200 x 200 px"),
    ({"classes": ["epithelial"]}, "1 of its classes are not among .*: stromal"),
]


@pytest.mark.parametrize(("facts", "problem"), BAD_FACTS)
def test_facts_that_cannot_be_are_refused(path, facts, problem):
    rewritten(path, facts)
    with pytest.raises(BadNuclei, match=problem):
        open_layout(path).window(Box(0, 0, *SIZE))


BAD_COLUMNS = [
    ({"x": lambda table: pa.array(np.full(len(table), np.inf))}, "outside its slide .* from inf"),
    ({"x": lambda table: pa.array([np.nan, *[5.0] * (len(table) - 1)])}, "1 of 4,000 .* no num"),
    ({"x": lambda table: pa.array(["a"] * len(table))}, "column x is of type string"),
    ({"class_": lambda table: pa.array([1] * len(table))}, "column class is of type int64"),
    ({"class_": lambda table: pa.array([None] * len(table), pa.string())}, "without a place"),
]


@pytest.mark.parametrize(("columns", "problem"), BAD_COLUMNS)
def test_columns_that_cannot_be_are_refused(path, columns, problem):
    rewritten(path, **columns)
    with pytest.raises(BadNuclei, match=problem):
        open_layout(path).window(Box(0, 0, *SIZE))


def test_a_file_cut_off_or_of_others_is_refused(path, tmp_path):
    whole = path.read_bytes()
    for end in (0, 10, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:end])
        with pytest.raises(BadNuclei, match=r"l\.parquet is no layout of a slide"):
            open_layout(path)
    pq.write_table(pa.table({"x": [1.0]}), path)
    with pytest.raises(BadNuclei, match="do not state a slide's size"):
        open_layout(path)
    with pytest.raises(BadNuclei, match=r"none\.parquet"):
        open_layout(tmp_path / "none.parquet")


def test_bytes_altered_anywhere_are_refused_or_harmless(path):
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(4, len(whole), 60).tolist():
        changed = bytearray(whole)
        changed[place] ^= 0x55
        path.write_bytes(changed)
        try:
            open_layout(path).window(Box(0, 0, *SIZE))
        except BadNuclei:
            continue


def test_a_drawn_layout_and_its_file_are_one(tmp_path):
    from histosynth.pipeline.slide_layouts import draw_slide_layout, sample_layout

    layout = draw_slide_layout((900, 700), seed=5)
    files = sample_layout(layout, tmp_path / "d.parquet", geojson=True)
    written = hs.open_layout(files.out)
    box = Box(100, 50, 700, 600)
    np.testing.assert_array_equal(written.window(box).xy, layout.window(box).xy)
    assert sum(files.nuclei.values()) == len(written) > 100
    difference = written.empty(box) != layout.empty(box)
    assert difference.mean() < 0.02
    assert files.thumbnail.exists() and files.geojson.exists() and files.empty.exists()
