"""Tile sets: rows are read as written, by other libraries too; patients are in one split."""

import json
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from histosynth.core import tileset
from histosynth.core.errors import BadTileSet, NoFiles, NotWritable, SplitLeak, UnreadableImage
from histosynth.core.geometry import Box
from histosynth.core.images import encode_png
from histosynth.core.nuclei import Nuclei
from histosynth.core.tile import TileRef
from histosynth.core.tileset import (
    TILE_SCHEMA,
    Row,
    TileSet,
    parquet_files,
    read_metadata,
    refuse_split_leaks,
    schema_of,
    write_rows,
)


def row(x=0, patient="P1", split="train", slide="S1", **more):
    pixels = np.full((16, 16, 3), x % 256, np.uint8)
    nuclei = Nuclei.of(
        [[1.25, 2.5]],
        ["tumour"],
        size=(16, 16),
        mpp=0.5,
        classes=("tumour",),
    )
    facts = {
        "label": "UPS",
        "image": encode_png(pixels),
        "nuclei": nuclei,
        "quality": {"blur": 0.5},
    } | more
    return Row(TileRef(slide, patient, Box(x, 0, 16, 16), 0.5), split=split, **facts)


def refused(x):
    return Row(
        TileRef("S1", "P1", Box(x, 0, 16, 16), 0.5), refused="tissue: it covers 0%, less than 25%"
    )


def test_rows_come_back_as_they_went_in(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(0), refused(16)], {"job": "k"})
    kept, other = TileSet(tmp_path).rows(refused=True)
    assert (kept.ref, kept.label, kept.split, kept.refused) == (row().ref, "UPS", "train", "")
    assert kept.nuclei.xy.tolist() == [[1.25, 2.5]] and kept.nuclei.names() == ["tumour"]
    assert kept.quality == {"blur": 0.5} and kept.image == row().image
    assert other.refused.startswith("tissue") and other.image is None and other.nuclei is None
    ((tile, _),) = TileSet(tmp_path).tiles()
    assert tile.size == (16, 16) and tile.ref.mpp == 0.5
    assert read_metadata(tmp_path / "a.parquet")["job"] == "k"


def test_equal_rows_give_equal_bytes(tmp_path):
    for name in "ab":
        write_rows(tmp_path / name / "t.parquet", [row(n * 16) for n in range(20)], {})
    assert (tmp_path / "a/t.parquet").read_bytes() == (tmp_path / "b/t.parquet").read_bytes()


def test_a_patient_in_two_splits_cannot_be_opened(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(0), row(16, "P2", "test", "S2")], {})
    assert len(TileSet(tmp_path).files) == 1
    write_rows(tmp_path / "b.parquet", [row(0, "P2", "train", "S3")], {})
    with pytest.raises(SplitLeak, match="P2") as caught:
        TileSet(tmp_path)
    assert caught.value.patients == ("P2",)


def test_a_tile_in_two_rows_is_refused(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(0), row(0)], {})
    with pytest.raises(BadTileSet, match="1 of its 2 tiles stand twice"):
        TileSet(tmp_path)


@pytest.mark.parametrize("what", ["cut", "text", "other", "nothing"])
def test_folders_that_are_no_tile_sets_are_refused(tmp_path, what):
    path = tmp_path / "a.parquet"
    if what == "nothing":
        with pytest.raises(NoFiles):
            TileSet(tmp_path)
        return
    write_rows(path, [row(0)], {})
    if what == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif what == "text":
        path.write_text("x,y,class")
    else:
        pq.write_table(pq.read_table(path).drop(["refused"]), path)
    with pytest.raises(BadTileSet):
        TileSet(tmp_path)


def test_a_full_disk_or_a_file_in_the_way_leaves_nothing_behind(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(NotWritable):
        write_rows(tmp_path / "a" / "t.parquet", [row(0)], {})


def test_duckdb_and_arrow_read_it(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(0), refused(16)], {})
    found = duckdb.sql(
        f"select count(*), sum(len(nuclei_x)) from '{tmp_path}/*.parquet' where refused is null"
    )
    assert found.fetchall() == [(1, 1)]
    assert pq.read_table(tmp_path / "a.parquet").schema.equals(TILE_SCHEMA)


def test_hugging_face_reads_the_image_column_as_pictures(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(0)], {})
    hint = json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"huggingface"])
    features = hint["info"]["features"]
    assert features["image"] == {"_type": "Image"} and set(features) == set(TILE_SCHEMA.names)


