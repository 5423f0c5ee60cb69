"""Regions: QuPath's polygons as a mask, and nothing that is none."""

import json

import numpy as np
import pytest

from histosynth.annotation.regions import Region, read_regions, region_mask, write_regions
from histosynth.core.errors import BadRegions

SQUARE = [[10, 10], [50, 10], [50, 40], [10, 40], [10, 10]]
HOLE = [[20, 20], [30, 20], [30, 30], [20, 30], [20, 20]]


def feature(geometry_type, coordinates, name="Tumour"):
    geometry = {"type": geometry_type, "coordinates": coordinates}
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {"classification": {"name": name}},
    }


def write(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def test_polygons_with_holes_and_multipolygons_become_masks(tmp_path):
    far = [[[70, 60], [90, 60], [90, 80], [70, 80]]]
    path = write(
        tmp_path / "r.geojson",
        feature("Polygon", [SQUARE, HOLE]),
        feature("MultiPolygon", [far]),
        feature("Point", [1, 1]),
    )
    mask = region_mask(read_regions(path), (100, 120), (1.0, 1.0))
    assert mask[25, 40] and mask[70, 80] and not mask[25, 25] and not mask[5, 5]
    assert abs(mask.sum() - (40 * 30 - 10 * 10 + 20 * 20)) < 120


def test_what_is_written_comes_back(tmp_path):
    ring = tuple((float(x), float(y)) for x, y in SQUARE)
    write_regions(tmp_path / "r.geojson", [Region("Stroma", ring)])
    assert read_regions(tmp_path / "r.geojson") == [Region("Stroma", ring)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "is not JSON"),
        ('{"features": 3}', "no list"),
        (
            json.dumps({"features": [feature("Polygon", [[[0, 0], [1, 1]]])]}),
            "a polygon of 2 points",
        ),
        (
            '{"features": [{"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [NaN, '
            "1], [1, 1]]]}, "
            '"properties": {}}]}',
            "no number",
        ),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_region_is_refused_with_its_number(tmp_path, content, message):
    path = tmp_path / "r.geojson"
    path.write_text(content)
    with pytest.raises(BadRegions, match=message):
        read_regions(path)


def test_coordinates_far_outside_do_not_break_the_drawing():
    ring = ((-1e300, -1e300), (1e300, -1e300), (1e300, 1e300), (-1e300, 1e300))
    assert region_mask([Region("x", ring)], (20, 30), (1.0, 1.0)).all()
    assert not np.any(region_mask([], (20, 30), (1.0, 1.0)))
