"""Classes of requested and of detected nuclei, matched by name and by place."""

import numpy as np
import pytest

from histosynth.core.geometry import Size
from histosynth.core.nuclei import ANY, ANY_CLASS, Nuclei
from histosynth.metrics.nuclei_classes import (
    UNCLASSIFIED,
    classed_by_request,
    first_detector,
    layout_classes,
    with_classes,
)

DETECTORS = {
    "blobs": ("nucleus",),
    "fine": ("epithelial", "lymphocyte", "stromal"),
    "finer": ("stromal", "lymphocyte", "epithelial", "plasma"),
}


def nuclei(xy, names, classes=("epithelial", "lymphocyte"), mpp=0.5):
    return Nuclei.of(xy, names, size=(64, 48), mpp=mpp, classes=classes)


def test_unclassified_nuclei_are_of_the_class_nucleus():
    assert UNCLASSIFIED == ("nucleus",)


@pytest.mark.parametrize(
    ("classes", "name"),
    [
        (("lymphocyte", "epithelial"), "fine"),
        (("stromal", "lymphocyte", "epithelial"), "fine"),
        (("epithelial", "plasma"), "finer"),
        (("epithelial", "mast"), "blobs"),
        (("nucleus",), "blobs"),
        (["nucleus"], "blobs"),
        ((), "blobs"),
    ],
)
def test_the_first_detector_of_all_requested_classes_is_taken(classes, name):
    assert first_detector(DETECTORS, classes) == name


def test_any_detector_will_do_for_unclassified_nuclei():
    last = {"fine": DETECTORS["fine"], "blobs": DETECTORS["blobs"]}
    assert first_detector(last, ["nucleus"]) == "fine"


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["lymphocyte", "epithelial"], ("lymphocyte", "epithelial")),
        (DETECTORS["fine"][::-1], DETECTORS["fine"][::-1]),
        (("epithelial", "mast"), UNCLASSIFIED),
        ((), ("nucleus",)),
        (("nucleus",), ("nucleus",)),
    ],
)
def test_layouts_are_measured_in_classes_that_a_detector_detects(classes, expected):
    assert layout_classes(classes, DETECTORS) == expected


def test_without_requested_classes_those_of_the_first_detector_are_measured():
    assert layout_classes((), {"fine": list(DETECTORS["fine"])}) == DETECTORS["fine"]


def test_classes_are_matched_by_name():
    found = nuclei([(1, 2), (3, 4), (5, 6)], ["epithelial", "lymphocyte", ANY])
    other = with_classes(found, ["lymphocyte", "stromal"])
    assert other.classes == ("lymphocyte", "stromal")
    assert other.class_ids.tolist() == [ANY_CLASS, 0, ANY_CLASS]
    assert other.class_ids.dtype == np.uint8
    assert other.xy.tolist() == found.xy.tolist()
    assert (other.size, other.mpp) == (Size(64, 48), 0.5)


def test_unclassified_nuclei_are_all_of_one_class():
    found = nuclei([(1, 2), (3, 4), (5, 6)], ["epithelial", "lymphocyte", ANY])
    other = with_classes(found, ["nucleus"])
    assert other.classes == UNCLASSIFIED
    assert other.class_ids.tolist() == [0, 0, 0]
    assert other.class_ids.dtype == np.uint8
    assert other.xy.tolist() == found.xy.tolist()


def test_no_nuclei_have_any_classes():
    none = Nuclei.none((64, 48), 0.5, ("epithelial",))
    for classes in (("a", "b"), UNCLASSIFIED):
        other = with_classes(none, classes)
        assert len(other) == 0
        assert other.classes == classes


def test_a_detected_nucleus_has_the_class_of_the_requested_one_within_reach():
    requested = nuclei(
        [(10, 10), (30, 10), (50, 10), (10, 40)],
        ["lymphocyte", "epithelial", "lymphocyte", ANY],
    )
    # far away; exactly in reach of 4 px; out of reach; right there; next to one without a class
    detected = nuclei(
        [(60, 45), (14, 10), (34.25, 10), (50, 10), (11, 40)],
        ["plasma"] * 5,
        classes=("plasma",),
    )
    found = classed_by_request(detected, requested, reach_um=2.0)
    assert found.classes == ("epithelial", "lymphocyte")
    assert found.class_ids.tolist() == [ANY_CLASS, 1, ANY_CLASS, 1, ANY_CLASS]
    assert found.class_ids.dtype == np.uint8
    assert found.xy.tolist() == detected.xy.tolist()


def test_reach_is_in_micrometres():
    requested = nuclei([(10, 10)], ["lymphocyte"], mpp=0.25)
    detected = nuclei([(18, 10)], [ANY], mpp=0.25)
    assert classed_by_request(detected, requested, reach_um=2.0).class_ids.tolist() == [1]
    assert classed_by_request(detected, requested, reach_um=1.9).class_ids.tolist() == [ANY_CLASS]