def test_sets_are_of_version_1_and_others_are_refused(tmp_path, monkeypatch):
    """Sets on disk stay readable: the version only changes with the columns."""
    path = tmp_path / "a.parquet"
    write_rows(path, [row(0)], {})
    assert read_metadata(path)["version"] == 1
    monkeypatch.setattr(tileset, "_VERSION", 2)
    with pytest.raises(BadTileSet, match="not of version 2"):
        TileSet(tmp_path)


def test_rows_are_chosen_by_split_and_by_id_and_counted_without_the_refused(tmp_path):
    rows = [row(16 * index, split="train") for index in range(20)]
    rows += [row(16 * index, "P2", "test", "S2") for index in range(3)]
    write_rows(tmp_path / "a.parquet", [*rows, refused(9000)], {})
    write_rows(tmp_path / "b.parquet", [row(0, "P3", "", "S3")], {})
    tiles = TileSet(tmp_path)
    assert len(tiles) == 24
    assert [each.tile_id for each in tiles.rows(split="test")] == ["S2_0_0", "S2_16_0", "S2_32_0"]
    assert len(list(tiles.rows())) == 24
    assert len(list(tiles.rows(refused=True))) == 25
    wanted = {"S1_304_0", "S3_0_0", "S1_9000_0", "nowhere"}
    assert {each.tile_id for each in tiles.rows_by_id(wanted)} == wanted - {"nowhere"}
    files = [path.name for path, _ in tiles.rows_with_files()]
    assert files == ["a.parquet"] * 23 + ["b.parquet"]


def test_a_kept_tile_without_a_picture_is_refused(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(0, image=None)], {})
    with pytest.raises(BadTileSet, match="S1_0_0 has no picture"):
        list(TileSet(tmp_path).tiles())


def test_nuclei_of_a_tile_that_is_not_square_have_its_size(tmp_path):
    pixels = np.full((16, 24, 3), 200, np.uint8)
    nuclei = Nuclei.of([[20.0, 3.0]], ["b"], size=(24, 16), mpp=0.5, classes=("a", "b"))
    write_rows(tmp_path / "a.parquet", [row(0, image=encode_png(pixels), nuclei=nuclei)], {})
    (found,) = TileSet(tmp_path).rows()
    assert found.nuclei.size == (24, 16)
    assert found.nuclei.xy.tolist() == [[20.0, 3.0]]
    assert found.nuclei.classes == ("b",)


def test_pictures_are_stored_as_they_are_and_other_columns_packed(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(16 * index) for index in range(20)], {})
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert metadata.num_row_groups == 2
    group = metadata.row_group(0)
    assert group.num_rows == 16
    packing = {}
    for index in range(group.num_columns):
        column = group.column(index)
        packing[column.path_in_schema] = column.compression
    assert packing["image.bytes"] == packing["image.path"] == "UNCOMPRESSED"
    others = {name: value for name, value in packing.items() if not name.startswith("image")}
    assert set(others.values()) == {"ZSTD"}


def test_hidden_files_of_a_set_are_left_out(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(0)], {})
    (tmp_path / ".b-x.parquet").write_text("half")
    assert [path.name for path in TileSet(tmp_path).files] == ["a.parquet"]


COLUMNS = """
tile_id: string not null
slide: string not null
patient: string not null
x: int64 not null
y: int64 not null
width: int64 not null
height: int64 not null
mpp: double not null
label: string
split: string
image: struct<bytes: binary, path: string>
nuclei_x: list<item: float>
nuclei_y: list<item: float>
nuclei_kind: list<item: string>
quality_tissue: float
quality_blur: float
quality_pen: float
quality_fold: float
quality_air: float
quality_saturation: float
quality_artefact: float
refused: string
"""


def shown(schema):
    lines = []
    for column in schema:
        null = "" if column.nullable else " not null"
        lines.append(f"{column.name}: {column.type}{null}")
    return "\n".join(lines)


def test_the_columns_of_version_1_are_these():
    assert shown(TILE_SCHEMA) == COLUMNS.strip()
    other = shown(schema_of(["smear", "ink"])).splitlines()
    assert other[14:] == ["quality_smear: float", "quality_ink: float", "refused: string"]
    assert other[:14] == COLUMNS.strip().splitlines()[:14]


