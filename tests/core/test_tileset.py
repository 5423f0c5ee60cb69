"""Tile sets: rows are read as written, by other libraries too; patients are in one split."""

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from histosynth.core import tileset
from histosynth.core.errors import BadTileSet, NoFiles, NotWritable, SplitLeak
from histosynth.core.geometry import Box
from histosynth.core.images import encode_png
from histosynth.core.nuclei import Nuclei
from histosynth.core.tile import TileRef
from histosynth.core.tileset import TILE_SCHEMA, Row, TileSet, read_metadata, write_rows


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
    import json

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
