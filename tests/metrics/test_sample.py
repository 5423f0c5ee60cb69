"""Samples of measured tiles: which tiles and which values are taken, in which order."""

import numpy as np
import pytest

from histosynth.core.estimate import Estimate, undefined
from histosynth.metrics.finding import Finding, Plot, Section, Series
from histosynth.metrics.sample import Sample, TileMeasurements


def tile(name, patient="", label="", **values):
    return TileMeasurements(
        name,
        patient,
        label,
        {key.replace("__", "/"): np.array(value) for key, value in values.items()},
    )


SAMPLE = Sample(
    (
        tile("t0", "p1", "luminal", stain__od=[1, 2], blur=1),
        tile("t1", "", "basal", stain__od=[3, 4], stain__dose=[5.0]),
        tile("t2", "p1", "", blur=2),
    )
)


def names(sample):
    return [each.name for each in sample.tiles]


def test_a_tile_of_an_unknown_patient_is_a_patient_of_its_own():
    assert len(SAMPLE) == 3
    assert SAMPLE.patients == ["p1", "\0t1", "p1"]
    assert SAMPLE.labels == ["luminal", "basal", ""]


def test_a_value_is_there_if_every_tile_has_it():
    assert not SAMPLE.has("blur")
    assert SAMPLE.take([0, 2]).has("blur")
    assert SAMPLE.take([0, 1]).has("stain/od")
    assert not Sample(()).has("blur")


def test_values_are_stacked_as_float64():
    stacked = SAMPLE.take([1, 0]).stack("stain/od")
    assert stacked.tolist() == [[3, 4], [1, 2]]
    assert stacked.dtype == np.float64
    each = SAMPLE.take([1, 0]).each("stain/od")
    assert [values.tolist() for values in each] == [[3, 4], [1, 2]]


def test_tiles_are_taken_by_row_and_by_condition():
    assert names(SAMPLE.take(np.array([2, 0, 2]))) == ["t2", "t0", "t2"]
    assert names(SAMPLE.where(lambda each: each.patient == "p1")) == ["t0", "t2"]
    assert names(SAMPLE.where(lambda each: False)) == []


def test_measured_tiles_have_a_value_under_the_prefix():
    assert names(SAMPLE.measured("stain/")) == ["t0", "t1"]
    assert names(SAMPLE.measured("stain/dose")) == ["t1"]
    assert names(SAMPLE.measured("od")) == []


def test_values_under_a_prefix_lose_it():
    under = SAMPLE.under("stain/")
    assert [(each.name, each.patient, each.label) for each in under.tiles] == [
        ("t0", "p1", "luminal"),
        ("t1", "", "basal"),
    ]
    assert [sorted(each.values) for each in under.tiles] == [["od"], ["dose", "od"]]
    assert under.stack("od").tolist() == [[1, 2], [3, 4]]
    assert names(SAMPLE.under("stain/dose")) == ["t1"]
    assert names(SAMPLE.under("none/")) == []


NUMBERS = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8, "interval": "exact"}


@pytest.mark.parametrize("has_baseline", [True, False])
def test_a_finding_as_plain_values(has_baseline):
    value = Estimate(**NUMBERS)
    finding = Finding(
        "FD",
        value,
        "zero",
        Estimate(**{**NUMBERS, "value": 1.0}) if has_baseline else None,
        undefined("too few", n=3) if has_baseline else None,
        label="luminal",
        note="small",
    )
    plain = {**NUMBERS, "reason": "", "unit": "", "groups": 0}
    nothing = {"value": None, "low": None, "high": None}
    ratio = {**plain, **nothing, "n": 3, "interval": "none", "reason": "too few"}
    assert finding.as_dict() == {
        "name": "FD",
        "label": "luminal",
        "value": plain,
        "real": {**plain, "value": 1.0} if has_baseline else None,
        "ratio": ratio if has_baseline else None,
        "better": "zero",
        "note": "small",
    }


def test_a_section_as_plain_values_has_no_plots():
    finding = Finding("FD", Estimate(**NUMBERS), "low")
    plot = Plot("distances", "um", "", (Series("real", "real", [1.0]),))
    section = Section(
        "key",
        "Title",
        "About.",
        (finding,),
        {"n": 3},
        (plot,),
        verdict="Passed.",
    )
    assert section.as_dict() == {
        "title": "Title",
        "about": "About.",
        "verdict": "Passed.",
        "findings": [finding.as_dict()],
        "facts": {"n": 3},
    }