def read_back(folder):
    return list(TileSet(folder).rows(refused=True))


def test_every_field_of_a_row_comes_back_and_empty_ones_are_null(tmp_path):
    full = Row(
        TileRef("S1", "P1", Box(3, 5, 17, 19), 0.25),
        label="UPS",
        split="train",
        image=encode_png(np.zeros((4, 6, 3), np.uint8)),
        nuclei=Nuclei.of(
            [[1, 2], [3, 0.5], [5, 3]],
            ["b", "any", "a"],
            size=(6, 4),
            mpp=0.25,
            classes=("b", "a"),
        ),
        quality={"blur": 0.5, "pen": 0.0},
        refused="pen: 3%",
    )
    bare = Row(TileRef("S2", "P2", Box(0, 0, 1, 2), 0.5))
    assert (bare.label, bare.split, bare.image, bare.nuclei) == ("", "", None, None)
    assert (bare.quality, bare.refused) == ({}, "")
    write_rows(tmp_path / "a.parquet", [full, bare], {})
    first, second = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert first == {
        "tile_id": "S1_3_5",
        "slide": "S1",
        "patient": "P1",
        "x": 3,
        "y": 5,
        "width": 17,
        "height": 19,
        "mpp": 0.25,
        "label": "UPS",
        "split": "train",
        "image": {"bytes": full.image, "path": "S1_3_5.png"},
        "nuclei_x": [1.0, 3.0, 5.0],
        "nuclei_y": [2.0, 0.5, 3.0],
        "nuclei_kind": ["b", "any", "a"],
        "quality_tissue": None,
        "quality_blur": 0.5,
        "quality_pen": 0.0,
        "quality_fold": None,
        "quality_air": None,
        "quality_saturation": None,
        "quality_artefact": None,
        "refused": "pen: 3%",
    }
    empty = {name for name, value in second.items() if value is None}
    assert empty == set(TILE_SCHEMA.names[8:])
    found, other = read_back(tmp_path)
    assert replace(found, nuclei=None) == replace(full, nuclei=None)
    assert found.tile_id == full.tile_id == "S1_3_5"
    assert found.nuclei.xy.tolist() == full.nuclei.xy.tolist()
    assert found.nuclei.names() == ["b", "any", "a"]
    assert found.nuclei.classes == ("a", "any", "b")
    assert (found.nuclei.size, found.nuclei.mpp) == ((6, 4), 0.25)
    assert other == bare


def test_no_nuclei_differ_from_nuclei_that_are_not_known(tmp_path):
    none = Nuclei.none((16, 16), 0.5, ("tumour",))
    write_rows(tmp_path / "a.parquet", [row(0, nuclei=none), row(16, nuclei=None)], {})
    known, unknown = read_back(tmp_path)
    assert len(known.nuclei) == 0
    assert known.nuclei.size == (16, 16)
    assert unknown.nuclei is None


def test_gates_may_be_others_than_usual(tmp_path):
    quality = {"smear": 0.25, "blur": 0.5}
    write_rows(tmp_path / "a.parquet", [row(0, quality=quality)], {}, gates=("ink", "smear"))
    (found,) = read_back(tmp_path)
    assert found.quality == {"smear": 0.25}
    assert pq.read_schema(tmp_path / "a.parquet").names == schema_of(("ink", "smear")).names


def test_metadata_are_json_in_order_of_key_with_the_version(tmp_path):
    path = tmp_path / "a.parquet"
    write_rows(path, [], {"job": "k", "z": [1], "a": {"c": 1, "b": None}})
    metadata = pq.read_schema(path).metadata
    assert metadata[b"histosynth"] == (
        b'{"a": {"b": null, "c": 1}, "job": "k", "version": 1, "z": [1]}'
    )
    assert set(metadata) == {b"histosynth", b"huggingface"}
    assert read_metadata(path) == {"version": 1, "job": "k", "z": [1], "a": {"c": 1, "b": None}}


def value_of(dtype):
    return {"dtype": dtype, "_type": "Value"}


