"""Nuclei: refusals word for word, types of arrays, limits, and maps computed by hand."""

import numpy as np
import pytest
from random_nuclei import CLASSES, some

from histosynth.core.errors import BadNuclei, MissingScale, UnknownClasses
from histosynth.core.geometry import Box
from histosynth.core.nuclei import ANY, Nuclei


def of(xy, names=None, *, size=(64, 48), mpp=0.5, classes=CLASSES):
    return Nuclei.of(
        xy,
        ["stromal"] * len(xy) if names is None else names,
        size=size,
        mpp=mpp,
        classes=classes,
    )


def plain(xy, class_ids, size=(64, 48)):
    """Nuclei of arrays, without the checks of `Nuclei.of`."""
    return Nuclei(np.array(xy), np.array(class_ids), CLASSES, size, 0.5)


SHAPE_REMEDY = "Give columns x and y."
COUNT_REMEDY = "Check the scale (--mpp) and the coordinates' unit (pixels of the tile)."
SIZE_REMEDY = "Give a larger --size, or coordinates in pixels of this tile."


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda: plain([[1.0, 2.0], [3.0, 4.0]], [0]),
            ValueError,
            "xy (2, 2) and class_ids (1,) do not belong together",
        ),
        (
            lambda: plain(np.zeros((4, 3)), [0] * 4),
            ValueError,
            "xy (4, 3) and class_ids (4,) do not belong together",
        ),
        (
            lambda: of([[1, 2], [3, 4]], ["stromal"]),
            ValueError,
            "xy (2, 2) and class_ids (1,) do not belong together",
        ),
        (
            lambda: plain(np.zeros((4, 2)), [1, 255, 7, 9]),
            ValueError,
            "class_ids holds 7, but there are 3 classes",
        ),
        (
            lambda: some().concat(some(size=(48, 64))),
            ValueError,
            "nuclei of different classes, sizes or scales cannot be joined",
        ),
        (
            lambda: of([[1, 2]], mpp=None),
            MissingScale,
            "the set of nuclei does not state its scale in micrometres per pixel. "
            "Give it with --mpp (0.5 is usual for a 20x scan); it is never guessed.",
        ),
        (
            lambda: of([[1, 2]] * 4, ["b", "stromal", "a", ANY]),
            UnknownClasses,
            "Unknown nucleus class: a, b; known are epithelial, lymphocyte, stromal. "
            'Map yours with --classes map.toml, one line a class such as "Tumor" = "epithelial"; '
            "in a recipe with the source's map.",
        ),
        (
            lambda: of([[1, 2, 3]]),
            BadNuclei,
            f"Centroids come as (N, 2), not as (1, 3). {SHAPE_REMEDY}",
        ),
        (
            lambda: of(np.array([[1.0, 2.0], [5.0, np.nan], [-np.inf, 3.0]])),
            BadNuclei,
            "2 of 3 centroids are not numbers (first: row 2). Remove those rows.",
        ),
        (
            lambda: of(np.array([[1e300, 2.0]])),
            BadNuclei,
            "1 of 1 centroids are not numbers (first: row 1). Remove those rows.",
        ),
        (
            lambda: of([[1, 2], [3, 47.5], [63.5, 4]]),
            BadNuclei,
            "2 of 3 centroids lie outside the tile of 64 x 48 px (first: row 2 at x=3, y=47.5). "
            f"{SIZE_REMEDY}",
        ),
        (
            lambda: of([[-0.75, 2]], size=(8, 4)),
            BadNuclei,
            "1 of 1 centroids lie outside the tile of 8 x 4 px (first: row 1 at x=-0.75, y=2). "
            f"{SIZE_REMEDY}",
        ),
        (
            lambda: of([[1, 2]] * 1201, size=(200, 100), mpp=1.0),
            BadNuclei,
            "1,201 nuclei on a tile of 200 x 100 px at 1 um/px are 60,050 per mm2; tissue holds "
            f"at most 60,000. {COUNT_REMEDY}",
        ),
        (
            lambda: of([[1, 2]] * 301, size=(200, 100), mpp=0.5),
            BadNuclei,
            "301 nuclei on a tile of 200 x 100 px at 0.5 um/px are 60,200 per mm2; tissue holds "
            f"at most 60,000. {COUNT_REMEDY}",
        ),
    ],
)
def test_nuclei_that_cannot_be_used_are_refused_in_these_words(call, error, sentence):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == sentence


