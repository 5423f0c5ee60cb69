"""Every form of annotations stands in the table of docs/annotations.md, and has a reader."""

import json
from pathlib import Path

import pytest

from histosynth.annotation.forms import FORM_FACTS
from histosynth.annotation.inspecting import inspect_annotations
from histosynth.annotation.reading_files import MAX_ANNOTATION_BYTES, MAX_OBJECTS

PAGE = (Path(__file__).parents[2] / "docs" / "annotations.md").read_text()
NUCLEUS = {"centroid": [5, 6], "type": 1}
POINT = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [5, 6]}}
FILES = {
    "CSV": "x,y,class\n5,6,1\n",
    "GeoJSON": json.dumps(POINT | {"properties": {"class": 1}}),
    "HoVer-Net JSON": json.dumps({"mag": 40, "nuc": {"1": NUCLEUS}}),
    "CellViT JSON": json.dumps({"wsi_metadata": {"base_mpp": 0.25}, "cells": [NUCLEUS]}),
    "JSON of nuclei by number": json.dumps({"1": NUCLEUS}),
}


def test_the_table_of_forms_is_that_of_the_readers():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    expected = ["| form | written by | what is read | class from |"]
    for name, facts in FORM_FACTS.items():
        expected.append(f"| {name} | {facts.writers} | {facts.read} | {facts.name_from} |")
    assert rows == expected
    assert f"16 GiB a file, {MAX_OBJECTS:,} points" in PAGE and MAX_ANNOTATION_BYTES == 16 << 30
    assert set(FILES) == set(FORM_FACTS)


@pytest.mark.parametrize("form", FILES)
def test_a_file_is_inspected_by_what_is_in_it(tmp_path, form):
    path = tmp_path / ("a.csv" if form == "CSV" else "a.json")
    path.write_text(FILES[form])
    scales = {
        "HoVer-Net JSON": {"mpp": 0.25, "stated_as": "mag 40", "is_nominal": True},
        "CellViT JSON": {
            "mpp": 0.25,
            "stated_as": "wsi_metadata.base_mpp 0.25",
            "is_nominal": False,
        },
    }
    assert inspect_annotations(path) == {
        "path": str(path),
        "form": form,
        "writers": FORM_FACTS[form].writers,
        "objects": {"not stated" if form == "GeoJSON" else "detection": 1},
        "points": 1,
        "polygons": 0,
        "nucleus_outlines": 0,
        "classes": {"1": 1},
        "bounds": [5.0, 6.0, 5.0, 6.0],
        "scale": scales.get(form),
        "left_out": {},
        "refused": [],
    }