def test_hugging_face_is_given_the_type_of_each_column(tmp_path):
    """Lists are `Sequence`, as `List` is unknown before datasets 4.0; `make readers` tries both."""
    write_rows(tmp_path / "a.parquet", [], {}, gates=["ink"])
    hint = json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"huggingface"])
    expected = dict.fromkeys(["tile_id", "slide", "patient"], value_of("string"))
    expected |= dict.fromkeys(["x", "y", "width", "height"], value_of("int64"))
    expected |= {"mpp": value_of("float64")}
    expected |= dict.fromkeys(["label", "split", "refused"], value_of("string"))
    expected |= {"image": {"_type": "Image"}, "quality_ink": value_of("float32")}
    for name, dtype in (("x", "float32"), ("y", "float32"), ("kind", "string")):
        expected[f"nuclei_{name}"] = {
            "feature": value_of(dtype),
            "length": -1,
            "_type": "Sequence",
        }
    assert hint == {"info": {"features": expected}}


def test_names_that_repeat_have_a_dictionary_and_searched_columns_statistics(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(16 * index) for index in range(33)], {})
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    assert sizes == [16, 16, 1]
    group = metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    packed = {each.path_in_schema for each in columns if "RLE_DICTIONARY" in each.encodings}
    assert packed == {"slide", "patient"}
    with_statistics = {each.path_in_schema for each in columns if each.is_stats_set}
    assert with_statistics == {"slide", "patient", "label", "split"}


REMEDY = "Make it again with histosynth prepare."


def refused_as(call):
    with pytest.raises(BadTileSet) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (None, "its metadata are not of version 1"),
        ({"other": "1"}, "its metadata are not of version 1"),
        ({"histosynth": "[1]"}, "its metadata are not of version 1"),
        ({"histosynth": '{"version": 2}'}, "its metadata are not of version 1"),
        ({"histosynth": "{"}, "Expecting property name enclosed in double quotes"),
        ({"histosynth": "[" * 100_000}, ""),
    ],
)
def test_files_with_other_metadata_are_refused(tmp_path, metadata, reason):
    path = tmp_path / "a.parquet"
    write_rows(path, [row(0)], {})
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)
    for call in (lambda: read_metadata(path), lambda: TileSet(tmp_path)):
        error = refused_as(call)
        assert error.path == path
        assert str(error) == f"{path} is no whole tile set: {error.reason}. {REMEDY}"
        assert error.reason.startswith(reason)


def test_a_file_that_lacks_columns_is_refused_with_their_names(tmp_path):
    path = tmp_path / "a.parquet"
    write_rows(path, [row(0)], {})
    whole = pq.read_table(path)
    pq.write_table(whole.drop(["quality_blur"]), path)
    assert len(TileSet(tmp_path)) == 1
    pq.write_table(whole.drop(["split", "image"]), path)
    error = refused_as(lambda: TileSet(tmp_path))
    assert str(error) == (
        f"{path} is no whole tile set: it lacks the column(s) image, split. {REMEDY}"
    )


def test_a_folder_without_files_is_refused_in_these_words(tmp_path):
    for folder in (tmp_path, str(tmp_path)):
        with pytest.raises(NoFiles) as caught:
            TileSet(folder)
        assert str(caught.value) == f"{tmp_path} holds no file ending in .parquet. Check the path."
        assert caught.value.path == tmp_path


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_file_damaged_after_the_set_was_opened_is_refused_by_each_reader(tmp_path, damage):
    path = tmp_path / "a.parquet"
    write_rows(path, [row(0)], {})
    tiles = TileSet(tmp_path)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-100])
    else:
        path.write_bytes(content[:4] + b"\xff" * 400 + content[404:])
    for call in (
        lambda: tiles.table(["tile_id"]),
        lambda: list(tiles.rows()),
        lambda: list(tiles.rows_by_id({"S1_0_0"})),
    ):
        error = refused_as(call)
        assert error.path == path
        assert "Parquet magic bytes" in error.reason or "deserialize" in error.reason


def test_rows_that_stand_twice_are_counted_for_the_whole_set(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(0), row(16), row(0)], {})
    write_rows(tmp_path / "b.parquet", [row(0), row(32)], {})
    error = refused_as(lambda: TileSet(tmp_path))
    assert str(error) == (
        f"{tmp_path} is no whole tile set: 2 of its 5 tiles stand twice. {REMEDY}"
    )


