"""Other tools' nuclei: every form, every class named."""

import json

import pytest

from histosynth.annotation.slide_nuclei import read_slide_nuclei as read_with_notes
from histosynth.core.errors import BadNuclei, UnmappedClasses
from histosynth.core.geometry import Size


def read_slide_nuclei(path, mapping):
    """The nuclei of a slide that is large enough, at 0.25 um/px."""
    return read_with_notes(path, mapping, size=Size(5000, 5000), mpp=0.25).nuclei


def test_hovernet_and_cellvit_name_their_types(tmp_path):
    path = tmp_path / "s.json"
    cells = {"1": {"centroid": [10.5, 20.0], "type": 1}, "2": {"centroid": [30, 40], "type": 2}}
    path.write_text(
        json.dumps(
            {
                "mag": 40,
                "nuc": cells,
                "type_map": {"1": ["neopla", [255, 0, 0]], "2": "inflam"},
            }
        )
    )
    found = read_slide_nuclei(path, {"neopla": "epithelial", "inflam": "lymphocyte"})
    assert found.names() == ["epithelial", "lymphocyte"] and found.xy.tolist() == [
        [10.5, 20],
        [30, 40],
    ]
    path.write_text(
        json.dumps({"type_map": {"1": "Neoplastic"}, "cells": [{"centroid": [5, 6], "type": 1}]})
    )
    assert read_slide_nuclei(path, {}).names() == ["Neoplastic"]


def test_classes_outside_the_map_are_all_listed(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("x,y,class\n1,2,Tumor\n3,4,Immune\n5,6,Other\n")
    with pytest.raises(UnmappedClasses, match=r"2 class\(es\).*Immune, Other") as caught:
        read_slide_nuclei(path, {"Tumor": "epithelial"})
    assert caught.value.unmapped == ("Immune", "Other")


@pytest.mark.parametrize("text", ["x,y,class\n1,nan,a\n", "x,y,class\n1e300,2,a\n"])
def test_numbers_that_are_none_are_refused(tmp_path, text):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(BadNuclei, match="1 of 1 centroids are no numbers"):
        read_slide_nuclei(tmp_path / "s.csv", {})


@pytest.mark.parametrize(
    "text", ['{"nuc": {"1": {}}}', '{"nuc": 3}', '{"cells": [{"centroid": "ab"}]}', "[["]
)
def test_damaged_json_is_refused(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(BadNuclei):
        read_slide_nuclei(tmp_path / "s.json", {})


def test_two_million_points_are_read(tmp_path):
    path = tmp_path / "s.csv"
    rows = "".join(f"{n % 2000},{n // 2000},a\n" for n in range(2_000_000))
    path.write_text("x,y,class\n" + rows)
    found = read_slide_nuclei(path, {"a": "nucleus"})
    assert len(found) == 2_000_000
