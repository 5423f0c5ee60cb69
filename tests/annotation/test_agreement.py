"""Agreement: kappa as others compute it, honest intervals, and a picture of what differs."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from histosynth.annotation.agreement import (
    Annotation,
    Marks,
    agreement_of_files,
    difference_picture,
    kappa,
    kappa_error,
    nuclei_agreement,
    region_agreement,
)
from histosynth.annotation.agreement.kappa import estimate_kappa, undefined_reason
from histosynth.annotation.regions import Region
from histosynth.core.errors import (
    BadNuclei,
    BadOption,
    BadPairing,
    BadRegions,
    BadTable,
    UnmappedClasses,
)

CLASSES = np.array(["tumour", "stroma", "lymphocyte"])


def grid(names, step=20.0):
    places = np.arange(len(names))
    return Marks(np.stack([places % 20, places // 20], 1) * step + 10, tuple(names))


def square(
    name,
    left,
    top,
    side,
):
    corners = ((left, top), (left + side, top), (left + side, top + side), (left, top + side))
    return Region(name, tuple((float(x), float(y)) for x, y in corners))


def draw_pairs(rng, count, same=0.7):
    """Confusion counts of two who give the same class with chance `same`, else one at random."""
    first = rng.integers(0, 3, count)
    second = np.where(rng.random(count) < same, first, rng.integers(0, 3, count))
    return np.bincount(first * 3 + second, minlength=9).reshape(3, 3).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 2 + seed, 200)
    two = rng.integers(0, 2 + seed, 200)
    two[:80] = one[:80]
    assert kappa(confusion_matrix(one, two)) == pytest.approx(
        cohen_kappa_score(one, two), abs=1e-12
    )


@pytest.mark.parametrize(
    ("matrix", "value", "error"),
    [
        # Cohen (1960), 200 patients
        ([[88, 14, 18], [10, 40, 10], [2, 6, 12]], 0.492, None),
        # Fleiss, Levin & Paik, table 18.1
        ([[75, 1, 4], [5, 4, 1], [0, 0, 10]], 0.676, 0.0877),
        # by hand: (0.02743 + 0.02547 - 0.0025) / (50 * 0.5**4) = 0.016128
        ([[20, 5], [10, 15]], 0.4, math.sqrt(0.016128)),
    ],
)
def test_kappa_and_its_error_are_those_published(matrix, value, error):
    assert kappa(matrix) == pytest.approx(value, abs=5e-4)
    if error is not None:
        assert kappa_error(matrix) == pytest.approx(error, abs=5e-5)


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        ([], "nothing to compare"),
        (np.zeros((3, 3)), "nothing to compare"),
        ([[9, 0], [0, 0]], "same class"),
    ],
)
def test_kappa_is_never_one_where_chance_agrees_always(matrix, why):
    assert (
        math.isnan(kappa(matrix))
        and math.isnan(kappa_error(matrix))
        and why in undefined_reason(matrix)
    )


@pytest.mark.parametrize("matrix", [[[1, 2, 3]], [[1, -1], [0, 1]], [[math.nan, 1], [0, 1]]])
def test_what_is_no_confusion_matrix_is_refused(matrix):
    with pytest.raises(ValueError, match="confusion matrix"):
        kappa(matrix)


def test_the_asymptotic_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    found = [estimate_kappa([draw_pairs(rng, 200)], "file") for _ in range(300)]
    assert all(each.interval.startswith("asymptotic, one file") for each in found)
    assert 0.92 <= np.mean([each.low <= 0.7 <= each.high for each in found]) <= 0.98


def test_the_bootstrap_covers_the_truth_where_files_differ():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(100):
        files = [draw_pairs(rng, 60, same) for same in rng.uniform(0.4, 1.0, 25)]
        found.append(estimate_kappa(files, "file"))
    assert found[0].interval == "bootstrap over 25 files"
    assert 0.87 <= np.mean([each.low <= 0.7 <= each.high for each in found]) <= 0.99
    # pairs of one file are alike, which the asymptotic error does not see
    pooled = estimate_kappa([np.sum(files, axis=0)], "file")
    assert found[-1].high - found[-1].low > 1.3 * (pooled.high - pooled.low)


def test_the_same_nuclei_agree_wholly_and_shuffled_ones_not_at_all():
    rng = np.random.default_rng(0)
    marks = grid(CLASSES[rng.integers(0, 3, 400)])
    same = nuclei_agreement(marks, marks, reach_um=6, mpp=0.5)
    assert same.kappa.value == same.kappa_marked.value == same.f1.value == 1
    assert math.isnan(same.kappa.low) and "nothing disagrees" in same.kappa.reason
    mixed = nuclei_agreement(
        marks,
        grid(rng.permutation(marks.names)),
        reach_um=6,
        mpp=0.5,
    )
    assert abs(mixed.kappa.value) < 0.1 and mixed.f1.value == 1 and mixed.matched == 400


def test_unmatched_nuclei_count_in_detection_and_as_a_class_of_their_own():
    first = grid(["tumour", "stroma", "tumour", "any"])
    second = grid(["tumour", "stroma"])
    second = Marks(
        np.vstack([second.xy, first.xy[3:], [[300, 300]]]), (*second.names, "stroma", "tumour")
    )
    found = nuclei_agreement(first, second, reach_um=6, mpp=1.0)
    assert (found.first, found.second, found.matched, found.unspecified) == (4, 4, 3, 1)
    assert found.matrix == ((1, 0, 0), (0, 1, 1), (0, 1, 0)) and found.classes == (
        "stroma",
        "tumour",
    )
    assert found.kappa.value == 1 and found.kappa_marked.value < 1
    assert found.f1.value == pytest.approx(0.75) and found.f1.low < 0.75 < found.f1.high
    # at a finer scale the same reach is more pixels
    moved = Marks(first.xy + np.array([8, 0]), first.names)
    assert nuclei_agreement(first, moved, reach_um=6, mpp=1.0).matched == 0
    assert nuclei_agreement(first, moved, reach_um=6, mpp=0.5).matched == 4


def test_no_nuclei_and_one_class_say_so_instead_of_a_number():
    none = Marks(np.zeros((0, 2)), ())
    empty = nuclei_agreement(none, none, reach_um=6, mpp=0.5)
    assert math.isnan(empty.kappa.value) and math.isnan(empty.f1.value) and empty.f1.reason
    one = nuclei_agreement(
        grid(["tumour"] * 9),
        grid(["tumour"] * 9),
        reach_um=6,
        mpp=0.5,
    )
    assert math.isnan(one.kappa.value) and "same class" in one.kappa.reason and one.f1.value == 1
    missed = nuclei_agreement(
        grid(["tumour"] * 9),
        none,
        reach_um=6,
        mpp=0.5,
    )
    assert missed.f1.value == 0 and missed.matched == 0
    assert json.loads(json.dumps(empty.as_dict(), allow_nan=False))["kappa"]["value"] is None


def test_odd_nuclei_are_refused():
    with pytest.raises(BadNuclei, match="no numbers"):
        Marks(np.array([[1.0, math.nan]]), ("tumour",))
    with pytest.raises(BadNuclei, match="do not go together"):
        Marks(np.zeros((2, 2)), ("tumour",))
    for wrong in ({"reach_um": 0, "mpp": 1}, {"reach_um": 6, "mpp": math.nan}):
        with pytest.raises(BadOption):
            nuclei_agreement(grid(["a"]), grid(["a"]), **wrong)


def test_dice_of_known_squares_and_kappa_inside_and_over_the_whole_picture():
    first = [square("tumour", 20, 20, 40)]
    second = [square("tumour", 40, 20, 40)]
    found = region_agreement(first, second, size=(100, 100), cell=1.0)
    assert found.dice["tumour"].value == pytest.approx(0.5, abs=0.03)
    assert found.inside.value < 0 < found.whole.value < 1
    assert "blocks of one picture" in found.inside.interval
    assert found.inside.low <= found.inside.value <= found.inside.high
    assert sum(map(sum, found.matrix)) == 100 * 100
    same = region_agreement(first, first, size=(100, 100), cell=2.0)
    assert same.whole.value == same.dice["tumour"].value == 1 and math.isnan(same.inside.value)


def test_later_regions_lie_on_top_unless_an_order_is_given():
    nested = [square("tumour", 40, 40, 20), square("stroma", 0, 0, 100)]
    options = {"size": (100, 100), "cell": 1.0}
    assert region_agreement(nested, nested, **options).matrix[1][1] == 0
    ordered = region_agreement(
        nested,
        nested[::-1],
        order=["stroma", "tumour"],
        **options,
    )
    assert ordered.whole.value == 1 and ordered.matrix[1][1] > 390


def test_grids_that_cannot_be_are_refused():
    for size, cell in (
        ((100, 100), 0.0),
        ((100, 100), math.inf),
        ((10**6, 10**6), 1.0),
        ((0, 9), 1.0),
    ):
        with pytest.raises(BadOption):
            region_agreement(
                [square("a", 0, 0, 9)],
                [],
                size=size,
                cell=cell,
            )


def geojson(path, *features):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def feature(
    geometry_type,
    coordinates,
    name,
    what="annotation",
):
    properties = {"objectType": what, "classification": {"name": name}}
    return {
        "geometry": {"type": geometry_type, "coordinates": coordinates},
        "properties": properties,
    }


def ring(left, top, side):
    return [[[x, y] for x, y in square("", left, top, side).outline]]


def test_files_are_parted_into_nuclei_and_regions_and_drawn_over(tmp_path):
    one = tmp_path / "one"
    two = tmp_path / "two"
    for folder, shift in ((one, 0), (two, 10)):
        for number in range(3):
            geojson(
                folder / f"{number}.geojson",
                feature("Polygon", ring(50 + shift * number, 50, 100), "T"),
                feature("Polygon", ring(300, 50, 3), "T", "detection"),
                feature(
                    "Polygon", ring(320, 50, 12), "L"
                ),  # drawn by hand, but no larger than a nucleus
                feature("Point", [300, 200], "L" if folder == one else "T"),
            )
    names = {"T": "tumour", "L": "lymphocyte"}
    found = agreement_of_files(one, two, mpp=0.5, mapping=names)
    assert found.files == ("0", "1", "2") and found.nuclei.matched == 9
    assert found.nuclei.matrix == ((3, 3, 0), (0, 3, 0), (0, 0, 0))
    assert (
        found.regions.classes == ("tumour",)
        and "3 files (few" in found.regions.dice["tumour"].interval
    )
    assert "sizes were not given" in found.regions.whole.reason
    json.dumps(found.as_dict(), allow_nan=False)
    sizes = {str(number): (400, 400) for number in range(3)}
    owners = {"0": "a", "1": "b", "2": "b"}
    whole = agreement_of_files(
        one,
        two,
        mpp=0.5,
        mapping={},
        sizes=sizes,
        patients=owners,
    ).regions.whole
    assert whole.n == 3 * 50 * 50 and "2 patients" in whole.interval
    single = agreement_of_files(
        one / "0.geojson",
        two / "1.geojson",
        mpp=0.5,
        mapping={},
    )
    assert (
        "one file" in single.nuclei.kappa.interval
        and "blocks of one file" in single.regions.inside.interval
    )


def test_files_that_cannot_be_compared_are_refused(tmp_path):
    one = tmp_path / "one"
    two = tmp_path / "two"
    for folder, name in ((one, "a"), (two, "b")):
        folder.mkdir()
        (folder / f"{name}.csv").write_text("x,y,class\n1,1,tumour\n")
    both = one / "a.csv", two / "b.csv"
    assert agreement_of_files(*both, mpp=0.5, mapping={}).nuclei.matched == 1
    for pair in ((one, two), (one, two / "b.csv"), (one / "a.csv", two)):
        with pytest.raises(BadPairing):
            agreement_of_files(*pair, mpp=0.5, mapping={})
    with pytest.raises(UnmappedClasses):
        agreement_of_files(*both, mpp=0.5, mapping={"T": "tumour"})
    with pytest.raises(BadTable):
        agreement_of_files(
            *both,
            mpp=0.5,
            mapping={},
            patients={"z": "z"},
        )
    with pytest.raises(BadOption):
        agreement_of_files(*both, mpp=0.0, mapping={})
    geojson(tmp_path / "w.geojson", feature("Polygon", [[[0, 0], [1, 1]]], "T"))
    with pytest.raises(BadNuclei, match="2 points"):
        agreement_of_files(
            tmp_path / "w.geojson",
            both[0],
            mpp=0.5,
            mapping={},
        )
    for wrong in ("[", '{"features": [{"geometry": 3}]}', '{"features": 3}'):
        (tmp_path / "w.geojson").write_text(wrong)
        with pytest.raises((BadNuclei, BadRegions)):
            agreement_of_files(
                tmp_path / "w.geojson",
                both[0],
                mpp=0.5,
                mapping={},
            )


def test_the_picture_differs_where_the_annotators_do():
    first = grid(["tumour"] * 3)
    second = grid(["tumour", "stroma"])
    tile = np.full((200, 200, 3), 200, np.uint8)
    shown = {"size": (200, 200), "reach_px": 5, "side": 400}
    differ = difference_picture(
        tile,
        Annotation(first),
        Annotation(second),
        **shown,
    )
    same = difference_picture(
        tile,
        Annotation(first),
        Annotation(first),
        **shown,
    )
    assert differ.dtype == np.uint8 and differ.shape[1] >= 400 and differ.shape[0] > 400
    changed = (differ[:400, :400] != same[:400, :400]).any(axis=2)
    # at twice the scale: the first dot stays, the second has two colours, the third is a ring
    assert (
        not changed[:40, :40].any() and changed[10:32, 50:72].any() and changed[10:32, 90:112].any()
    )
    assert not changed[60:].any()
    assert tuple(differ[21, 57]) != tuple(differ[21, 65])


def test_the_picture_stripes_regions_where_they_differ_and_needs_no_background():
    none = Marks(np.zeros((0, 2)), ())
    one = Annotation(none, (square("tumour", 20, 20, 40),))
    two = Annotation(none, (square("tumour", 20, 20, 40), square("stroma", 120, 120, 40)))
    picture = difference_picture(
        None,
        one,
        two,
        size=(200, 200),
        reach_px=5,
        side=200,
    )
    inside = picture[125:155, 125:155].reshape(-1, 3)
    same = picture[25:55, 25:55].reshape(-1, 3)
    assert len(np.unique(inside, axis=0)) == 2 and len(np.unique(same, axis=0)) == 1
    assert (picture[5:15, 100:190] == 255).all()
    with pytest.raises(BadOption):
        difference_picture(
            None,
            one,
            two,
            size=(200, 0),
            reach_px=5,
        )
