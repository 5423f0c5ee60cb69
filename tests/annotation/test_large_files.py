"""Files that do not fit a piece of text give what they give when they are read whole."""

import json
import tracemalloc

import numpy as np
import pytest
from test_mutated_files import DOCUMENTS, feature

from histosynth.annotation import collecting, csv_points, json_text, reading_files, text_pieces
from histosynth.annotation.agreement import read_two
from histosynth.annotation.chosen_nuclei import read_chosen
from histosynth.annotation.inspecting import inspect_annotations
from histosynth.annotation.measuring import measure_polygons
from histosynth.annotation.polygons import centre_of_rings
from histosynth.annotation.regions import find_regions
from histosynth.core.errors import BadNuclei, HistosynthError

BROKEN = (
    '[{"geometry": null, "properties": {}},]',
    '{"features": [{"geometry": null}] "a": 1}',
    '{"features": [{"geometry": null}], 1: 2}',
    '{"features": [{"geometry": null}], "a" 1}',
    '{"features": [{"geometry": nul}]}',
    '{"features": [{"geometry": null, "geometry": 1}]}',
    '[{"geometry": null, "properties": {}}',
    '[{"geometry": null, "properties": {}}] 7',
    '{"features": [\n\n{"geometry": "ab\n"}]}',
    "[" * 9999,
)


@pytest.fixture
def tiny_pieces(monkeypatch):
    """Every value of more than 40 characters is opened."""
    monkeypatch.setattr(json_text, "WINDOW", 40)
    monkeypatch.setattr(text_pieces, "_PIECE_BYTES", 13)


def facts_of(path):
    """All that verbs read of a file, or its refusals."""
    facts = []
    for read in (
        lambda: read_chosen(path, 0.25),
        lambda: find_regions(path),
        lambda: read_two(path, path, mpp=0.25, mapping={})[0],
    ):
        try:
            found = read()
        except HistosynthError as error:
            facts.append(str(error))
            continue
        facts.append({key: value for key, value in vars(found).items() if key != "xy"})
        facts += [found.xy.tolist(), found.names] if hasattr(found, "xy") else []
        marks = facts[-1].pop("marks", None) if isinstance(facts[-1], dict) else None
        facts += [marks.xy.tolist(), marks.names] if marks else []
    for each in facts:
        if isinstance(each, dict):
            each.pop("class_ids", None)
            shapes = each.pop("shapes", None)
            each["known shapes"] = None if shapes is None else np.nan_to_num(shapes).tolist()
    return [facts, inspect_annotations(path)]


def both_ways(path, monkeypatch):
    whole = facts_of(path)
    monkeypatch.setattr(json_text, "WINDOW", 40)
    monkeypatch.setattr(text_pieces, "_PIECE_BYTES", 13)
    return whole, facts_of(path)


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("indent", [None, 2])
def test_every_form_gives_the_same_in_pieces(tmp_path, monkeypatch, document, indent):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document, indent=indent), encoding="utf-8-sig")
    whole, pieces = both_ways(path, monkeypatch)
    assert pieces == whole


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_json_is_refused_in_the_same_words(tmp_path, monkeypatch, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    whole, pieces = both_ways(path, monkeypatch)
    assert pieces == whole and "is not JSON" in whole[0][0]


@pytest.mark.parametrize("data", [b'[{"a": "\xff"}]', b"x,y,class\n1,2,\xc3\xa9\n1,2,\xc3"])
def test_the_place_of_a_byte_that_is_no_text_is_that_in_the_file(tmp_path, monkeypatch, data):
    path = tmp_path / ("a.json" if data[:1] == b"[" else "a.csv")
    path.write_bytes(data)
    with pytest.raises(UnicodeDecodeError) as expected:
        path.read_text(encoding="utf-8-sig")
    monkeypatch.setattr(text_pieces, "_PIECE_BYTES", 7)
    with pytest.raises(BadNuclei) as caught:
        read_chosen(path, 0.25)
    sentence = f"{path} cannot be read: {expected.value}. Give a UTF-8 CSV or GeoJSON file."
    assert str(caught.value) == sentence


def test_children_of_a_large_object_follow_it(tmp_path, tiny_pieces):
    square = [[0, 0], [9, 0], [9, 9], [0, 9]]
    inner = [
        feature({"type": "Point", "coordinates": [x, 5]}, "detection", classification={"name": "B"})
        for x in range(5)
    ]
    outer = feature({"type": "Point", "coordinates": [7, 7]}, "detection", childObjects=inner)
    outer["properties"]["classification"] = {"name": "A"}
    last = feature({"type": "Polygon", "coordinates": [square]}, "detection")
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([outer, last]))
    found = read_chosen(path, 0.25)
    assert found.names == ["A", *"BBBBB", "any"]
    assert found.xy.tolist() == [[6.5, 6.5], *([x - 0.5, 4.5] for x in range(5)), [4.0, 4.0]]


