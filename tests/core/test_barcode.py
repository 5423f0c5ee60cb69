"""TCGA barcodes in names: found anywhere, whole, and compared over sides."""

import pytest

from histosynth.core.barcode import (
    barcodes_in,
    lacks_barcode,
    patients_of_barcodes,
    shared_patients,
)

PATIENT = "TCGA-2F-A001"


@pytest.mark.parametrize(
    "name",
    [
        "TCGA-2F-A001",
        "TCGA-2F-A001 (1)",
        "TCGA-2F-A001_HE",
        "TCGA-2F-A001-01Z-00-DX1.777C0957-255A-42F0-9EEB-A3606BCF0C96",
        "blk-XKJHGHT-TCGA-2F-A001-01Z",
        "0012_TCGA-2F-A001",
        "tcga-2f-a001-01z",
        "TCGA_2F_A001_01",
        "TCGA.2F.A001.01Z",
        "TCGA-2F-A001HE2",
        "TCGA-2F-A001 copy of TCGA-2F-A001",
    ],
)
def test_the_barcode_is_found_anywhere_in_a_name(name):
    assert barcodes_in(name) == [PATIENT]
    assert not lacks_barcode(name)


@pytest.mark.parametrize("name", ["TCGA-2F-A01", "TCGA 2F A001", "TCGA", "tcga-sarc slide 4"])
def test_a_name_that_mentions_tcga_without_a_whole_barcode_is_known_to(name):
    assert barcodes_in(name) == []
    assert lacks_barcode(name)


def test_other_names_hold_no_barcode_and_mention_none():
    assert barcodes_in("P0012_HE") == []
    assert not lacks_barcode("P0012_HE")


def test_two_barcodes_in_a_name_are_both_found_in_order():
    assert barcodes_in("TCGA-ZZ-0002_and_TCGA-AA-0001") == ["TCGA-ZZ-0002", "TCGA-AA-0001"]


def test_slides_of_one_barcode_are_listed_by_their_stated_patient():
    patients = {"TCGA-2F-A001_a": "P1", "TCGA-2F-A001_b": "P2", "TCGA-2F-A001_c": "P1", "x": "P3"}
    stated = {"P1": "TCGA-2F-A001_a", "P2": "TCGA-2F-A001_b"}
    assert patients_of_barcodes(patients) == {PATIENT: stated}


@pytest.mark.parametrize(
    ("train", "test", "shared"),
    [
        ([("a", "P1")], [("b", "P2")], []),
        ([("a", "P1"), ("c", "P3")], [("b", "P1"), ("d", "P3")], ["P1", "P3"]),
        ([(f"{PATIENT}_a", PATIENT)], [(f"{PATIENT} (2)", PATIENT)], [PATIENT]),
        (
            [(f"{PATIENT}_a", f"{PATIENT}_a")],
            [(f"{PATIENT} (2)", f"{PATIENT} (2)")],
            [f"{PATIENT} (barcode in the names)"],
        ),
        ([("a", PATIENT)], [(f"{PATIENT}-01Z", "P2")], [PATIENT]),
    ],
    ids=["none", "by patient", "by both", "by barcode", "barcode as patient"],
)
def test_patients_on_two_sides_are_found_by_name_and_by_barcode(train, test, shared):
    assert shared_patients({"train": train, "test": test}) == shared


def test_a_patient_with_several_slides_on_one_side_is_not_shared():
    assert shared_patients({"train": [("a", "P1"), ("b", "P1")], "test": []}) == []
