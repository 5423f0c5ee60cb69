"""Sizes and shapes of nuclei in files: columns of a CSV, outlines of other tools."""

import json

import numpy as np
import pytest

from histosynth.annotation.measuring import measure_polygons
from histosynth.annotation.nuclei_files import nuclei_csv, read_nuclei, write_csv
from histosynth.core.errors import BadNuclei
from histosynth.core.nucleus_shapes import known_shapes

CLASSES = ("a", "b")


def read(path, size=(128, 96)):
    return read_nuclei(path, size=size, mpp=0.5, classes=CLASSES)


def written(path, text):
    path.write_text(text)
    return path


def ring(x, y, long_px, short_px, angle, corners=60):
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    along = long_px * np.cos(turns)
    across = short_px * np.sin(turns)
    turn = np.radians(angle)
    return np.stack(
        [
            x + along * np.cos(turn) - across * np.sin(turn),
            y + along * np.sin(turn) + across * np.cos(turn),
        ],
        axis=1,
    )


def feature(outline, *, object_type="detection", nucleus=None):
    def polygon(points):
        closed = [*points.tolist(), points[0].tolist()]
        return {"type": "Polygon", "coordinates": [closed]}

    found = {
        "type": "Feature",
        "geometry": polygon(outline),
        "properties": {"objectType": object_type, "classification": {"name": "a"}},
    }
    if nucleus is not None:
        found["nucleusGeometry"] = polygon(nucleus)
    return found


def geojson(path, *features):
    collection = {"type": "FeatureCollection", "features": list(features)}
    return written(path, json.dumps(collection))


def test_columns_of_a_csv_are_read_and_written_again(tmp_path):
    text = "x,y,class,area_um2,elongation,angle\n10,20,a,45.5,2.5,30\n30,40,b,,,\n50,60,a,20,,\n"
    nuclei = read(written(tmp_path / "a.csv", text))
    assert nuclei.shapes[0] == pytest.approx([45.5, 2.5, 30])
    assert known_shapes(nuclei.shapes).tolist() == [True, False, True]
    assert nuclei.shapes[2].tolist() == [20, 1, 0]
    write_csv(tmp_path / "b.csv", nuclei)
    again = read(tmp_path / "b.csv")
    np.testing.assert_array_equal(again.shapes, nuclei.shapes)
    assert nuclei_csv(nuclei).startswith("x,y,class,area_um2,elongation,angle\r\n10.0,20.0,a,45.5")


def test_an_area_alone_is_a_column_too(tmp_path):
    nuclei = read(written(tmp_path / "a.csv", "x,y,class,area_um2\n10,20,a,45\n"))
    assert nuclei.shapes.tolist() == [[45, 1, 0]]


def test_without_columns_nothing_is_known_and_nothing_new_is_written(tmp_path):
    nuclei = read(written(tmp_path / "a.csv", "x,y,class\n10,20,a\n"))
    assert nuclei.shapes is None
    assert nuclei_csv(nuclei) == "x,y,class\r\n10.0,20.0,a\r\n"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("10,20,a,-4,,", "impossible area_um2 (first: row 1, -4)"),
        ("10,20,a,nan,2,", "impossible area_um2"),
        ("10,20,a,99999,,", "at most 2,000 um2"),
        ("10,20,a,40,0.2,", "impossible elongation"),
        ("10,20,a,40", "is not x,y,class,area_um2,elongation,angle"),
        ("10,20,a,big,1,0", "is not x,y,class,area_um2,elongation,angle"),
    ],
)
def test_impossible_shapes_are_refused(tmp_path, row, words):
    path = written(tmp_path / "a.csv", f"x,y,class,area_um2,elongation,angle\n{row}\n")
    with pytest.raises(BadNuclei) as caught:
        read(path)
    assert words in str(caught.value)


@pytest.mark.parametrize("header", ["x,y,class,elongation", "x,y,class,angle,area_um2"])
def test_columns_come_in_one_order(tmp_path, header):
    with pytest.raises(BadNuclei, match="in this order"):
        read(written(tmp_path / "a.csv", f"{header}\n"))


def test_outlines_of_qupath_give_shapes(tmp_path):
    path = geojson(
        tmp_path / "a.geojson",
        feature(ring(40, 30, 12, 6, 25)),
        feature(ring(80, 60, 14, 12, 0), object_type="cell", nucleus=ring(82, 61, 8, 4, 120)),
        feature(ring(100, 20, 9, 9, 0), object_type="cell"),
    )
    nuclei = read(path)
    first, with_nucleus, cell = nuclei.shapes
    assert first == pytest.approx([np.pi * 12 * 6 / 4, 2, 25], rel=0.01)
    assert with_nucleus == pytest.approx([np.pi * 8 * 4 / 4, 2, 120], rel=0.01)
    assert np.isnan(cell).all()  # the outline of a cell is not that of its nucleus


def test_shapes_that_are_no_nucleus_are_not_known(tmp_path):
    path = geojson(
        tmp_path / "a.geojson",
        feature(ring(60, 48, 58, 46, 0)),
        feature(ring(40, 30, 30, 1, 0)),
        feature(ring(20, 20, 4, 4, 0)),
    )
    shapes = read(path).shapes
    assert np.isnan(shapes[:2]).all() and shapes[2, 1] == pytest.approx(1, abs=0.01)


def test_an_outline_larger_than_its_tile_is_not_known(tmp_path):
    path = geojson(tmp_path / "a.geojson", feature(ring(16, 16, 20, 20, 0)))
    nuclei = read(path, size=(32, 32))
    assert len(nuclei) == 1 and not known_shapes(nuclei.shapes).any()


@pytest.mark.parametrize("sense", [1, -1])
def test_variances_of_polygons_are_those_of_their_area(sense):
    outline = ring(1000, 500, 10, 5, 0, corners=180)[::sense]
    x, y, area, xx, yy, xy = measure_polygons([(outline,)])[0]
    assert (x, y, area) == pytest.approx((1000, 500, np.pi * 50), rel=1e-3)
    assert (xx, yy) == pytest.approx((25, 6.25), rel=2e-3) and abs(xy) < 1e-6
    with_hole = measure_polygons([(outline, outline / 2)])[0]
    assert np.isnan(with_hole[3:]).all() and np.isfinite(with_hole[:3]).all()