def test_unknown_classes_are_fields_of_the_error():
    with pytest.raises(UnknownClasses) as caught:
        of([[1, 2]] * 3, ["b", "a", "b"])
    assert caught.value.unknown == ("a", "b")
    assert caught.value.known == CLASSES


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_arrays_become_float32_and_uint8_copies_that_cannot_be_written(dtype):
    xy = np.array([[1, 2], [3, 4]], dtype)
    class_ids = np.array([2, 255], np.int64)
    for nuclei in (plain(xy, class_ids), of(xy, ["stromal", ANY])):
        assert nuclei.xy.dtype == np.float32
        assert nuclei.class_ids.dtype == np.uint8
        assert nuclei.class_ids.tolist() == [2, 255]
        for array in (nuclei.xy, nuclei.class_ids):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
        xy[0] = 9
        assert nuclei.xy.tolist() == [[1, 2], [3, 4]]
        xy[0] = (1, 2)


@pytest.mark.parametrize("xy", [[], np.zeros((0, 2)), np.zeros((0, 2), np.int64)])
def test_sets_without_nuclei_have_arrays_of_the_same_form(xy):
    for nuclei in (of(xy, []), Nuclei.none((64, 48), 0.5, CLASSES)):
        assert len(nuclei) == 0
        assert nuclei.xy.shape == (0, 2) and nuclei.xy.dtype == np.float32
        assert nuclei.class_ids.shape == (0,) and nuclei.class_ids.dtype == np.uint8
        assert nuclei.classes == CLASSES
        assert nuclei.size == (64, 48)
        assert nuclei.mpp == 0.5
        assert nuclei.names() == []
        assert nuclei.counts() == {"epithelial": 0, "lymphocyte": 0, "stromal": 0}


def test_a_list_of_classes_becomes_a_tuple_and_names_their_indices():
    nuclei = of([[1, 2]] * 4, ["c", "a", ANY, "b"], classes=["a", "b", "c"], mpp=0.25)
    assert nuclei.class_ids.tolist() == [2, 0, 255, 1]
    assert nuclei.classes == ("a", "b", "c")
    assert nuclei.mpp == 0.25
    assert nuclei.names() == ["c", "a", ANY, "b"]
    assert Nuclei.none((8, 8), 0.5, ["a"]).classes == ("a",)


def test_any_is_a_class_like_others_where_it_is_among_the_classes():
    nuclei = of([[1, 2], [3, 4]], [ANY, "a"], classes=("a", ANY))
    assert nuclei.class_ids.tolist() == [1, 0]
    assert nuclei.counts() == {"a": 1, ANY: 1}


def test_a_tile_reaches_from_half_a_pixel_before_the_first_to_half_a_pixel_after_the_last():
    below = np.nextafter(np.float32([7.5, 3.5]), np.float32(0))
    xy = np.array([[-0.5, -0.5], below], np.float32)
    assert of(xy, size=(8, 4)).xy.tolist() == xy.tolist()
    for x, y in ((7.5, 0), (0, 3.5), (-0.5001, 0), (0, -0.5001)):
        with pytest.raises(BadNuclei):
            of([[x, y]], size=(8, 4))


@pytest.mark.parametrize("index", range(8))
def test_a_pose_turns_centroids_as_it_turns_pixels(index):
    """One pixel of a tile is marked, and found again after numpy has turned the tile."""
    pixels = np.zeros((48, 64))
    pixels[5, 20] = 1
    turned = np.rot90(pixels, index % 4)
    if index >= 4:
        turned = turned[:, ::-1]
    ((y, x),) = np.argwhere(turned)
    nuclei = of([[20, 5]], ["lymphocyte"])
    posed = nuclei.pose(index)
    assert posed.xy.tolist() == [[x, y]]
    assert posed.xy.dtype == np.float32
    assert posed.size == turned.shape[::-1]
    assert posed.names() == ["lymphocyte"]
    assert nuclei.xy.tolist() == [[20, 5]]


