"""What tools really write: every form of GeoJSON and JSON has its right count, place and class."""

import json
import math

import numpy as np
import pytest

from histosynth.annotation.chosen_nuclei import read_chosen
from histosynth.annotation.nuclei_files import read_nuclei
from histosynth.annotation.regions import find_regions
from histosynth.annotation.slide_nuclei import read_slide_nuclei
from histosynth.core.errors import BadNuclei, HistosynthError
from histosynth.core.geometry import Size
from histosynth.core.nuclei import ANY


def ring(x, y, radius=6.0):
    """An octagon around a centre."""
    angles = np.arange(9) * math.pi / 4
    return [[x + radius * math.cos(a), y + radius * math.sin(a)] for a in angles]


def polygon(x, y, radius=6.0):
    return {"type": "Polygon", "coordinates": [ring(x, y, radius)]}


def feature(geometry, object_type="detection", **properties):
    if object_type:
        properties["objectType"] = object_type
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def write(tmp_path, data, name="a.geojson"):
    path = tmp_path / name
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def read(tmp_path, data, mpp=0.25):
    """(x, y, class) of each nucleus, rounded, and what is left out."""
    found = read_chosen(write(tmp_path, data), mpp)
    rows = zip(found.xy.round(3).tolist(), found.names, strict=True)
    return [(x, y, name) for (x, y), name in rows], dict(found.left_out)


ONE = feature(polygon(60, 60), classification={"name": "Tumor"})
COLLECTION = {"type": "FeatureCollection", "features": [ONE]}


@pytest.mark.parametrize(
    "data",
    [
        COLLECTION,
        [ONE],
        ONE,
        {"root": feature(None, "root", childObjects=[ONE])},
        [feature(None, "root", children=[ONE])],
        [ONE | {"geometry": {"type": "GeometryCollection", "geometries": [polygon(60, 60)]}}],
        [ONE | {"geometry": {"type": "MultiPolygon", "coordinates": [[ring(60, 60)]]}}],
        [ONE | {"geometry": {"type": "Polygon", "coordinates": [ring(60, 60)[:-1]]}}],
        [ONE | {"geometry": {"type": "Polygon", "coordinates": [[[*p, 7] for p in ring(60, 60)]]}}],
        [ONE | {"id": "PathDetectionObject"}],
    ],
)
def test_every_form_of_one_object_is_one_nucleus(tmp_path, data):
    assert read(tmp_path, data) == ([(59.5, 59.5, "Tumor")], {})


@pytest.mark.parametrize("geometry", [polygon(60, 60), {"type": "Point", "coordinates": [60, 60]}])
def test_a_bare_geometry_is_one_nucleus_of_any_class(tmp_path, geometry):
    assert read(tmp_path, geometry) == ([(59.5, 59.5, ANY)], {})


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"classification": {"name": "Tumor", "color": [1, 2, 3]}}, "Tumor"),
        ({"classification": {"names": ["Tumor", "Positive"]}}, "Tumor: Positive"),
        ({"classification": "Tumor"}, "Tumor"),
        ({"classification": '{"name": "Tumor", "color": [1, 2, 3]}'}, "Tumor"),
        ({"classification": '{"names": ["Tumor", "Positive"]}'}, "Tumor: Positive"),
        ({"class": "Tumor"}, "Tumor"),
        ({"prob": 0.9, "type": "Neoplastic"}, "Neoplastic"),
        ({"type": 1}, "1"),
        ({"type": None}, ANY),
        ({"classification": None, "isLocked": False}, ANY),
        ({"classification": {"name": None}}, ANY),
        ({"type": "detection"}, ANY),
        ({}, ANY),
    ],
)
def test_the_class_is_read_wherever_tools_write_it(tmp_path, properties, name):
    found, _ = read(tmp_path, [feature(polygon(60, 60), "", **properties)])
    assert found == [(59.5, 59.5, name)]


@pytest.mark.parametrize(
    ("properties", "shown"),
    [
        ({"name": "Tumor"}, "its property 'name' is 'Tumor'"),
        ({"cell_type": "Tumor"}, "its property 'cell_type' is 'Tumor'"),
        ({"class_id": 3}, "its property 'class_id' is 3"),
        ({"label": "Tumor"}, "its property 'label' is 'Tumor'"),
    ],
)
def test_a_property_that_may_be_a_class_is_never_passed_over(tmp_path, properties, shown):
    path = write(tmp_path, [feature(polygon(60, 60), "", **properties)])
    with pytest.raises(BadNuclei) as caught:
        read_chosen(path, 0.25)
    assert caught.value.problem == (
        f"{path}, feature 1 is not a point or polygon with a class ({shown}, which may be a class, "
        "and the properties that are read as one (classification, class, type) state none)."
    )


