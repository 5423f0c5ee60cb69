"""Whatever names a server sends, the files of the user stay as they are."""

import csv
import hashlib
import os

import pytest

from histosynth.core.errors import FetchFailed, NotWritable
from histosynth.preparation.fetch import RemoteSlide, download, fetch, find_slides, record
from histosynth.preparation.fetch.project import fetch_project
from histosynth.preparation.patients import read_table
from histosynth.slides import SLIDE_SUFFIXES

MINE = b"of the user"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def bring(commons, folder):
    def call(**more):
        return fetch_project(
            "TCGA-SARC",
            folder,
            endpoint=commons.endpoint,
            **({"limit": None, "list_only": False, "extra": None} | more),
        )

    return call


def sentence_on(name, problem):
    shown = repr(name)[:120]
    return (
        f"The slide {shown} cannot be fetched: the server gives it a name that is not safe as a "
        f"file name: {problem}. Check the endpoint, or leave the slide out."
    )


ENDINGS = ", ".join(SLIDE_SUFFIXES)


@pytest.mark.parametrize(
    "name, problem",
    [
        ("recipe.toml", f"it ends in none of {ENDINGS}"),
        ("slides.csv", f"it ends in none of {ENDINGS}"),
        ("manifest.txt", f"it ends in none of {ENDINGS}"),
        ("run.sh", f"it ends in none of {ENDINGS}"),
        ("a", f"it ends in none of {ENDINGS}"),
        ("svs", f"it ends in none of {ENDINGS}"),
        (".fetched.json", "it begins with a dot"),
        (".lock", "it begins with a dot"),
        (".svs", "it begins with a dot"),
        ("a.svs.", "it begins or ends with a space, or ends with a dot"),
        (" a.svs", "it begins or ends with a space, or ends with a dot"),
        ("CON.svs", "Windows keeps it for a device"),
        ("lpt1 .tif", "Windows keeps it for a device"),
        ("COM\u00b9.svs", "Windows keeps it for a device"),
        ("a\u202esvs.exe.svs", "it holds the character \\u202e"),
        ("a\x1b[2J.svs", "it holds the character \\u001b"),
        ("a\u200b.svs", "it holds the character \\u200b"),
        ("a\ud800.svs", "it holds the character \\ud800"),
        ("a:b.svs", "it holds the character :"),
        ("..\\a.svs", "it holds the character \\"),
        ("b" * 200 + ".svs", "it has 204 bytes, and 200 are the most"),
    ],
)
def test_only_names_of_slides_are_taken(name, problem):
    with pytest.raises(FetchFailed) as refusal:
        RemoteSlide("id", name, 3, "0" * 32)
    assert str(refusal.value) == sentence_on(name, problem)


@pytest.mark.parametrize("suffix", [*SLIDE_SUFFIXES, ".SVS"])
def test_every_ending_that_a_reader_opens_can_be_fetched(suffix):
    name = f"TCGA-AA-0001-01Z-00-DX1.8ab0 (2),b+c=d@e~f_{suffix}"
    assert RemoteSlide("id", name, 3, "0" * 32).name == name


def test_a_file_of_the_user_is_never_replaced(commons, bring, folder):
    names = [hit["file_name"] for hit in commons.hits]
    (folder / names[0]).write_bytes(MINE)
    (folder / names[1]).write_bytes(bytes(len(commons.bodies["id-1"])))
    (folder / names[2]).symlink_to("elsewhere.svs")
    (folder / f"{names[3]}.part").write_bytes(MINE)  # of a browser
    outcome, facts = bring()
    assert facts["fetched"] == 2 and list(outcome.refused) == names[:3]
    assert str(outcome.refused[names[0]]) == (
        f"{names[0]} cannot be fetched: a file of 11 bytes has its name already, and was not "
        "fetched or was changed since; the slide has 300,000 bytes. Move what is there "
        "elsewhere, or fetch into another folder."
    )
    assert "a file of 300,000 bytes with another md5 has" in str(outcome.refused[names[1]])
    assert "something that is no file has its name" in str(outcome.refused[names[2]])
    assert (folder / names[0]).read_bytes() == MINE
    assert not any((folder / names[1]).read_bytes())
    assert os.readlink(folder / names[2]) == "elsewhere.svs"
    assert (folder / f"{names[3]}.part").read_bytes() == MINE


def test_what_was_fetched_is_replaced_where_the_server_has_another_file(commons, bring, folder):
    hit = commons.hits[0]
    bring(limit=1)
    newer = commons.bodies["id-0"][::-1]
    commons.bodies["id-0"] = newer
    hit["md5sum"] = hashlib.md5(newer).hexdigest()
    os.utime(folder / hit["file_name"], ns=(1, 1))  # copied: its md5 decides
    assert bring(limit=1)[1]["fetched"] == 1
    assert (folder / hit["file_name"]).read_bytes() == newer


