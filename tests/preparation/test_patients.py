"""Patients of slides: from barcodes, patterns and tables; contradictions are refused."""

import pytest
from dicom_files import write_dicom
from PIL import Image

from histosynth.core.errors import BadRecipe, BadTable
from histosynth.core.recipe import build
from histosynth.preparation.files import split_table
from histosynth.preparation.patients import (
    find_slide_sources,
    notes_on_patients,
    patient_of_slide,
    patient_of_synthetic,
    refuse_divided_barcodes,
)
from histosynth.preparation.recipe import PrepareRecipe, SplitPlan

RENAMED = [
    "TCGA-2F-A001 (1).svs",
    "TCGA-2F-A001 (2).svs",
    "blk-TCGA-2F-A002-01Z.svs",
    "TCGA-2F-A002_HE.svs",
    "TCGA-2F-A004.svs",
]


def split(folder, lines, **options):
    table = folder / "table.csv"
    table.write_text("\n".join(lines) + "\n")
    facts = split_table(
        table,
        folder / "split.csv",
        shares=SplitPlan(),
        seed=0,
        pattern=options.get("pattern", ""),
    )
    rows = [line.split(",") for line in (folder / "split.csv").read_text().splitlines()[1:]]
    return facts, {slide: (patient, assigned) for slide, patient, _, assigned in rows}


def test_renamed_slides_of_a_patient_stand_in_one_split(tmp_path):
    facts, rows = split(tmp_path, ["slide,label", *(f"{name},A" for name in RENAMED)])
    assert facts["patients"] == 3
    assert rows["TCGA-2F-A001 (1)"] == rows["TCGA-2F-A001 (2)"]
    assert rows["blk-TCGA-2F-A002-01Z"] == rows["TCGA-2F-A002_HE"]
    assert {patient for patient, _ in rows.values()} == {f"TCGA-2F-A00{n}" for n in (1, 2, 4)}
    assert facts["notes"] == []


def test_a_table_that_divides_a_barcode_is_refused_and_nothing_is_written(tmp_path):
    lines = ["slide,patient", "TCGA-2F-A001_a.svs,P1", "TCGA-2F-A001_b.svs,P2", "c.svs,P3"]
    with pytest.raises(BadTable) as caught:
        split(tmp_path, lines)
    assert str(caught.value) == (
        "The slides TCGA-2F-A001_a and TCGA-2F-A001_b hold the barcode of one patient, "
        "TCGA-2F-A001, but are stated to be of two, P1 and P2. "
        "Give both the same patient, or rename them."
    )
    assert not (tmp_path / "split.csv").exists()


def test_a_pattern_that_divides_a_barcode_is_refused_before_slides_are_opened(tmp_path):
    for name in ("x1-TCGA-2F-A001", "x2-TCGA-2F-A001"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    recipe = build({"slides": ["*.png"], "patient": "^(x.)"}, PrepareRecipe)
    with pytest.raises(BadTable, match="hold the barcode of one patient, TCGA-2F-A001"):
        find_slide_sources(recipe, tmp_path)
    sources = find_slide_sources(build({"slides": ["*.png"]}, PrepareRecipe), tmp_path)
    assert {source.patient for source in sources} == {"TCGA-2F-A001"}


def test_patients_with_several_barcodes_are_taken_as_stated():
    """A table may join barcodes, e.g. to split by site; that leaks nothing."""
    refuse_divided_barcodes({"TCGA-2F-A001_a": "site 2F", "TCGA-2F-A002": "site 2F"})


def test_two_barcodes_in_one_name_are_refused():
    with pytest.raises(BadTable) as caught:
        patient_of_slide("TCGA-2F-A001_TCGA-2F-A002", "")
    assert str(caught.value) == (
        "The name TCGA-2F-A001_TCGA-2F-A002 holds the barcodes of 2 patients, TCGA-2F-A001 and "
        "TCGA-2F-A002. State the patient in a table, or by a pattern."
    )


@pytest.mark.parametrize(
    ("patients", "stated", "parts"),
    [
        ({"a": "a"}, False, []),
        ({"a": "P", "b": "P"}, False, []),
        ({"a": "a", "b": "b"}, False, ["Each of the 2 slides counts as a patient of its own"]),
        ({"a": "a", "b": "b"}, True, ["Each of the 2 slides counts as a patient of its own"]),
        (
            {"TCGA-2F-A1": "TCGA-2F-A1", "TCGA-2F-A001": "TCGA-2F-A001", "c": "P"},
            False,
            ["1 of 3 names mention TCGA without a whole barcode, first TCGA-2F-A1"],
        ),
        ({"TCGA-2F-A1": "P1", "c": "P1"}, True, []),
        ({"TCGA-2F-A001": "TCGA-2F-A001", "TCGA-2F-A002": "TCGA-2F-A002"}, False, []),
    ],
)
def test_notes_state_what_names_may_not_give(patients, stated, parts):
    notes = notes_on_patients(patients, stated=stated)
    assert len(notes) == len(parts)
    for note, part in zip(notes, parts, strict=True):
        assert note.startswith(part)


@pytest.mark.parametrize(
    ("stem", "pattern", "patient"),
    [
        ("P01_x", "^(P..)", "P01"),
        ("sample_3", "^(P..)", "sample_3"),
        ("TCGA-2F-A001_0", "", "TCGA-2F-A001"),
        ("sample_3", "", "sample_3"),
    ],
)
def test_a_synthetic_picture_without_a_patient_is_its_own(stem, pattern, patient):
    assert patient_of_synthetic(stem, pattern) == patient


def test_a_pattern_that_is_none_is_refused_for_synthetic_pictures_too():
    with pytest.raises(BadRecipe, match=r"'\(' is no pattern"):
        patient_of_synthetic("a", "(")


def test_all_files_of_a_dicom_series_are_one_slide(tmp_path):
    """Each opens the whole pyramid: as slides of their own they would be copies in two splits."""
    write_dicom(tmp_path / "level0.dcm")
    write_dicom(
        tmp_path / "level1.dcm",
        SOPInstanceUID="1.2.826.0.1.3680043.8.498.1.9",
        TotalPixelMatrixRows=32,
        TotalPixelMatrixColumns=32,
        ImageType=["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
        spacing=(0.001, 0.001),
    )
    other = tmp_path / "other"
    other.mkdir()
    write_dicom(other / "level2.dcm", SeriesInstanceUID="1.2.826.0.1.3680043.8.498.7")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    recipe = build({"slides": ["*.dcm", "*.png", "other/*.dcm"]}, PrepareRecipe)
    found = [source.name for source in find_slide_sources(recipe, tmp_path)]
    assert found == ["a", "level0", "level2"]
