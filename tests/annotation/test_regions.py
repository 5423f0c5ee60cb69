"""Regions: QuPath's polygons as a mask, and nothing that is none."""

import json

import numpy as np
import pytest

from histosynth.annotation.regions import (
    Region,
    moved_region,
    read_regions,
    region_mask,
    write_regions,
)
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


def test_a_window_of_a_region_that_reaches_far_is_the_crop_of_the_whole():
    strip = Region("pen", ((100, 300), (140, 256), (29_990, 29_000), (29_950, 29_044)))
    triangle = Region("", ((0, 0), (30_000, 2_000), (1_000, 30_000)), (((9_000, 9_000),) * 3,))
    coarse = 30
    whole = region_mask([strip, triangle], (1000, 1000), (coarse, coarse))
    assert 0.45 < whole.mean() < 0.55
    for x, y in ((0, 0), (9_000, 9_000), (24_000, 21_000), (12_000, 3_000)):
        moved = [moved_region(each, x, y) for each in (strip, triangle)]
        window = region_mask(moved, (50, 50), (coarse, coarse))
        rows = slice(y // coarse, y // coarse + 50)
        columns = slice(x // coarse, x // coarse + 50)
        assert (window == whole[rows, columns]).all()


def test_cells_are_inside_by_their_centres_and_by_the_even_odd_rule():
    square = Region("", ((1.0, 1.0), (5.0, 1.0), (5.0, 4.0), (1.0, 4.0)))
    expected = np.zeros((6, 7), bool)
    expected[1:4, 1:5] = True
    assert (region_mask([square], (6, 7), (1, 1)) == expected).all()
    pierced = Region("", square.outline, (((2.0, 2.0), (9.0, 2.0), (9.0, 3.0), (2.0, 3.0)),))
    expected[2, 2:5] = False
    assert (region_mask([pierced], (6, 7), (1, 1)) == expected).all()
    crossed = Region("", ((0.0, 0.0), (6.0, 6.0), (6.0, 0.0), (0.0, 6.0)))
    found = region_mask([crossed], (6, 6), (1, 1))
    assert not found[[0, 5], 2:4].any() and found[2, 0] and found[2, 5]
