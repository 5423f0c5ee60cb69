"""Cells of CSV: no formula for a spreadsheet, and the same again for us."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histosynth.annotation.chosen_nuclei import read_chosen
from histosynth.annotation.nuclei_files import nuclei_csv
from histosynth.core.cells import csv_text, guarded_cell, plain_cell, read_csv_rows
from histosynth.core.nuclei import Nuclei
from histosynth.preparation.patients import read_table
from histosynth.training.balance.patient_table import read_patient_traits

FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "'=1", "\uff1d1", "a;=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_part_of_a_cell_begins_as_a_formula(text):
    guarded = guarded_cell(text)
    for part in guarded.replace("\t", ";").replace("\r", ";").split(";"):
        assert part.strip()[:1] not in tuple("=+-@\uff1d")
    assert plain_cell(guarded) == text


@pytest.mark.parametrize(
    "value",
    ["-12", "+1.5e-3", "-.5", -12, -0.5, float("-inf"), "TCGA-01", "a=b", "'tis", "", "--1"],
)
def test_numbers_and_other_texts_stay_as_they_are(value):
    expected = "'--1" if value == "--1" else value
    assert guarded_cell(value) == expected


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(alphabet="'=+-@;,\t\r\n\"a1. \uff1d\u2028\x0b"), min_size=1, max_size=3))
def test_every_text_comes_back(cells):
    text = csv_text([cells, cells])
    rows = [row for _, row in read_csv_rows(io.StringIO(text, newline=""), strict=True)]
    if cells != [""]:  # csv writes "" for it, and reads that again
        assert rows == [cells, cells]


def test_ids_like_formulas_come_back_from_our_tables(tmp_path):
    ids = ["-12", "=x", "@a", "'=b", "+c;=d", "a,b"]
    rows = [("slide", "patient", "label"), *((f"{name}.svs", name, name) for name in ids)]
    (tmp_path / "t.csv").write_text(csv_text(rows), newline="")
    table = read_table(tmp_path / "t.csv")
    assert table == {name: {"patient": name, "label": name} for name in ids}
    rows = [("slide", "patient", "sex"), *((f"{name}.svs", name, "female") for name in ids)]
    (tmp_path / "p.csv").write_text(csv_text(rows), newline="")
    assert read_patient_traits(tmp_path / "p.csv").patient_of == {name: name for name in ids}


def test_classes_like_formulas_come_back_from_files_of_nuclei(tmp_path):
    classes = ("=cmd", "-1+1", "a\u2028b", "c\x0bd")
    xy = [(1.5, 2.5)] * 4
    nuclei = Nuclei.of(xy, classes, size=(8, 8), mpp=0.5, classes=classes)
    text = nuclei_csv(nuclei)
    assert text.splitlines()[1:3] == ["1.5,2.5,'=cmd", "1.5,2.5,'-1+1"]
    (tmp_path / "nuclei.csv").write_text(text, encoding="utf-8")
    found = read_chosen(tmp_path / "nuclei.csv", 0.5)
    assert list(found.names) == [*classes]


def test_a_spreadsheet_sees_what_was_meant():
    text = csv_text([("name", "value"), ("=a", -1.5)])
    assert list(csv.reader(io.StringIO(text))) == [["name", "value"], ["'=a", "-1.5"]]


@pytest.mark.parametrize(
    "text",
    [
        "a\x1b[31mb",
        "\t=x",
        "a\nb",
        "\x7f",
        "\x85",
        "\\u001b",
        "\\\\u001b",
        "\\\x1b",
        "\\\\\n",
        "\\u0041",
        "c:\\u",
    ],
)
def test_control_characters_are_escapes_that_read_back(text):
    written = csv_text([["name", text]])
    assert all(" " <= sign < "\x7f" for sign in written.removesuffix("\n"))
    assert [row for _, row in read_csv_rows(io.StringIO(written, newline=""))] == [["name", text]]


def test_an_escape_is_shown_as_its_code():
    assert csv_text([["a\x1b[31m"]]) == "a\\u001b[31m\n"


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", "a\x1bb", "a\u0085b"])
def test_classes_with_control_characters_read_back_from_a_csv_of_nuclei(tmp_path, name):
    nuclei = Nuclei.of([[1, 2]], [name], size=(8, 8), mpp=0.5, classes=[name])
    (tmp_path / "n.csv").write_text(nuclei_csv(nuclei), newline="")
    assert list(read_chosen(tmp_path / "n.csv", 0.5).names) == [name]
