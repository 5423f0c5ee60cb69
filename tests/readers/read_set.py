"""Reads a tile set with the libraries that the README names, without histosynth."""

from __future__ import annotations

import sys

import datasets
import duckdb
import polars
import pyarrow
import pyarrow.parquet

folder = sys.argv[1]
CLASSES = ["epithelial", "lymphocyte"]

rows = datasets.load_dataset("parquet", data_files=f"{folder}/*.parquet", split="train")
assert rows.num_rows == 2
assert rows[0]["image"].size == (8, 8), rows[0]["image"]
assert rows[0]["nuclei_x"] == [1.5, 4.0] and rows[0]["nuclei_kind"] == CLASSES
assert rows[1]["image"] is None and rows[1]["nuclei_x"] is None

frame = polars.read_parquet(f"{folder}/*.parquet")
assert frame["nuclei_kind"].to_list() == [CLASSES, None]

query = f"select nuclei_kind from '{folder}/*.parquet' where refused is null"
assert duckdb.sql(query).fetchall() == [(CLASSES,)]

table = pyarrow.parquet.read_table(folder)
assert table["nuclei_y"].to_pylist() == [[2.0, 5.0], None]

made = datasets.load_dataset("parquet", data_files=f"{folder}/_synthetic/*.parquet", split="train")
assert made[0]["synthetic"] is True and made[0]["recipe"] == '{"synthetic": true}'
assert made[0]["image"].size == (8, 8) and made[0]["nuclei_kind"] == CLASSES

modules = (datasets, polars, duckdb, pyarrow)
print("read by", ", ".join(f"{module.__name__} {module.__version__}" for module in modules))
