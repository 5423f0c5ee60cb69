"""Lines along fibres, from GeoJSON."""

import json

import numpy as np
import pytest

from histosynth.annotation.orientation_lines import orientation_geojson, read_orientation_lines
from histosynth.core.errors import BadOrientation
from histosynth.core.geometry import Box
from histosynth.core.orientation import FibreOrientation

TILE = Box(0, 0, 128, 96)


def line(*corners, kind="LineString", **properties):
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": list(corners)},
        "properties": {"objectType": "annotation", **properties},
    }


def written(folder, *features):
    path = folder / "lines.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def test_cells_under_a_line_know_its_axis(tmp_path):
    path = written(tmp_path, line([8, 20], [72, 20]), line([100, 90], [100, 2], strength=0.9))
    found = read_orientation_lines(path).inside(TILE)
    expected = np.zeros((12, 16), bool)
    expected[2, 1:9] = True
    expected[:, 12] = True
    np.testing.assert_array_equal(found.known, expected)
    np.testing.assert_allclose(found.axes[2, 1:9], [[0.45, 0]] * 8, atol=1e-6)
    np.testing.assert_allclose(found.axes[:, 12], [[-0.9, 0]] * 12, atol=1e-6)


def test_direction_of_drawing_does_not_count_and_bends_do(tmp_path):
    corners = [[10, 10], [60, 60], [110, 60]]
    forth = read_orientation_lines(written(tmp_path, line(*corners))).inside(TILE)
    back = read_orientation_lines(written(tmp_path, line(*corners[::-1]))).inside(TILE)
    np.testing.assert_allclose(forth.axes, back.axes, atol=1e-6)
    np.testing.assert_allclose(forth.axes[3, 3], [0, 0.45], atol=1e-6)
    np.testing.assert_allclose(forth.axes[7, 11], [0.45, 0], atol=1e-6)


def test_a_window_sees_its_part(tmp_path):
    found = read_orientation_lines(written(tmp_path, line([100, 100], [240, 170])))
    whole = found.inside(Box(0, 0, 256, 256))
    window = found.inside(Box(96, 64, 128, 96))
    np.testing.assert_allclose(window.axes, whole.crop(Box(96, 64, 128, 96)).axes)
    assert found.inside(Box(0, 0, 64, 64), may_miss=True) is None
    with pytest.raises(BadOrientation, match=r"none of its 1 line lies in the tile of 64 x 64 px"):
        found.inside(Box(0, 0, 64, 64))


def test_several_lines_nested_objects_and_others(tmp_path):
    several = line([[0, 4], [64, 4]], [[0, 60], [64, 60]], kind="MultiLineString")
    parent = line([0, 90], [64, 90])
    parent["properties"]["childObjects"] = [line([90, 10], [120, 10])]
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 3]}}
    found = read_orientation_lines(written(tmp_path, several, parent, point))
    assert len(found.lines) == 4
    assert found.notes == (f"{found.path}: 1 object that is no line left out.",)


def test_a_map_comes_back_from_its_lines(tmp_path):
    angles = np.linspace(0, np.pi, 16 * 12, endpoint=False).reshape(12, 16)
    axes = 0.6 * np.stack([np.cos(2 * angles), np.sin(2 * angles)], axis=2)
    axes[4] = np.nan
    path = tmp_path / "map.geojson"
    path.write_text(orientation_geojson(FibreOrientation(axes, (128, 96))))
    found = read_orientation_lines(path).inside(TILE)
    assert found.known[1::3, 1::3].sum() == 3 * 5 and found.known.sum() == 3 * 5
    np.testing.assert_allclose(found.axes[found.known], axes[found.known], atol=0.005)


@pytest.mark.parametrize(
    ("feature", "problem"),
    [
        (line([1, 1]), "fewer than two different corners"),
        (line([1, 1], [1, 1]), "fewer than two different corners"),
        (line([1, 1], [5, 1], strength=0), "its strength is 0, not above 0 and up to 1"),
        (line([1, 1], [5, 1], strength=1.5), "its strength is 1.5"),
        (line([1, 1], [5, 1], strength=True), "its strength is True"),
        (line([1, 1], [5, 1], strength=None), "its strength is None"),
        (line([1, 1], [5, 1], strength="0.5"), "its strength is '0.5'"),
        (line(), "fewer than two different corners"),
        ({"type": "LineString", "coordinates": None}, "fewer than two different corners"),
        ({**line([1, 1], [5, 1]), "properties": [1, 2]}, "its properties are no object"),
        (line([1, 1], [5, "x"]), "coordinate 'x'"),
        (line([1, 1], [5, 1e9]), "too far out"),
        ({"type": "Nothing"}, "it has no geometry"),
    ],
)
def test_lines_that_are_none_are_refused(feature, problem, tmp_path):
    path = written(tmp_path, line([0, 0], [9, 9]), feature)
    with pytest.raises(BadOrientation) as refused:
        read_orientation_lines(path)
    assert f"{path}, feature 2 is no line along fibres" in str(refused.value)
    assert problem in str(refused.value)


def test_files_without_lines_are_refused(tmp_path):
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 3]}}
    with pytest.raises(BadOrientation, match="holds no line, but 1 other object"):
        read_orientation_lines(written(tmp_path, point))
    for text in ("3", "{", "<html>"):
        path = tmp_path / "other.geojson"
        path.write_text(text)
        with pytest.raises(BadOrientation):
            read_orientation_lines(path)
    with pytest.raises(BadOrientation, match="cannot be read"):
        read_orientation_lines(tmp_path / "absent.geojson")


def test_the_length_of_all_lines_is_limited(tmp_path):
    corners = [[0, 0], [9e6, 0]]
    path = written(tmp_path, line(*corners))
    with pytest.raises(BadOrientation, match="9,000,000 px long together, over the limit of"):
        read_orientation_lines(path)


def test_lines_of_collections_count(tmp_path):
    inner = [line([8, 20], [72, 20])["geometry"], {"type": "Point", "coordinates": [1, 1]}]
    feature = {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": inner}}
    found = read_orientation_lines(written(tmp_path, feature))
    assert len(found.lines) == 1 and found.notes == ()


def test_objects_too_deep_in_others_are_refused(tmp_path):
    feature = line([0, 4], [64, 4])
    for _ in range(52):
        outer = line([0, 4], [64, 4])
        outer["properties"]["childObjects"] = [feature]
        feature = outer
    with pytest.raises(BadOrientation, match="more than 50 deep"):
        read_orientation_lines(written(tmp_path, feature))


def test_a_file_of_nothing_states_nothing(tmp_path):
    axes = np.full((12, 16, 2), 1e-4, np.float32)
    path = tmp_path / "glass.geojson"
    path.write_text(orientation_geojson(FibreOrientation(axes, (128, 96))))
    found = read_orientation_lines(path)
    assert found.inside(TILE) is None
    assert found.notes == (f"{path} holds no line: how fibres run is left open.",)