@pytest.mark.parametrize("key", ["features", "mag"])
def test_a_key_of_a_large_object_that_stands_twice_is_refused(tmp_path, tiny_pieces, key):
    path = tmp_path / "a.json"
    nuclei = '"nuc": {"1": {"centroid": [5, 6]}}'
    path.write_text("{" + f'"{key}": [1, 2], {nuclei}, "{key}": [1, 2]' + "}")
    with pytest.raises(BadNuclei) as caught:
        read_chosen(path, 0.25)
    assert str(caught.value) == (
        f"{path} is not JSON: an object holds the key '{key}' twice. Export it again."
    )


def test_a_value_that_cannot_be_opened_is_bounded(tmp_path, tiny_pieces, monkeypatch):
    monkeypatch.setattr(json_text, "MAX_VALUE_CHARACTERS", 200)
    path = tmp_path / "a.geojson"
    coordinates = json.dumps([[5, 6]] * 99)
    path.write_text('[{"geometry": {"coordinates": ' + coordinates + ', "type": "MultiPoint"}}]')
    with pytest.raises(BadNuclei) as caught:
        read_chosen(path, 0.25)
    assert str(caught.value) == (
        f"{path} holds one value of more than 200 characters. Write each nucleus as an object of "
        "its own, and the type of a geometry before its coordinates."
    )


def test_polygons_measured_together_are_those_measured_alone():
    rng = np.random.default_rng(0)
    polygons = []
    for corners in (3, 4, 7, 8, 9, 20, 21, 64, 130, 250):
        for _ in range(12):
            angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
            radius = rng.uniform(2, 20, corners)
            ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius[:, None]
            polygons.append(((ring + rng.uniform(0, 40_000, 2)).round(2),))
        polygons.append((rng.uniform(0, 50, (corners, 2)),))  # crosses itself
        polygons.append((np.zeros((corners, 2)),))
    polygons.append((polygons[0][0], polygons[0][0] / 2))
    alone = [centre_of_rings(polygon) for polygon in polygons]
    expected = [[each.x, each.y, each.area] for each in alone]
    assert measure_polygons(polygons)[:, :3].tolist() == expected


@pytest.mark.parametrize("is_one_feature", [False, True])
def test_memory_grows_with_the_nuclei_and_not_with_the_text(tmp_path, monkeypatch, is_one_feature):
    monkeypatch.setattr(json_text, "WINDOW", 1 << 12)
    monkeypatch.setattr(text_pieces, "_PIECE_BYTES", 1 << 11)
    monkeypatch.setattr(collecting, "_BATCH", 16)
    ring = [[1000.25 + x, 2000.25 + x * x % 17] for x in range(20)]
    polygons = [[ring]] * 500
    features = [feature({"type": "Polygon", "coordinates": each}) for each in polygons]
    if is_one_feature:
        features = [feature({"type": "MultiPolygon", "coordinates": polygons})]
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(features))
    tracemalloc.start()
    found = read_chosen(path, 0.25)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.xy) == 500
    assert peak < path.stat().st_size  # as Python objects it would be ten times that


def test_what_is_over_the_limit_is_counted_and_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "MAX_OBJECTS", 3)
    monkeypatch.setattr(reading_files, "MAX_OBJECTS", 3)
    path = tmp_path / "a.csv"
    path.write_text("x,y,class\n" + "1,2,a\n" * 10)
    with pytest.raises(BadNuclei, match="holds 10 nuclei, over the limit of 3"):
        read_chosen(path, 0.25)


def test_a_line_without_an_end_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_points, "_MAX_LINE", 30)
    path = tmp_path / "a.csv"
    path.write_text("x,y,class\n" + "1" * 50)
    with pytest.raises(BadNuclei) as caught:
        read_chosen(path, 0.25)
    assert str(caught.value) == (
        f"{path} is no CSV: a line holds more than 30 characters. Write it again as x,y,class."
    )
