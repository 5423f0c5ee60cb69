"""Parts of files of nuclei: how far the objects reach, and the nuclei of one window."""

import json

import pytest

from histosynth.annotation.windows import FileNuclei, extent_of
from histosynth.core.errors import BadNuclei
from histosynth.core.geometry import Box

CLASSES = ("epithelial", "stromal")


def csv_file(path, rows):
    path.write_text("x,y,class\n" + "".join(f"{x},{y},{name}\n" for x, y, name in rows))
    return path


def geojson_file(path, *shapes):
    features = []
    for kind, coordinates in shapes:
        geometry = {"type": kind, "coordinates": coordinates}
        features.append({"type": "Feature", "geometry": geometry, "properties": {}})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.mark.parametrize(
    ("last", "side"), [(255, 256), (255.49, 256), (255.5, 257), (0, 1), (-0.5, 1)]
)
def test_the_extent_holds_the_last_centroid(tmp_path, last, side):
    path = csv_file(tmp_path / "a.csv", [(0, 0, "stromal"), (last, 0, "stromal")])
    assert extent_of(path, 0.5) == (side, 1)


def test_the_extent_of_shapes_ends_on_their_border(tmp_path):
    square = [[[0, 0], [512, 0], [512, 384], [0, 384], [0, 0]]]
    path = geojson_file(tmp_path / "a.geojson", ("Polygon", square), ("Point", [5.5, 5.5]))
    assert extent_of(path, 0.5) == (512, 384)


def test_files_without_a_size_of_their_own_are_refused(tmp_path):
    with pytest.raises(BadNuclei) as refusal:
        extent_of(csv_file(tmp_path / "a.csv", []), 0.5)
    assert str(refusal.value) == (
        f"{tmp_path / 'a.csv'} holds no objects, so that it has no size of its own. State "
        "--size in pixels."
    )
    path = csv_file(tmp_path / "b.csv", [(-3, 0, "stromal")])
    with pytest.raises(BadNuclei, match=r"has objects at x=-2.5, y=0.5 px, left of or above its"):
        extent_of(path, 0.5)


def test_touching_windows_share_no_nucleus_and_lose_none(tmp_path):
    rows = [(9.49, 0, "stromal"), (9.5, 0, "epithelial"), (19.5, 0, "stromal"), (3, 3, "stromal")]
    nuclei = FileNuclei(csv_file(tmp_path / "a.csv", rows), 0.5, CLASSES, {})
    left = nuclei.inside(Box(0, 0, 10, 10))
    right = nuclei.inside(Box(10, 0, 10, 10))
    assert left.names() == ["stromal", "stromal"] and right.names() == ["epithelial"]
    assert right.xy.tolist() == [[-0.5, 0]] and right.size == (10, 10) and right.mpp == 0.5
    assert len(nuclei) == 4 and nuclei.reach().tolist() == [3, 0, 19.5, 3]


def test_classes_are_mapped_and_those_outside_do_not_count(tmp_path):
    rows = [(1, 1, "Tumor"), (90, 1, "Unheard-of")]
    nuclei = FileNuclei(csv_file(tmp_path / "a.csv", rows), 0.5, CLASSES, {"Tumor": "epithelial"})
    assert nuclei.inside(Box(0, 0, 10, 10)).names() == ["epithelial"]