def test_names_of_qupath_objects_and_numbers_of_labels_are_no_classes(tmp_path):
    named = feature(polygon(60, 60), name="Nucleus 17", label=3)
    assert read(tmp_path, [named])[0] == [(59.5, 59.5, ANY)]


def test_a_cell_is_where_its_nucleus_is(tmp_path):
    cell = feature(polygon(120, 120, 40), "cell", classification={"name": "Tumor"})
    cell["nucleusGeometry"] = polygon(100, 112)
    assert read(tmp_path, [cell]) == ([(99.5, 111.5, "Tumor")], {})


def test_annotations_with_an_area_are_no_nuclei_next_to_detections(tmp_path):
    around = feature(polygon(100, 100, 90), "annotation")
    left_out = {"annotations with an area, next to detections or cells": 1}
    assert read(tmp_path, [around, ONE]) == ([(59.5, 59.5, "Tumor")], left_out)


def test_regions_are_no_nuclei_next_to_points(tmp_path):
    region = feature(polygon(500, 500, 200), "annotation", classification={"name": "Area"})
    points = feature({"type": "MultiPoint", "coordinates": [[10, 20], [30, 40]]}, "annotation")
    found, left_out = read(tmp_path, [region, points])
    assert found == [(9.5, 19.5, ANY), (29.5, 39.5, ANY)]
    assert left_out == {"regions (shapes of 1,000 um2 and more, next to points)": 1}


def test_a_lone_region_is_refused_with_its_area(tmp_path):
    square = [[0, 0], [480, 0], [480, 480], [0, 480], [0, 0]]
    path = write(tmp_path, [feature({"type": "Polygon", "coordinates": [square]}, "annotation")])
    with pytest.raises(BadNuclei) as caught:
        read_chosen(path, 0.25)
    assert str(caught.value) == (
        f"{path} holds no nuclei, but shapes over 10,000 um2 (1); the largest covers 14,400 um2, "
        "and a nucleus at most 10,000 um2. Give detections, cells, points or outlines of nuclei, "
        "and check the scale (--mpp)."
    )


def test_one_multipolygon_a_class_is_a_nucleus_a_part(tmp_path):
    """As CellViT writes its cells; of a detection it is one nucleus, at its largest part."""
    parts = {"type": "MultiPolygon", "coordinates": [[ring(40, 40)], [ring(80, 40, 8)]]}
    cells = feature(parts, "annotation", classification={"name": "Neoplastic"})
    rows = [(39.5, 39.5, "Neoplastic"), (79.5, 39.5, "Neoplastic")]
    assert read(tmp_path, [cells]) == (rows, {})
    assert read(tmp_path, [feature(parts)]) == ([(79.5, 39.5, ANY)], {})


def test_what_is_no_point_or_polygon_is_counted(tmp_path):
    line = feature({"type": "LineString", "coordinates": [[0, 0], [9, 9]]}, "annotation")
    superpixel = feature(polygon(60, 60), "tile")
    found, left_out = read(tmp_path, [feature(None), line, superpixel, ONE])
    assert len(found) == 1
    assert left_out == {"lines": 1, "objects of the type tile": 1, "objects without a geometry": 1}


def test_children_too_deep_and_keys_that_stand_twice_are_refused(tmp_path):
    nested = ONE
    for _ in range(60):
        nested = feature(polygon(60, 60), childObjects=[nested])
    with pytest.raises(BadNuclei, match="objects lie more than 50 deep"):
        read(tmp_path, [nested])
    twice = '{"type": "FeatureCollection", "features": [1], "features": []}'
    with pytest.raises(BadNuclei, match="holds the key 'features' twice, with two values"):
        read(tmp_path, twice)
    doubled = '"properties": {"metadata": {}, "metadata": {}, '
    same = json.dumps(ONE).replace('"properties": {', doubled)
    assert read(tmp_path, same) == ([(59.5, 59.5, "Tumor")], {})


def hovernet(mag, *types):
    nuclei = {
        str(number): {"centroid": [100.5, 40.0 + number], "type": value, "type_prob": None}
        for number, value in enumerate(types)
    }
    return {"mag": mag, "nuc": nuclei}


def test_hovernet_without_types_is_of_any_class(tmp_path):
    found, _ = read(tmp_path, hovernet(None, None, None))
    assert found == [(100.5, 40.0, ANY), (100.5, 41.0, ANY)]


@pytest.mark.parametrize(
    "data",
    [
        {"a1": {"centroid": [3, 4], "type": 1}, "b2": {"centroid": [5, 6], "type": None}},
        [{"centroid": [3, 4], "type": 1}, {"centroid": [5, 6], "type": None}],
        {"cells": [{"centroid": [3, 4], "type": 1}, {"centroid": [5, 6]}]},
    ],
)
def test_nuclei_by_number_and_in_lists_are_read(tmp_path, data):
    assert read(tmp_path, data)[0] == [(3, 4, "1"), (5, 6, ANY)]


