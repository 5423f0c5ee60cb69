"""Files that are damaged anywhere are read in full, or in part with a count, or refused.

    HISTOSYNTH_MUTANTS=2000 python -m pytest tests/annotation/test_mutated_files.py

tries so many files; by default it is a tenth of that.
"""

import json
import math
import os
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histosynth.annotation.agreement import read_two
from histosynth.annotation.chosen_nuclei import read_chosen
from histosynth.annotation.inspecting import inspect_annotations
from histosynth.annotation.regions import find_regions
from histosynth.annotation.slide_nuclei import read_slide_nuclei
from histosynth.core.errors import HistosynthError
from histosynth.core.geometry import Size

MUTANTS = int(os.environ.get("HISTOSYNTH_MUTANTS", "200"))
SQUARE = [[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]]
OTHER = [[40, 40], [52, 40], [52, 52], [40, 52], [40, 40]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE]}


def feature(geometry, object_type=None, **properties):
    if object_type:
        properties["objectType"] = object_type
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


NAMED = {"classification": {"name": "Tumor", "color": [1, 2, 3]}}
CELL = feature(POLYGON, "cell", **NAMED) | {
    "nucleusGeometry": {"type": "Polygon", "coordinates": [OTHER]}
}
POINTS = feature(
    {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4], [5, 6]]}, "annotation", **NAMED
)
PARTS = feature({"type": "MultiPolygon", "coordinates": [[SQUARE], [OTHER]]}, "annotation", **NAMED)
MIXED = feature(
    {
        "type": "GeometryCollection",
        "geometries": [POLYGON, {"type": "Point", "coordinates": [7, 8]}],
    }
)
TYPED = feature(POLYGON, type="Neoplastic", prob=0.9)
PARENT = feature(POLYGON, "annotation", childObjects=[CELL, feature(POLYGON, "detection")])
NUCLEI = {"1": {"centroid": [1.5, 2], "type": 1}, "2": {"centroid": [3, 4], "type": None}}
DOCUMENTS = (
    {"type": "FeatureCollection", "features": [CELL, PARENT, POINTS]},
    {"type": "FeatureCollection", "features": [TYPED, TYPED, MIXED]},
    [PARTS, POINTS],
    [PARTS, MIXED, feature(None), feature({"type": "LineString", "coordinates": [[0, 0], [1, 1]]})],
    CELL,
    POLYGON,
    {"mag": 40, "nuc": NUCLEI, "type_map": {"1": ["neopla", [255, 0, 0]]}},
    {"wsi_metadata": {"base_mpp": 0.25}, "cells": list(NUCLEI.values())},
    NUCLEI,
)
VALUES = (None, [], {}, "", "x", "1", 0, -1, 3.5, True, 1e308, math.nan, math.inf, 10**400, [[]])