def test_positions_on_a_resampled_tile_scale_each_side_by_itself():
    nuclei = of([[10.5, 20.5], [-0.5, 47.25]], ["stromal", "lymphocyte"])
    scaled = nuclei.to_mpp(0.25, (128, 24))
    assert scaled.xy.tolist() == [[21.5, 10.0], [-0.5, 23.375]]
    assert scaled.size == (128, 24)
    assert scaled.mpp == 0.25
    assert scaled.names() == nuclei.names()


def test_crops_and_shifts_move_the_frame_and_keep_classes_and_scale():
    nuclei = of([[10, 5], [40, 30], [50, 31]], ["stromal", "lymphocyte", "epithelial"])
    crop = nuclei.crop(Box(30, 20, 20, 11))
    assert crop.xy.tolist() == [[10, 10]]
    assert crop.names() == ["lymphocyte"]
    assert (crop.size, crop.mpp) == ((20, 11), 0.5)
    moved = nuclei.shift(-10.25, 1.5)
    assert moved.xy.tolist() == [[-0.25, 6.5], [29.75, 31.5], [39.75, 32.5]]
    assert moved.names() == nuclei.names()


def test_joined_sets_stand_one_after_the_other():
    first = of([[1, 2], [3, 4]], ["stromal", ANY])
    second = of([[5, 6]], ["lymphocyte"])
    joined = first.concat(second)
    assert joined.xy.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert joined.names() == ["stromal", ANY, "lymphocyte"]
    assert first.concat(of([], [])).names() == first.names()


def gaussians(nuclei, cell, sigma_px):
    """The map by its definition: each cell's centre in px, its distance to each nucleus in px."""
    width, height = nuclei.size
    rows, columns = np.mgrid[: -(-height // cell), : -(-width // cell)]
    reach = int(np.ceil(3 * sigma_px / cell))
    maps = np.zeros((len(nuclei.classes), *rows.shape))
    for (x, y), name in zip(nuclei.xy.astype(np.float64), nuclei.names(), strict=True):
        offset_x = cell * columns + (cell - 1) / 2 - x
        offset_y = cell * rows + (cell - 1) / 2 - y
        splat = np.exp(-(offset_x**2 + offset_y**2) / (2 * sigma_px**2))
        middle_x = np.rint((x - (cell - 1) / 2) / cell)
        middle_y = np.rint((y - (cell - 1) / 2) / cell)
        splat[np.maximum(abs(columns - middle_x), abs(rows - middle_y)) > reach] = 0
        if name == ANY:
            maps = np.maximum(maps, splat / len(maps))
        else:
            index = nuclei.classes.index(name)
            maps[index] = np.maximum(maps[index], splat)
    return maps


@pytest.mark.parametrize(
    ("cell", "sigma_px"),
    [(1, 2.0), (2, 2.0), (2, 3.5), (3, 2.0), (4, 1.5), (8, 6.0)],
)
def test_maps_hold_a_gaussian_around_each_nucleus(cell, sigma_px):
    borders = [[-0.5, -0.5], [62.4, 46.4], [-0.5, 46.4], [62.4, -0.5], [0.25, 20.5], [30.5, 0.75]]
    nuclei = some(12, size=(63, 47), seed=3)
    nuclei = nuclei.concat(of(borders, [*CLASSES, ANY, *CLASSES[:2]], size=(63, 47)))
    nuclei = nuclei.without_class(np.arange(18) == 4)
    raster = nuclei.rasterize(cell=cell, sigma_px=sigma_px)
    assert raster.dtype == np.float32
    np.testing.assert_allclose(raster, gaussians(nuclei, cell, sigma_px), atol=2e-5)


def test_maps_have_cells_of_2_px_and_a_sigma_of_2_px_unless_stated():
    nuclei = some(5)
    expected = nuclei.rasterize(cell=2, sigma_px=2.0)
    np.testing.assert_array_equal(nuclei.rasterize(), expected)


def test_the_peak_of_a_nucleus_of_any_class_is_shared_among_the_classes():
    raster = of([[10.5, 20.5]], [ANY]).rasterize(cell=2)
    assert raster[:, 10, 5].tolist() == [np.float32(1 / 3)] * 3
    assert raster.max() == np.float32(1 / 3)
