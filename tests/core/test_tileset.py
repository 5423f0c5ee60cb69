"""Tile sets: what goes in comes out, everyone can read it, no patient stands twice."""

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from histosynth.core.errors import BadTileSet, NoFiles, NotWritable, SplitLeak
from histosynth.core.geometry import Box
from histosynth.core.nuclei import Nuclei
from histosynth.core.tile import TileRef, encode_png
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


def test_a_tile_that_stands_twice_is_refused(tmp_path):
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


def test_hugging_face_is_told_that_image_is_a_picture(tmp_path):
    import json

    write_rows(tmp_path / "a.parquet", [row(0)], {})
    hint = json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"huggingface"])
    features = hint["info"]["features"]
    assert features["image"] == {"_type": "Image"} and set(features) == set(TILE_SCHEMA.names)
