"""Nuclei: checked coordinates, crops, poses, scales and maps; and files of nuclei."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_nuclei import CLASSES, some

from histosynth.annotation.nuclei_files import read_nuclei, write_csv, write_geojson
from histosynth.core.errors import BadNuclei, MissingScale, UnknownClasses
from histosynth.core.geometry import Box
from histosynth.core.nuclei import ANY, Nuclei, map_classes


def test_zero_nuclei_are_allowed():
    assert (
        len(
            Nuclei.of(
                [],
                [],
                size=(64, 64),
                mpp=0.5,
                classes=CLASSES,
            )
        )
        == 0
    )
    assert Nuclei.none((64, 64), 0.5, CLASSES).rasterize().max() == 0


@pytest.mark.parametrize(
    ("xy", "sentence"),
    [
        (
            [[64.0, 3.0]],
            "1 of 1 centroids lie outside the tile of 64 x 48 px (first: row 1 at x=64, y=3)",
        ),
        ([[3.0, 3.0], [-1.0, 3.0]], "row 2 at x=-1"),
        ([[np.nan, 3.0]], "1 of 1 centroids are not numbers"),
        ([[np.inf, 3.0]], "not numbers"),
    ],
)
def test_impossible_centroids_are_refused_with_the_row(xy, sentence):
    with pytest.raises(BadNuclei) as caught:
        Nuclei.of(
            xy,
            ["stromal"] * len(xy),
            size=(64, 48),
            mpp=0.5,
            classes=CLASSES,
        )
    assert sentence in str(caught.value)


def test_hundred_thousand_nuclei_in_one_tile_are_refused_by_density():
    xy = np.random.default_rng(0).uniform(0, 255, (100_000, 2))
    with pytest.raises(BadNuclei, match=r"100,000 nuclei on a tile of 256 x 256 px.*per mm2"):
        Nuclei.of(
            xy,
            ["stromal"] * len(xy),
            size=(256, 256),
            mpp=0.5,
            classes=CLASSES,
        )


def test_unknown_classes_are_listed_with_the_remedy():
    with pytest.raises(UnknownClasses) as caught:
        Nuclei.of(
            [[1, 1], [2, 2]],
            ["Tumor", "stromal"],
            size=(64, 48),
            mpp=0.5,
            classes=CLASSES,
        )
    assert "Tumor" in caught.value.problem and "lymphocyte" in caught.value.problem
    assert "--classes" in caught.value.remedy


@pytest.mark.parametrize("mpp", [None, 0.0, -1.0, float("nan")])
def test_a_scale_is_required(mpp):
    with pytest.raises(MissingScale, match="mpp"):
        Nuclei.of(
            [[1, 1]],
            ["stromal"],
            size=(64, 48),
            mpp=mpp,
            classes=CLASSES,
        )


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        some().xy[0, 0] = 3


def test_crop_then_concat_keeps_all_nuclei():
    nuclei = some()
    left = nuclei.crop(Box(0, 0, 32, 48))
    right = nuclei.crop(Box(32, 0, 32, 48))
    assert len(left) + len(right) == len(nuclei)
    assert left.concat(right).counts() == nuclei.counts()


@pytest.mark.parametrize("index", range(8))
def test_a_pose_of_the_nuclei_is_the_pose_of_their_map(index):
    nuclei = some()
    turned = np.rot90(nuclei.rasterize(cell=1), index % 4, axes=(1, 2))
    turned = turned[:, :, ::-1] if index >= 4 else turned
    np.testing.assert_allclose(
        nuclei.pose(index).rasterize(cell=1),
        turned,
        atol=2e-3,
    )


@given(dx=st.integers(-6, 6), dy=st.integers(-6, 6))
def test_a_shift_of_the_nuclei_is_a_shift_of_the_map(dx, dy):
    nuclei = Nuclei.of(
        [[20.3, 18.7]],
        ["stromal"],
        size=(64, 48),
        mpp=0.5,
        classes=CLASSES,
    )
    moved = nuclei.shift(2 * dx, 2 * dy).rasterize(cell=2)
    expected = np.roll(nuclei.rasterize(cell=2), (dy, dx), axis=(1, 2))
    np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_a_splat_peaks_at_one_on_its_cell():
    nuclei = Nuclei.of(
        [[10.5, 20.5]],
        ["lymphocyte"],
        size=(64, 48),
        mpp=0.5,
        classes=CLASSES,
    )
    raster = nuclei.rasterize(cell=2, sigma_px=2.0)
    assert raster[1, 10, 5] == pytest.approx(1.0)
    assert raster[1, 10, 6] == pytest.approx(np.exp(-0.5))
    assert raster[0].max() == 0


def test_a_nucleus_of_unknown_class_is_in_all_channels():
    nuclei = Nuclei.of(
        [[10.5, 20.5]],
        [ANY],
        size=(64, 48),
        mpp=0.5,
        classes=CLASSES,
    )
    assert nuclei.names() == [ANY] and nuclei.counts()[ANY] == 1
    np.testing.assert_allclose(nuclei.rasterize()[:, 10, 5], 1 / 3, rtol=1e-6)


def test_classes_can_be_removed():
    nuclei = some()
    undefined = nuclei.without_class(np.arange(len(nuclei)) < 10)
    assert undefined.names() == [ANY] * 10 + nuclei.names()[10:]
    assert ANY not in nuclei.counts()


@given(factor=st.sampled_from([0.5, 2.0, 4.0]))
def test_there_and_back_in_scale_is_the_same_position(factor):
    nuclei = some()
    size = (int(64 * factor), int(48 * factor))
    back = nuclei.to_mpp(0.5 / factor, size).to_mpp(0.5, (64, 48))
    np.testing.assert_allclose(back.xy, nuclei.xy, atol=1e-4)


@pytest.mark.parametrize("write", [write_csv, write_geojson])
def test_files_give_back_what_was_written(tmp_path, write):
    nuclei = some()
    path = tmp_path / ("n.csv" if write is write_csv else "n.geojson")
    nuclei = nuclei.without_class(np.arange(len(nuclei)) == 4)
    write(path, nuclei)
    again = read_nuclei(
        path,
        size=nuclei.size,
        mpp=0.5,
        classes=CLASSES,
    )
    np.testing.assert_allclose(again.xy, nuclei.xy, atol=0.011)
    assert (again.class_ids == nuclei.class_ids).all()


@pytest.mark.parametrize("name", ["n.csv", "n.geojson"])
@given(shares=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_can_be_read_up_to_the_border(tmp_path, name, shares):
    size = np.array([64, 48], np.float32)
    xy = np.minimum(
        np.array(shares, np.float32) * size - 0.5, np.nextafter(size - 0.5, -1, dtype=np.float32)
    )
    nuclei = Nuclei.of(
        xy,
        ["stromal"] * len(xy),
        size=(64, 48),
        mpp=0.5,
        classes=CLASSES,
    )
    (write_csv if name == "n.csv" else write_geojson)(tmp_path / name, nuclei)
    again = read_nuclei(
        tmp_path / name,
        size=(64, 48),
        mpp=0.5,
        classes=CLASSES,
    )
    np.testing.assert_allclose(again.xy, nuclei.xy, atol=0.002)


def test_a_class_that_is_none_of_them_is_refused():
    with pytest.raises(ValueError, match="class_ids holds 7, but there are 3 classes"):
        Nuclei(
            np.zeros((1, 2), np.float32),
            np.array([7], np.uint8),
            CLASSES,
            (64, 48),
            0.5,
        )


def test_the_first_number_that_is_no_class_is_refused():
    for class_id, is_class in ((2, True), (3, False), (254, False), (255, True)):
        ids = np.array([class_id], np.uint8)
        if is_class:
            Nuclei(np.zeros((1, 2), np.float32), ids, CLASSES, (64, 48), 0.5)
        else:
            with pytest.raises(ValueError, match=f"holds {class_id}"):
                Nuclei(np.zeros((1, 2), np.float32), ids, CLASSES, (64, 48), 0.5)


def test_polygons_become_their_area_centroid_and_class_names_are_mapped(tmp_path):
    ring = [[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "detection", "classification": {"name": "Tumor"}},
    }
    path = tmp_path / "cells.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    read = {"size": (64, 48), "mpp": 0.5, "classes": CLASSES}
    with pytest.raises(UnknownClasses):
        read_nuclei(path, **read)
    nuclei = read_nuclei(path, mapping={"Tumor": "epithelial"}, **read)
    np.testing.assert_allclose(nuclei.xy, [[14.5, 14.5]])  # QuPath counts from the pixel's corner
    assert nuclei.counts()["epithelial"] == 1


def test_a_qupath_object_without_classification_is_of_any_class(tmp_path):
    path = tmp_path / "cells.geojson"
    geometry = {"type": "Point", "coordinates": [10, 10]}
    path.write_text(json.dumps([{"geometry": geometry, "properties": {"objectType": "detection"}}]))
    assert read_nuclei(
        path,
        size=(64, 48),
        mpp=0.5,
        classes=CLASSES,
    ).names() == [ANY]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "a,b,c\n1,2,x\n", "not with the header x,y,class"),
        ("a.csv", "x,y,class\n1,two,stromal\n", "line 2"),
        ("a.csv", "x,y,class\n1,2\n", "line 2"),
        ("a.csv", "", "a.csv is empty. Begin it with the header x,y,class"),
        ("a.geojson", "{", "is not JSON"),
        ("a.csv", f"x,y,class\n1,2,{'s' * 140_000}\n", "is no CSV"),
        ("a.geojson", "3", "no list of features"),
        ("a.geojson", "[" + "9" * 5000 + "]", "is not JSON"),
        (
            "a.geojson",
            '[{"geometry": null, "properties": null}]',
            r"holds no nuclei, but objects without a geometry \(1\)",
        ),
        (
            "a.geojson",
            '[{"geometry": {"type": "Point", "coordinates": ['
            + "9" * 400
            + ', 1]}, "properties": {}}]',
            "feature 1",
        ),
        (
            "a.geojson",
            '[{"geometry": {"type": "LineString", "coordinates": []}, "properties": {}}]',
            r"holds no nuclei, but lines \(1\)",
        ),
        (
            "a.geojson",
            '[{"geometry": {"type": "LineString", "coordinates": [[1,1],[2,2]]},'
            ' "properties": {"classification": {"name": "x"}}}]',
            r"holds no nuclei, but lines \(1\)",
        ),
    ],
)
def test_broken_files_are_refused_with_the_line(
    tmp_path,
    name,
    text,
    sentence,
):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadNuclei, match=sentence):
        read_nuclei(
            path,
            size=(64, 48),
            mpp=0.5,
            classes=CLASSES,
        )


halves = st.integers(-1, 126).map(lambda value: value / 2)


@given(
    xy=st.lists(st.tuples(halves, halves), max_size=30),
    columns=st.lists(st.integers(1, 63), max_size=4, unique=True),
    rows=st.lists(st.integers(1, 63), max_size=4, unique=True),
)
def test_crops_that_tile_partition_the_nuclei(xy, columns, rows):
    """A nucleus on the border of two crops is in one of them, and only in one."""
    nuclei = Nuclei.of(
        np.array(xy).reshape(-1, 2),
        ["stromal"] * len(xy),
        size=(64, 64),
        mpp=0.5,
        classes=CLASSES,
    )
    edges_x = [0, *sorted(columns), 64]
    edges_y = [0, *sorted(rows), 64]
    found = []
    for left, right in itertools.pairwise(edges_x):
        for top, bottom in itertools.pairwise(edges_y):
            crop = nuclei.crop(Box(left, top, right - left, bottom - top))
            assert crop.size == (right - left, bottom - top)
            corner = np.array([left, top])
            found += (crop.xy + corner).tolist()
    assert sorted(found) == sorted(nuclei.xy.tolist())


def test_a_nucleus_on_the_border_of_two_crops_is_in_the_right_one():
    nuclei = Nuclei.of([[31.5, 5.0]], ["stromal"], size=(64, 48), mpp=0.5, classes=CLASSES)
    assert len(nuclei.crop(Box(0, 0, 32, 48))) == 0
    assert nuclei.crop(Box(32, 0, 32, 48)).xy.tolist() == [[-0.5, 5.0]]


def test_nuclei_that_a_shift_moves_off_the_tile_are_dropped():
    nuclei = Nuclei.of(
        [[0.0, 0.0], [63.0, 47.0]],
        ["stromal", "lymphocyte"],
        size=(64, 48),
        mpp=0.5,
        classes=CLASSES,
    )
    moved = nuclei.shift(1, 2)
    assert moved.xy.tolist() == [[1.0, 2.0]]
    assert moved.names() == ["stromal"]
    assert moved.size == (64, 48)


@pytest.mark.parametrize("index", range(8))
def test_a_pose_exchanges_the_sides_of_a_tile_at_odd_quarter_turns(index):
    expected = (48, 64) if index % 2 else (64, 48)
    assert some().pose(index).size == expected


def test_a_resampled_tile_has_its_new_size_and_scale():
    scaled = some().to_mpp(0.25, (128, 96))
    assert scaled.size == (128, 96)
    assert scaled.mpp == 0.25
    assert scaled.xy.dtype == np.float32
    corner = Nuclei.of([[-0.5, -0.5]], ["stromal"], size=(64, 48), mpp=0.5, classes=CLASSES)
    assert corner.to_mpp(0.25, (128, 96)).xy.tolist() == [[-0.5, -0.5]]


def test_sets_of_other_tiles_or_classes_cannot_be_joined():
    nuclei = some()
    others = [
        some(size=(48, 64)),
        nuclei.to_mpp(0.25, (64, 48)),
        Nuclei.none((64, 48), 0.5, ("epithelial",)),
    ]
    for other in others:
        with pytest.raises(ValueError, match="cannot be joined"):
            nuclei.concat(other)


def test_a_mask_selects_nuclei_and_their_classes():
    nuclei = some()
    keep = np.arange(len(nuclei)) % 2 == 0
    kept = nuclei.where(keep)
    assert (kept.xy == nuclei.xy[::2]).all()
    assert kept.names() == nuclei.names()[::2]


def test_counts_name_every_class_and_any_only_where_there_is_one():
    nuclei = some(4)
    assert nuclei.counts() == {"epithelial": 2, "lymphocyte": 1, "stromal": 1}
    partly = nuclei.without_class(np.array([True, False, False, False]))
    assert partly.counts() == {"epithelial": 1, "lymphocyte": 1, "stromal": 1, ANY: 1}


def test_of_overlapping_splats_of_one_class_the_larger_value_is_taken():
    both = Nuclei.of(
        [[10.5, 20.5], [14.5, 20.5]],
        ["stromal", "stromal"],
        size=(64, 48),
        mpp=0.5,
        classes=CLASSES,
    )
    first = both.where(np.array([True, False])).rasterize()
    second = both.where(np.array([False, True])).rasterize()
    np.testing.assert_array_equal(both.rasterize(), np.maximum(first, second))


def test_splats_end_at_three_standard_deviations_and_at_the_border():
    nuclei = Nuclei.of(
        [[32.5, 20.5], [-0.5, -0.5]],
        ["stromal", "lymphocyte"],
        size=(64, 48),
        mpp=0.5,
        classes=CLASSES,
    )
    raster = nuclei.rasterize(cell=2, sigma_px=2.0)
    assert raster.shape == (3, 24, 32)
    columns = np.flatnonzero(raster[2, 10])
    assert columns.tolist() == list(range(13, 20))
    rows = np.flatnonzero(raster[2, :, 16])
    assert rows.tolist() == list(range(7, 14))
    assert raster[1, 0, 0] == raster[1].max() > 0.7


def test_maps_of_tiles_of_odd_sides_cover_them():
    assert Nuclei.none((65, 47), 0.5, CLASSES).rasterize(cell=8).shape == (3, 6, 9)


def test_the_limit_of_density_is_60_000_per_mm2_and_16_on_tiny_tiles():
    def nuclei(count, side):
        xy = np.random.default_rng(0).uniform(0, side - 1, (count, 2))
        return Nuclei.of(xy, ["stromal"] * count, size=(side, side), mpp=1.0, classes=CLASSES)

    assert len(nuclei(600, 100)) == 600  # 0.01 mm2
    with pytest.raises(BadNuclei, match="601 nuclei"):
        nuclei(601, 100)
    assert len(nuclei(16, 8)) == 16
    with pytest.raises(BadNuclei, match="17 nuclei"):
        nuclei(17, 8)


@pytest.mark.parametrize("xy", [[[1, 2, 3]], [1, 2], [[[1, 2]]]])
def test_coordinates_of_another_shape_are_refused(xy):
    with pytest.raises(BadNuclei, match=r"\(N, 2\)"):
        Nuclei.of(xy, ["stromal"], size=(64, 48), mpp=0.5, classes=CLASSES)


def test_arrays_that_do_not_belong_together_are_refused():
    ids = np.zeros(2, np.uint8)
    for xy in (np.zeros((3, 2), np.float32), np.zeros((2, 3), np.float32), np.zeros(4, np.float32)):
        with pytest.raises(ValueError, match="do not belong together"):
            Nuclei(xy, ids, CLASSES, (64, 48), 0.5)


def test_class_maps_leave_names_that_are_not_in_them():
    mapping = {"Tumor": "epithelial"}
    assert map_classes(["Tumor", "stromal"], mapping) == ["epithelial", "stromal"]
