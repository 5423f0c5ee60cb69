#!/bin/sh
# GeoPandas drops the nuclei of QuPath's cells, and moves their ids, on reading and writing GeoJSON.
#
# Packages: geopandas 1.2.0 with pyogrio 0.13.0 and shapely 2.2.0, pandas 2.3.3, numpy 2.4.6.
#   Run on 2026-11-29.
# Expected: read_file and to_file of a GeoJSON with QuPath's cells give the same cells back.
# Seen: QuPath keeps a cell's nucleus in "nucleusGeometry" beside "geometry" (its outline). It is gone, with
#   no warning, and the file still says "cell". The ids move into the properties (from_features drops
#   them); "isLocked": true becomes 1.0; and pixels are marked as degrees on Earth (CRS84).
# Why it matters: filtering detections by class with GeoPandas turns nuclei into whole cells: areas grow
#   five times here, and measurements can no longer be joined by id.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  geopandas==1.2.0 pyogrio==0.13.0 shapely==2.2.0 pandas==2.3.3 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import json

import geopandas
import pyogrio
from shapely.geometry import shape

print("geopandas", geopandas.__version__, "pyogrio", pyogrio.__version__, "GDAL", pyogrio.__gdal_version__)


def square(x, radius):
    corners = [[x - radius, -radius], [x + radius, -radius], [x + radius, radius], [x - radius, radius]]
    return {"type": "Polygon", "coordinates": [corners + corners[:1]]}


def cell(number, name, **more):
    return {
        "type": "Feature",
        "id": f"3f2a0d3e-0000-4000-8000-00000000000{number}",
        "geometry": square(40 * number, 9),
        "nucleusGeometry": square(40 * number, 4),
        "properties": {"objectType": "cell", "classification": {"name": name, "color": [200, 0, 0]}, **more},
    }


cells = {"type": "FeatureCollection", "features": [cell(1, "Tumor", isLocked=True), cell(2, "Stroma")]}
with open("cells.geojson", "w") as file:
    json.dump(cells, file)

table = geopandas.read_file("cells.geojson")
table.to_file("again.geojson", driver="GeoJSON")
with open("again.geojson") as file:
    again = json.load(file)
first = again["features"][0]
print("columns:", table.columns.tolist())
print("members of a cell, before:", sorted(cells["features"][0]), "after:", sorted(first))
print("properties after:", first["properties"], "crs:", again["crs"]["properties"]["name"])
nucleus = shape(cells["features"][0]["nucleusGeometry"]).area
print("area of the nucleus before:", nucleus, "of the only geometry after:", shape(first["geometry"]).area)

assert len(again["features"]) == 2 and first["properties"]["objectType"] == "cell"
assert "nucleusGeometry" not in json.dumps(again) and "nucleusGeometry" not in table.columns
assert "id" not in first and first["properties"]["id"] == cells["features"][0]["id"]
assert first["properties"]["isLocked"] == 1.0 and first["properties"]["isLocked"] is not True
assert again["crs"]["properties"]["name"].endswith("CRS84")
assert shape(first["geometry"]).area / nucleus > 5

by_features = geopandas.GeoDataFrame.from_features(cells)
print("columns of from_features:", by_features.columns.tolist())
assert not {"id", "nucleusGeometry"} & set(by_features.columns)
PY