def test_pictures_up_to_the_limit_are_read_and_others_refused(tmp_path, monkeypatch):
    assert tileset.MAX_IMAGE_BYTES == 256 * 1024 * 1024
    write_rows(tmp_path / "a.parquet", [row(0), refused(16)], {})
    tiles = TileSet(tmp_path)
    monkeypatch.setattr(tileset, "MAX_IMAGE_BYTES", len(row(0).image))
    ((tile, found),) = tiles.tiles()
    assert (tile.pixels == 0).all()
    assert tile.ref == found.ref == row(0).ref
    monkeypatch.setattr(tileset, "MAX_IMAGE_BYTES", len(row(0).image) - 1)
    assert str(refused_as(lambda: list(tiles.tiles()))) == (
        f"{tmp_path} is no whole tile set: its kept tile S1_0_0 has no picture, or one too large. "
        f"{REMEDY}"
    )


def test_a_broken_picture_is_refused_by_the_name_of_its_tile_or_slide(tmp_path):
    write_rows(tmp_path / "a.parquet", [row(0, image=b"broken", nuclei=None)], {})
    with pytest.raises(UnreadableImage, match=r"^S1_0_0 cannot be read"):
        list(TileSet(tmp_path).tiles())
    write_rows(tmp_path / "a.parquet", [row(0, image=b"broken")], {})
    with pytest.raises(BadTileSet, match=r"its tile 'S1_0_0': S1_0_0 cannot be read"):
        list(TileSet(tmp_path).rows())


def test_readers_choose_the_same_rows_and_state_their_files(tmp_path):
    write_rows(tmp_path / "b.parquet", [row(0), refused(16), row(32, "P2", "test")], {})
    write_rows(tmp_path / "a.parquet", [row(48, "P2", "test"), row(64, "P3", "")], {})
    tiles = TileSet(str(tmp_path))
    assert tiles.folder == tmp_path
    assert tiles.files == [tmp_path / "a.parquet", tmp_path / "b.parquet"]

    def corners(rows):
        return [each.ref.box.x for each in rows]

    assert corners(tiles.rows()) == [48, 64, 0, 32]
    assert corners(tiles.rows(refused=True)) == [48, 64, 0, 16, 32]
    assert corners(tiles.rows(split="test")) == [48, 32]
    assert corners(tiles.rows(split="train", refused=True)) == [0]
    assert corners(found for _, found in tiles.tiles()) == [48, 64, 0, 32]
    assert corners(found for _, found in tiles.tiles(split="test")) == [48, 32]
    assert corners(tiles.rows_by_id(["S1_32_0", "S1_64_0", "S1_16_0"])) == [64, 16, 32]
    for options, expected in (
        ({"split": "test"}, [("a", 48), ("b", 32)]),
        ({"refused": True}, [("a", 48), ("a", 64), ("b", 0), ("b", 16), ("b", 32)]),
        ({}, [("a", 48), ("a", 64), ("b", 0), ("b", 32)]),
    ):
        found = [(path.stem, each.ref.box.x) for path, each in tiles.rows_with_files(**options)]
        assert found == expected
    table = tiles.table(("x", "split"))
    assert table.column_names == ["x", "split"]
    assert table.to_pydict() == {
        "x": [48, 64, 0, 16, 32],
        "split": ["test", None, "train", None, "test"],
    }
    assert not table.schema.metadata


def test_files_of_other_names_are_no_part_of_a_set(tmp_path):
    for name in ("b.parquet", "a.parquet", ".c.parquet", "d.csv"):
        (tmp_path / name).write_text("")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "e.parquet").write_text("")
    assert parquet_files(tmp_path) == [tmp_path / "a.parquet", tmp_path / "b.parquet"]


def test_patients_in_two_splits_are_named_in_order():
    one_split = [("P1", "train"), ("P1", None), ("P1", ""), ("P1", "train"), ("P2", "test")]
    refuse_split_leaks(("slide", *each) for each in one_split)
    two_splits = [("P3", "test"), ("P2", "train"), ("P3", "train"), ("P2", "a"), ("P1", "a")]
    with pytest.raises(SplitLeak) as caught:
        refuse_split_leaks(("slide", *each) for each in two_splits)
    assert caught.value.patients == ("P2", "P3")


def test_slides_of_one_barcode_in_two_splits_are_a_leak_whatever_their_patients():
    with pytest.raises(SplitLeak) as caught:
        refuse_split_leaks(
            [("TCGA-2F-A001 (1)", "P1", "train"), ("TCGA-2F-A001 (2)", "P2", "test")]
        )
    assert caught.value.patients == ("TCGA-2F-A001 (barcode in the names)",)