def places(value, path=()):
    """Every path into a document."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, each in items:
        found += places(each, (*path, key))
    return found


def parent_of(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


@st.composite
def mutants(draw):
    """A document with one to four places dropped, replaced, doubled, nested, renamed or turned."""
    document = deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 4))):
        paths = places(document)
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        parent = parent_of(document, path)
        key = path[-1]
        value = parent[key]
        match draw(st.sampled_from(["drop", "set", "twice", "nest", "turn", "move"])):
            case "drop":
                del parent[key]
            case "set":
                parent[key] = deepcopy(draw(st.sampled_from(VALUES)))
            case "twice" if isinstance(parent, list):
                parent.insert(key, deepcopy(value))
            case "nest":
                parent[key] = [value]
            case "turn" if isinstance(value, list):
                value.reverse()
            case "move":
                other = deepcopy(parent_of(document, draw(st.sampled_from(paths))))
                parent[key] = other
    return document


def counted(data):
    """How many things a document holds, nuclei or not: written without the readers."""
    if isinstance(data, dict) and ("nuc" in data or "cells" in data):
        return len(data["nuc"] if "nuc" in data else data["cells"])
    values = list(data.values()) if isinstance(data, dict) else data
    if isinstance(data, dict) and any(isinstance(v, dict) and "centroid" in v for v in values):
        return len(data)
    if isinstance(data, list) and data and "centroid" in data[0]:
        return len(data)
    if isinstance(data, dict):
        data = data["features"] if isinstance(data.get("features"), list) else [data]
    return sum(counted_in_feature(each) for each in data)


def counted_in_feature(each):
    if "coordinates" in each or "geometries" in each:
        each = each if "geometry" in each else {"geometry": each}
    properties = each.get("properties") or {}
    children = []
    for place in (properties, each):
        children += place.get("childObjects", []) + place.get("children", [])
    inside = sum(counted_in_feature(child) for child in children)
    nucleus = each.get("nucleusGeometry", properties.get("nucleusGeometry"))
    if nucleus is not None:
        return 1 + inside
    stated = properties.get("objectType") or properties.get("object_type") or ""
    stated = stated or properties.get("type") or ""
    is_one = stated in ("detection", "cell")
    return max(counted_in_geometry(each.get("geometry"), is_one), 1) + inside


def counted_in_geometry(geometry, is_one):
    """Points, polygons and lines; the polygons of a detected object are one."""
    shapes, others = parts(geometry)
    return others + (min(shapes, 1) if is_one else shapes)


def parts(geometry):
    if geometry is None:
        return 0, 0
    if geometry["type"] == "GeometryCollection":
        each = [parts(one) for one in geometry["geometries"]]
        return sum(a for a, _ in each), sum(b for _, b in each)
    count = len(geometry["coordinates"]) if geometry["type"].startswith("Multi") else 1
    if geometry["type"] == "MultiLineString":
        count = 1
    return (count, 0) if geometry["type"].endswith("Polygon") else (0, count)


def readers(path):
    """Every verb's way to a file."""
    mapping = {}
    return (
        lambda: find_regions(path),
        lambda: read_slide_nuclei(path, mapping, size=Size(100, 100), mpp=0.25),
        lambda: read_two(path, path, mpp=0.25, mapping=mapping),
    )


@given(document=mutants())
@settings(
    max_examples=MUTANTS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_damaged_document_is_read_in_full_or_in_part_or_refused(tmp_path, document):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    json.dumps(inspect_annotations(path), allow_nan=False)
    for read in readers(path):
        try:
            read()
        except HistosynthError:
            continue
    try:
        found = read_chosen(path, 0.25)
    except HistosynthError:
        return
    assert len(found.names) + found.left_out.total() == counted(document)


ROWS = ["x,y,class", "1,2,Tumor", "3.5,4,Stroma", "5,6,any"]


@st.composite
def mutated_rows(draw):
    rows = list(ROWS)
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(rows) - 1))
        cells = rows[index].split(",")
        match draw(st.sampled_from(["drop", "twice", "cell", "lose"])):
            case "drop":
                rows[index] = ""
            case "twice":
                rows.insert(index, rows[index])
            case "cell":
                cells[draw(st.integers(0, len(cells) - 1))] = draw(
                    st.sampled_from(["", "nan", "1e999", "1_0", "x", '"', "-7", "٣", "\t"])
                )
                rows[index] = ",".join(cells)
            case "lose":
                rows[index] = ",".join(cells[:-1])
    return rows


@given(rows=mutated_rows())
@settings(
    max_examples=MUTANTS // 5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_damaged_table_is_read_in_full_or_refused(tmp_path, rows):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    for read in readers(path):
        try:
            read()
        except HistosynthError:
            continue
    try:
        found = read_chosen(path, 0.25)
    except HistosynthError:
        return
    assert len(found.names) == sum(bool(row) for row in rows) - 1


@pytest.mark.parametrize("text", ["", "{", "\x00", "[" * 9999, '{"a": 1, "a": 2}', "1", "nan"])
def test_what_is_no_document_is_refused(tmp_path, text):
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(HistosynthError):
        read_chosen(path, 0.25)
    assert list(inspect_annotations(path)) == ["path", "refused"]
