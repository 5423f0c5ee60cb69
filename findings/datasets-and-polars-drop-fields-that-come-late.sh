#!/bin/sh
# datasets keeps the fields of the first tile, Polars those of the first 100: later ones are lost.
#
# Packages: datasets 5.2.0, polars 2.1.0, pyarrow 26.0.1, duckdb 2.0.1. Run on 2026-11-29.
# Expected: a list of tiles as dicts, of which only some have a "grade", becomes a table with a column
#   grade and nulls, or the list is refused.
# Seen: Dataset.from_list and pyarrow's Table.from_pylist take the first dict's keys, and drop all others.
#   polars.from_dicts and read_ndjson look at the first 100 rows: the grade of tile 150 is dropped, inside
#   lists of nuclei too. DuckDB's read_json and load_dataset("json") of the same rows keep it. No warning.
# Why it matters: the same file of tiles or nuclei has a class column in one reader and none in another,
#   and it depends on whether an annotated tile comes early.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  datasets==5.2.0 polars==2.1.0 pyarrow==26.0.1 duckdb==2.0.1 || exit 2
venv/bin/python - <<'PY'
import json

import datasets
import duckdb
import polars
import pyarrow

print("datasets", datasets.__version__, "polars", polars.__version__, "pyarrow", pyarrow.__version__)
datasets.disable_progress_bars()
tiles = [{"tile": f"t{number}", "nuclei": [{"x": 1.5}]} for number in range(150)]
tiles.append({"tile": "t150", "nuclei": [{"x": 2.5, "class": "tumor"}], "grade": 3})
with open("tiles.jsonl", "w") as file:
    file.writelines(json.dumps(tile) + "\n" for tile in tiles)

by_polars = polars.from_dicts(tiles)
by_load = datasets.load_dataset("json", data_files="tiles.jsonl", split="train", cache_dir="cache")
by_duckdb = duckdb.sql("select * from read_json('tiles.jsonl')")
seen = {
    "datasets from_list": datasets.Dataset.from_list(tiles).column_names,
    "datasets json": by_load.column_names,
    "pyarrow from_pylist": pyarrow.Table.from_pylist(tiles).column_names,
    "polars from_dicts": by_polars.columns,
    "polars read_ndjson": polars.read_ndjson("tiles.jsonl").columns,
    "duckdb read_json": by_duckdb.columns,
}
for reader, columns in seen.items():
    print(f"{reader}: {columns}")
last = by_polars["nuclei"][150].to_list()
nucleus = by_duckdb.filter("tile = 't150'").fetchall()[0][1][0]
print("nucleus of tile 150 in polars:", last, "in duckdb:", nucleus)
losing = ("datasets from_list", "pyarrow from_pylist", "polars from_dicts", "polars read_ndjson")
for reader, columns in seen.items():
    assert ("grade" in columns) == (reader not in losing), reader
assert last == [{"x": 2.5}] and nucleus["class"] == "tumor"
early = [tiles[-1], *tiles[:-1]]
assert "grade" in datasets.Dataset.from_list(early).column_names and "grade" in polars.from_dicts(early).columns
PY