@pytest.mark.parametrize(
    ("facts", "mpp", "x"),
    [
        ({"mag": 40}, 0.2277, 100.5),
        ({"mag": 40}, 0.5, 50.0),
        ({"mag": 20}, 0.25, 201.5),
        ({"wsi_metadata": {"base_mpp": 0.25, "base_magnification": 40}}, 0.2527, 100.5),
        ({"wsi_metadata": {"base_mpp": 0.25}}, 0.5, 50.0),
        ({"wsi_metadata": {"base_magnification": 40}}, 0.25, 100.5),
        ({"resolution": {"resolution": 0.5, "units": "mpp"}}, 0.25, 201.5),
        ({"resolution": {"resolution": 1.0, "units": "baseline"}}, 0.25, 100.5),
    ],
)
def test_coordinates_at_a_stated_scale_become_those_of_the_picture(tmp_path, facts, mpp, x):
    nuclei = {"1": {"centroid": [100.5, 40.0]}}
    data = facts | (
        {"cells": list(nuclei.values())} if "wsi_metadata" in facts else {"nuc": nuclei}
    )
    found = read_chosen(write(tmp_path, data, "a.json"), mpp)
    # (100.5 + 0.5) / 2 - 0.5 = 50: the corner of the first pixel stays where it is
    assert found.xy[0, 0] == pytest.approx(x)
    assert len(found.notes) == (x != 100.5)


@pytest.mark.parametrize(
    ("facts", "stated"),
    [
        ({"mag": 40}, "mag 40 (about 0.25 um/px)"),
        ({"wsi_metadata": {"base_mpp": 0.25}}, "wsi_metadata.base_mpp 0.25 (0.25 um/px)"),
    ],
)
def test_scales_that_do_not_fit_are_refused_by_both(tmp_path, facts, stated):
    path = write(tmp_path, facts | {"nuc": {}}, "a.json")
    with pytest.raises(BadNuclei) as caught:
        read_chosen(path, 0.35)
    assert caught.value.problem == (
        f"{path} states {stated}, but its picture has 0.35 um/px: in whose pixels its coordinates "
        "are is not known."
    )


@pytest.mark.parametrize("mag", ["40x", 0, -20, float("nan"), True])
def test_a_magnification_that_is_none_is_refused(tmp_path, mag):
    with pytest.raises(BadNuclei, match="mag is"):
        read(tmp_path, hovernet(mag, 1))


def test_nuclei_outside_the_slide_are_counted_and_above_one_percent_refused(tmp_path):
    rows = "".join(f"{n},5,a\n" for n in range(101))
    path = write(tmp_path, "x,y,class\n" + rows, "s.csv")
    found = read_slide_nuclei(path, {}, size=Size(100, 10), mpp=0.25)
    assert len(found.nuclei) == 100
    assert found.notes == (f"{path}: left out 1 of 101 nuclei outside the slide.",)
    with pytest.raises(BadNuclei) as caught:
        read_slide_nuclei(path, {}, size=Size(99, 10), mpp=0.25)
    assert str(caught.value) == (
        f"{path}: 2 of 101 nuclei (2.0%) lie outside the slide of 99 x 10 px (first: 100 at x=99, "
        "y=5). Check that they are of this slide and in pixels of its level 0."
    )


def test_a_tile_s_reader_shows_what_it_left_out(tmp_path):
    path = write(tmp_path, [ONE, feature(None)])
    notes = []
    read_nuclei(path, size=(99, 99), mpp=0.5, classes=("Tumor",), on_note=notes.append)
    assert notes == [f"{path}: left out objects without a geometry (1)."]
    with pytest.warns(UserWarning, match="left out objects without a geometry"):
        read_nuclei(path, size=(99, 99), mpp=0.5, classes=("Tumor",))


def test_regions_are_what_people_drew_of_derived_classes_too(tmp_path):
    names = {"names": ["Tumor", "Positive"]}
    drawn = feature(polygon(100, 100, 90), "annotation", classification=names)
    point = feature({"type": "Point", "coordinates": [1, 1]}, "annotation")
    found = find_regions(write(tmp_path, [drawn, ONE, point]))
    assert [region.name for region in found.regions] == ["Tumor: Positive"]
    assert dict(found.left_out) == {"objects of the type detection": 1, "points": 1}
    # a pixel classifier's regions may be detections
    assert [region.name for region in find_regions(write(tmp_path, [ONE])).regions] == ["Tumor"]


def test_a_class_of_regions_that_may_stand_elsewhere_is_refused(tmp_path):
    with pytest.raises(HistosynthError, match="its property 'name' is 'Tumor'"):
        find_regions(write(tmp_path, [feature(polygon(9, 9), "", name="Tumor")]))
