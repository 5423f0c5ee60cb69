"""Places without tissue, of GeoJSON and of mask pictures."""

import json

import numpy as np
import pytest
from PIL import Image

from histosynth.annotation.empty_regions import read_empty_regions
from histosynth.core.errors import BadRegions
from histosynth.core.geometry import Box

TILE = Box(0, 0, 128, 96)


def square(left, top, side):
    right, bottom = left + side, top + side
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def region(name, *rings):
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": list(rings)},
        "properties": {"objectType": "annotation", "classification": {"name": name}},
    }


def written(folder, *features):
    path = folder / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def test_pixels_of_lumina_and_fat_are_marked_and_their_islands_are_not(tmp_path):
    path = written(
        tmp_path,
        region("Lumen", square(10, 20, 30), square(20, 30, 10)),
        region("fat", square(60, 50, 8)),
    )
    expected = np.zeros((96, 128), bool)
    expected[20:50, 10:40] = True
    expected[30:40, 20:30] = False
    expected[50:58, 60:68] = True
    found = read_empty_regions(path)
    differing = found.inside(TILE) ^ expected
    # a line of pixels on half of each outline is either side's
    assert differing.sum() <= 2 * (30 + 10 + 8) + 3
    assert found.inside(TILE)[21:49, 11:19].all() and not found.inside(TILE)[31:39, 21:29].any()
    assert found.notes == ()


def test_a_window_sees_its_part(tmp_path):
    path = written(tmp_path, region("glass", square(100, 100, 40)))
    found = read_empty_regions(path)
    whole = found.inside(Box(0, 0, 256, 256))
    window = found.inside(Box(96, 64, 128, 96))
    np.testing.assert_array_equal(window, whole[64:160, 96:224])
    assert not found.inside(TILE, may_miss=True).any()


def test_other_classes_are_noted_and_left_to_the_model(tmp_path):
    path = written(
        tmp_path,
        region("Tumor", square(0, 0, 50)),
        region("Tumor", square(60, 0, 20)),
        region("Background", square(10, 60, 20)),
    )
    found = read_empty_regions(path)
    assert not found.inside(TILE)[:40].any() and found.inside(TILE)[65:75, 15:25].all()
    assert found.notes == (
        f"{path}: regions of other classes are left to the model: Tumor (2); those without tissue "
        "are lumen, background, glass, fat, empty.",
    )


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            [region("Tumor", square(0, 0, 50))],
            "states no place without tissue: its regions are of Tumor (1).",
        ),
        ([], "states no place without tissue: it holds no regions."),
    ],
)
def test_a_file_without_such_a_region_is_refused(tmp_path, features, message):
    with pytest.raises(BadRegions) as refused:
        read_empty_regions(written(tmp_path, *features))
    assert message in str(refused.value)


def test_regions_beside_the_tile_are_refused(tmp_path):
    path = written(tmp_path, region("lumen", square(500, 500, 40)))
    with pytest.raises(BadRegions) as refused:
        read_empty_regions(path).inside(TILE)
    assert (
        f"{path}: none of its 1 region without tissue lies in the tile of 128 x 96 px at 0,0."
        in str(refused.value)
    )


def test_a_mask_picture_is_cut_and_one_that_does_not_fit_is_refused(tmp_path):
    marked = np.zeros((96, 128), bool)
    marked[10:20, 30:50] = True
    path = tmp_path / "mask.png"
    Image.fromarray(marked.astype(np.uint8) * 255).save(path)
    found = read_empty_regions(path)
    np.testing.assert_array_equal(found.inside(TILE), marked)
    np.testing.assert_array_equal(found.inside(Box(20, 8, 64, 64)), marked[8:72, 20:84])
    with pytest.raises(BadRegions) as refused:
        found.inside(Box(0, 0, 256, 256))
    assert (
        f"{path} has 128 x 96 px, and the tile of 256 x 256 px at 0,0 does not lie in it."
        in str(refused.value)
    )
