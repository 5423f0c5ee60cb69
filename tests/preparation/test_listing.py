"""What the Commons holds: every page of it, and no answer that cannot be trusted."""

from pathlib import Path

import pytest

from histosynth.core.errors import FetchFailed
from histosynth.preparation.fetch import find_slides, manifest_text, table_text
from histosynth.preparation.patients import read_table
from histosynth.preparation.subtypes import load_subtypes


@pytest.fixture
def listed(commons):
    def call(project="TCGA-SARC", **more):
        return find_slides(
            project,
            endpoint=commons.endpoint,
            **({"sleep": lambda _: None} | more),
        )

    return call


def test_every_page_is_asked_for_and_the_limit_is_kept(commons, listed):
    slides = listed(page=2)
    assert [slide.file_id for slide in slides] == list(commons.bodies) and commons.asked[
        "files"
    ] == 3
    first = slides[0]
    assert first.case == "TCGA-AA-0000" and first.label == "Leiomyosarcoma, NOS"
    assert first.morphology == "8890/3" and first.size == len(commons.bodies["id-0"])
    assert listed(page=2, limit=3) == slides[:3] and listed(limit=99) == slides
    assert listed("TCGA-NONE") == []


def test_the_primary_tumour_names_the_case(commons, listed):
    commons.hits[0]["cases"][0]["diagnoses"] = [
        {"primary_diagnosis": "Adenocarcinoma, NOS", "classification_of_tumor": "prior primary"},
        {"primary_diagnosis": "Fibromyxosarcoma", "diagnosis_is_primary_disease": True},
    ]
    commons.hits[1]["cases"] = []
    commons.hits[2]["cases"][0].pop("diagnoses")
    slides = listed()
    assert (
        slides[0].label == "Fibromyxosarcoma"
        and slides[1].case == slides[1].label == slides[2].label == ""
    )


@pytest.mark.parametrize("fault", ["truncate", "500", "503", "429"])
def test_a_list_that_comes_wrong_once_is_asked_for_again(commons, listed, fault):
    commons.faults = [fault, fault]
    commons.retry_after = "7"
    slept = []
    assert len(listed(sleep=slept.append)) == 5
    assert slept == ([1.0, 2.0] if fault == "truncate" else [7.0, 7.0])


@pytest.mark.parametrize("fault, asked", [("truncate", 3), ("500", 3), ("404", 1), ("403", 1)])
def test_a_list_that_never_comes_right_is_refused(
    commons,
    listed,
    fault,
    asked,
):
    commons.always = fault
    with pytest.raises(FetchFailed, match="list of slides of TCGA-SARC"):
        listed(tries=3)
    assert commons.asked["files"] == asked


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a.svs",
        "a/b.svs",
        "/etc/a.svs",
        "a\\b.svs",
        "a\0.svs",
        ".bashrc",
        "a\n.svs",
        "C:a.svs",
        "a.svs.part",
        "a.svs ",
        "-rf",
        "a" * 201,
        "\u00e4" * 150,
    ],
)
def test_an_evil_file_name_is_refused(commons, listed, name):
    commons.hits[1]["file_name"] = name
    with pytest.raises(FetchFailed, match="not safe"):
        listed()


@pytest.mark.parametrize(
    "key, value",
    [
        ("file_id", "../status"),
        ("file_id", "a?b"),
        ("file_size", -1),
        ("file_size", "9"),
        ("file_size", 1 << 60),
        ("md5sum", "abc"),
        ("md5sum", None),
        ("cases", 3),
        ("cases", [3]),
    ],
)
def test_an_entry_that_cannot_be_used_is_refused(
    commons,
    listed,
    key,
    value,
):
    commons.hits[1][key] = value
    with pytest.raises(FetchFailed):
        listed()


def test_a_list_with_a_slide_twice_or_without_end_is_refused(commons, listed, monkeypatch):
    commons.hits[1] = commons.hits[0]
    with pytest.raises(FetchFailed, match="came twice"):
        listed()
    monkeypatch.setattr("histosynth.preparation.fetch.gdc.MAX_SLIDES", 4)
    with pytest.raises(FetchFailed, match="more than 4"):
        listed()
    monkeypatch.setattr("histosynth.preparation.fetch.gdc.MAX_ANSWER_BYTES", 100)
    with pytest.raises(FetchFailed, match="more than 100 bytes"):
        listed()


def test_manifest_and_table_say_what_the_commons_and_prepare_read(commons, listed, tmp_path):
    for hit, (diagnosis, morphology) in zip(
        commons.hits,
        [
            ("Leiomyosarcoma, NOS", "8890/3"),
            ("Sarcoma, NOS", "8858/3"),
            ("Aggressive fibromatosis", "8821/1"),
            ("Not Reported", "Not Reported"),
            ("Undifferentiated, \n sarcoma", ""),
        ],
        strict=True,
    ):
        hit["cases"][0]["diagnoses"] = [{"primary_diagnosis": diagnosis, "morphology": morphology}]
    slides = listed()
    (tmp_path / "manifest.txt").write_text(manifest_text(slides))
    lines = [line.split("\t") for line in (tmp_path / "manifest.txt").read_text().splitlines()]
    assert lines[0] == ["id", "filename", "md5", "size", "state"] and len(lines) == 6
    assert lines[1] == ["id-0", slides[0].name, slides[0].md5, str(slides[0].size), "released"]
    (tmp_path / "table.csv").write_text(table_text(slides, load_subtypes()))
    table = read_table(tmp_path / "table.csv")
    assert [table[Path(slide.name).stem]["label"] for slide in slides] == [
        "Leiomyosarcoma",
        "Dedifferentiated liposarcoma",
        "Aggressive fibromatosis",
        "",
        "Undifferentiated pleomorphic sarcoma",
    ]
    assert table[Path(slides[0].name).stem]["patient"] == "TCGA-AA-0000"
