"""Agreement of annotators who mark nothing, one class, the same or nothing in common."""

import json
import math

import numpy as np
import pytest

from histosynth.annotation.agreement.kappa import estimate_kappa, kappa_error
from histosynth.annotation.agreement.nuclei import Marks, compare_nuclei, summarise_nuclei
from histosynth.annotation.agreement.regions import region_agreement
from histosynth.annotation.regions import Region

pytestmark = pytest.mark.filterwarnings("error")

AB = ("a", "b", "b", "a")
NOTHING = Marks(np.zeros((0, 2)), ())


def marks(names, at=0.0):
    xy = [(100.0 * i + at, 50.0) for i in range(len(names))]
    return Marks(np.array(xy).reshape(-1, 2), tuple(names))


def agreement(*pairs):
    tables = [compare_nuclei(*pair, reach_um=3, mpp=0.5) for pair in pairs]
    return summarise_nuclei(tables)


def numbers(estimate):
    return (estimate.value, estimate.low, estimate.high)


ONE_CLASS = "both only ever gave one and the same class"
NO_PAIR = "there is nothing to compare"
WHOLE = "nothing disagrees, so how far kappa could be from 1 cannot be estimated"
SINGLE = "one annotator only ever gave one class: kappa is then 0, whatever the other gave"
SAME = "no replicate differs, so how far kappa could be from its value cannot be estimated"


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize(
    ("first", "second", "kappa", "reason"),
    [
        (marks(AB), marks(AB), 1, WHOLE),
        (marks("aaaa"), marks("aaaa"), None, ONE_CLASS),
        (marks(["any"] * 4), marks(AB), None, NO_PAIR),
        (NOTHING, NOTHING, None, NO_PAIR),
        (NOTHING, marks(AB), None, NO_PAIR),
        (marks(AB), marks(AB, at=40), None, NO_PAIR),
        # (1/2 - 1/2) / (1 - 1/2), whatever the second gives
        (marks("aaaa"), marks(AB), 0, SINGLE),
        # (0 - 1/2) / (1 - 1/2)
        (marks("aabb"), marks("bbaa"), -1, SAME),
        (marks("aaaa"), marks("bbbb"), 0, SINGLE),
    ],
)
def test_kappa_of_nuclei(first, second, kappa, reason, files):
    found = agreement(*[(first, second)] * files)
    assert found.kappa.as_dict() | {"n": 0} == {
        "value": kappa,
        "low": None,
        "high": None,
        "n": 0,
        "interval": "none",
        "reason": reason,
        "unit": "",
        "groups": 0,
    }
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("first", "second", "value", "reason"),
    [
        (
            marks(AB),
            marks(AB),
            1,
            "no nucleus was marked by one alone, so how far F1 could be from 1 cannot be estimated",
        ),
        (
            marks(AB),
            marks(AB, at=40),
            0,
            "no nucleus was marked by both, so how far F1 could be from 0 cannot be estimated",
        ),
        (
            NOTHING,
            marks(AB),
            0,
            "no nucleus was marked by both, so how far F1 could be from 0 cannot be estimated",
        ),
        (NOTHING, NOTHING, None, "neither marked a nucleus"),
    ],
)
def test_detection_that_agrees_on_all_or_nothing_in_several_files(first, second, value, reason):
    found = agreement((first, second), (first, second)).f1.as_dict()
    assert (found["value"], found["low"], found["high"]) == (value, None, None)
    assert found["reason"] == reason
    assert found["interval"] == "none"


def test_detection_in_one_file_has_the_interval_of_wilson_at_its_ends():
    # Wilson 1927 with n = 4: [0.5101, 1] and [0, 0.4899]; F1 = 2 s / (1 + s)
    whole = agreement((marks(AB), marks(AB))).f1
    assert numbers(whole) == pytest.approx((1, 2 * 0.510109 / 1.510109, 1), abs=1e-5)
    none = agreement((marks("ab"), marks("ab", at=40))).f1
    assert numbers(none) == pytest.approx((0, 0, 2 * 0.489891 / 1.489891), abs=1e-5)


def test_agreement_of_no_file_is_undefined():
    found = summarise_nuclei([])
    assert found.kappa.reason == found.kappa_marked.reason == NO_PAIR
    assert found.f1.reason == "neither marked a nucleus"


@pytest.mark.parametrize(
    "matrix", [[[0, 0], [0, 0]], [[5, 0], [0, 0]], [[0, 0], [0, 0.0]], np.zeros((1, 1))]
)
def test_the_error_of_an_undefined_kappa_is_undefined(matrix):
    assert math.isnan(kappa_error(matrix))
    assert not estimate_kappa([np.array(matrix, float)] * 2, "file").is_defined


def square(name, left, top, side=40):
    corners = [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]
    return Region(name, tuple((float(x), float(y)) for x, y in corners))


LEFT = square("t", 10, 10)
RIGHT = square("t", 70, 70)
OTHER = square("s", 10, 10)


@pytest.mark.parametrize(
    ("first", "second", "inside", "whole", "dice"),
    [
        ([], [], (None, NO_PAIR), (None, ONE_CLASS), {}),
        ([LEFT], [LEFT], (None, ONE_CLASS), (1, WHOLE), {"t": (1, "nothing disagrees")}),
        (
            [square("t", -1, -1, 200)],
            [square("t", -1, -1, 200)],
            (None, ONE_CLASS),
            (None, ONE_CLASS),
            {"t": (1, "nothing disagrees")},
        ),
        (
            [LEFT],
            [OTHER],
            (0, SINGLE),
            None,
            {"s": (0, "nothing agrees"), "t": (0, "nothing agrees")},
        ),
        ([LEFT], [], (0, SINGLE), (0, SINGLE), {"t": (0, "nothing agrees")}),
        ([LEFT], [RIGHT], None, None, {"t": (0, "nothing agrees")}),
        (
            [square("t", 900, 900)],
            [LEFT],
            (0, SINGLE),
            (0, SINGLE),
            {"t": (0, "nothing agrees")},
        ),
        (
            [square("t", 900, 900)],
            [square("t", 900, 900)],
            (None, NO_PAIR),
            (None, ONE_CLASS),
            {"t": (None, "no cell of it lies in the picture")},
        ),
    ],
)
def test_agreement_of_regions(first, second, inside, whole, dice):
    found = region_agreement(first, second, size=(128, 128), cell=4)
    for estimate, expected in ((found.inside, inside), (found.whole, whole)):
        if expected is not None:
            plain = estimate.as_dict()
            assert (plain["value"], plain["reason"]) == expected
            assert plain["interval"] == "none"
            assert plain["low"] is plain["high"] is None
    for name, expected in dice.items():
        plain = found.dice[name].as_dict()
        assert (plain["value"], plain["reason"], plain["low"]) == (*expected, None)
    json.dumps(found.as_dict(), allow_nan=False)