def test_what_was_fetched_and_then_changed_is_of_the_user(commons, bring, folder):
    path = folder / commons.hits[0]["file_name"]
    bring(limit=1)
    path.write_bytes(MINE)
    assert list(bring(limit=1)[0].refused) == [path.name]
    assert path.read_bytes() == MINE


def test_a_file_that_comes_to_be_there_during_a_transfer_stays(commons, folder, monkeypatch):
    slide = find_slides("TCGA-SARC", endpoint=commons.endpoint, limit=1)[0]
    path = folder / slide.name
    place_of = record.FetchRecord.place_of

    def and_then_one_comes(self, slide):
        place = place_of(self, slide)
        path.write_bytes(MINE)
        return place

    monkeypatch.setattr(record.FetchRecord, "place_of", and_then_one_comes)
    assert list(fetch([slide], folder, endpoint=commons.endpoint).failed) == [slide.name]
    assert path.read_bytes() == MINE
    path.unlink()
    monkeypatch.setattr(record.os, "link", lambda *_: pytest.fail("no links are here"))
    monkeypatch.undo()
    assert fetch([slide], folder, endpoint=commons.endpoint).done == (slide.name,)


def test_a_file_system_without_links_is_used(commons, folder, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links")

    monkeypatch.setattr(record.os, "link", refuse)
    slide = find_slides("TCGA-SARC", endpoint=commons.endpoint, limit=1)[0]
    assert fetch([slide], folder, endpoint=commons.endpoint).done == (slide.name,)
    assert not download._part_of(slide, folder).exists()


def test_a_link_under_the_name_of_a_part_leads_nowhere(commons, folder, tmp_path):
    slide = find_slides("TCGA-SARC", endpoint=commons.endpoint, limit=1)[0]
    (tmp_path / "precious").write_bytes(MINE)
    (folder / f".fetching-{slide.file_id}.part").symlink_to(tmp_path / "precious")
    assert fetch([slide], folder, endpoint=commons.endpoint).done == (slide.name,)
    assert (tmp_path / "precious").read_bytes() == MINE


@pytest.mark.parametrize("name", ["slides.csv", "manifest.txt"])
def test_lists_of_the_user_are_not_replaced(commons, bring, folder, name):
    (folder / name).write_bytes(MINE)
    with pytest.raises(NotWritable) as refusal:
        bring()
    assert str(refusal.value) == (
        f"{folder / name} cannot be written: histosynth did not write what is there, or it was "
        "changed since. Move it elsewhere, or choose another --out."
    )
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_bytes() == MINE


def test_own_lists_are_renewed_until_somebody_corrects_them(commons, bring, folder):
    bring(limit=1, list_only=True)
    bring(limit=3, list_only=True)
    assert len((folder / "slides.csv").read_text().splitlines()) == 4
    with (folder / "slides.csv").open("a") as file:
        file.write("mine,p,l\n")
    with pytest.raises(NotWritable, match="changed since"):
        bring(limit=2, list_only=True)
    assert (folder / "slides.csv").read_text().endswith("mine,p,l\n")
    assert len((folder / "manifest.txt").read_text().splitlines()) == 4  # neither of the two


def test_lists_of_an_earlier_release_go_on_where_nothing_changes(commons, bring, folder):
    bring(limit=2, list_only=True)
    (folder / ".histosynth.jsonl").unlink()
    assert bring(limit=2)[1]["fetched"] == 2


def test_texts_of_the_server_reach_neither_terminal_nor_spreadsheet(commons, bring, folder):
    commons.hits[0]["cases"][0] = {
        "submitter_id": '=HYPERLINK("http://a.b")',
        "diagnoses": [{"primary_diagnosis": "@SUM(1)\x1b[31m red\u202e", "morphology": ""}],
    }
    _, facts = bring(limit=1, list_only=True)
    assert facts["labels"] == {"@SUM(1)\\u001b[31m red\\u202e": 1}
    with (folder / "slides.csv").open(newline="") as file:
        cells = list(csv.reader(file))[1]
    # the label is text by now: a table doubles a backslash that would read back as a character
    assert cells[1:] == ['\'=HYPERLINK("http://a.b")', "'@SUM(1)\\\\u001b[31m red\\u202e"]
    row = read_table(folder / "slides.csv")["TCGA-AA-0000-01Z-00-DX1.id-0"]
    assert row == {
        "patient": '=HYPERLINK("http://a.b")',
        "label": "@SUM(1)\\u001b[31m red\\u202e",
    }
