"""Only files that histosynth wrote, and nobody changed since, are replaced."""

import json
import math

import pytest

from histosynth.core import own_files
from histosynth.core.errors import NotWritable
from histosynth.core.numbers_read import is_finite, is_whole
from histosynth.core.own_files import OWN_RECORD, OwnFiles

MINE = "of the user"
NUMBERS = [
    f'{{"name": "a", "sha256": "0", "bytes": {number}}}'
    for number in ("1e400", "-1e400", "NaN", "true", "-1", "9" * 400, "11.0", '"11"', "null", "[]")
]


def refusal_of(path, more=""):
    return (
        f"{path} cannot be written: histosynth did not write what is there, or it was changed "
        f"since{more}. Move it elsewhere, or choose another --out."
    )


def test_own_files_are_replaced_by_later_runs(tmp_path):
    OwnFiles(tmp_path).write_texts({"a.csv": "1", "look/b.json": "2"})
    own = OwnFiles(tmp_path)
    own.refuse_foreign(["a.csv", "look/b.json", "c"])
    assert own.write_texts({"a.csv": "3"}) == [tmp_path / "a.csv"]
    assert (tmp_path / "a.csv").read_text() == "3" and own.knows("a.csv")
    OwnFiles(tmp_path).write_texts({"a.csv": "3", "look/b.json": "2"})
    lines = (tmp_path / OWN_RECORD).read_text().split()
    assert len(lines) == 3 * 6  # the same once more adds no line


def test_files_of_others_stay_and_nothing_is_written(tmp_path):
    (tmp_path / "b").write_text(MINE)
    (tmp_path / "c").mkdir()
    (tmp_path / "d").mkdir()
    own = OwnFiles(tmp_path)
    with pytest.raises(NotWritable) as refusal:
        own.refuse_foreign(["a", "b", "c", "d"])
    assert str(refusal.value) == refusal_of(tmp_path / "b", "; so it is with 2 more")
    with pytest.raises(NotWritable) as refusal:
        own.write_texts({"a": "1", "b": "2"})
    assert str(refusal.value) == refusal_of(tmp_path / "b")
    with pytest.raises(NotWritable), own.writing("b") as temporary:
        temporary.write_text("2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c", "d"]
    assert (tmp_path / "b").read_text() == MINE


def test_a_corrected_file_is_of_the_user(tmp_path):
    OwnFiles(tmp_path).write_texts({"a": "old"})
    (tmp_path / "a").write_text("new")
    with pytest.raises(NotWritable):
        OwnFiles(tmp_path).write_texts({"a": "old"})
    OwnFiles(tmp_path).write_texts({"a": "new"})  # loses nothing
    assert (tmp_path / "a").read_text() == "new"


def test_a_run_that_is_killed_knows_its_files(tmp_path, monkeypatch):
    own = OwnFiles(tmp_path)
    own.write_texts({"a": "1"})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        append = own_files._append_line

        def kill(*arguments):
            append(*arguments)
            raise KeyboardInterrupt

        patch.setattr(own_files, "_append_line", kill)
        own.write_texts({"a": "2"})  # recorded, not yet there
    with (tmp_path / OWN_RECORD).open("a") as file:
        file.write('{"name": "b", "by')  # half a line
    OwnFiles(tmp_path).write_texts({"a": "3", "b": "4"})
    OwnFiles(tmp_path).write_texts({"a": "5", "b": "6"})
    assert (tmp_path / "a").read_text() + (tmp_path / "b").read_text() == "56"


@pytest.mark.parametrize(
    "line", ["[1]", "null", '{"name": 1}', "[" * 2000, '"\\ud800"', "\xff", *NUMBERS]
)
def test_a_record_that_others_wrote_gives_nothing_away(tmp_path, line):
    (tmp_path / OWN_RECORD).write_text(line)
    (tmp_path / "a").write_text(MINE)
    with pytest.raises(NotWritable):
        OwnFiles(tmp_path).write_texts({"a": "1"})


def test_a_record_that_is_too_large_or_a_link_is_refused(tmp_path, monkeypatch):
    (tmp_path / "precious").write_text(MINE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / OWN_RECORD).symlink_to(tmp_path / "precious")
    with pytest.raises(NotWritable, match="it is a link"):
        OwnFiles(tmp_path / "out")
    assert (tmp_path / "precious").read_text() == MINE
    (tmp_path / "out" / OWN_RECORD).unlink()
    OwnFiles(tmp_path / "out").write_texts({"a": "1"})
    monkeypatch.setattr(own_files, "MAX_RECORD_BYTES", 3)
    with pytest.raises(NotWritable, match="more than 3 bytes"):
        OwnFiles(tmp_path / "out")


def test_a_name_that_is_no_utf8_is_written_with_its_code(tmp_path):
    OwnFiles(tmp_path).write_texts({"a": "b\udcff"})
    assert (tmp_path / "a").read_bytes() == b"b\\udcff"


def test_a_withdrawn_file_leaves_no_record_of_its_own(tmp_path):
    own = OwnFiles(tmp_path)
    own.write_json("a.json", {"b": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1}
    own.withdraw("a.json")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    OwnFiles(tmp_path).write_texts({"a": "1"})

    def closed(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(own_files, "sha256_of", closed)
    with pytest.raises(NotWritable) as refusal:
        OwnFiles(tmp_path).refuse_foreign(["a"])
    assert str(refusal.value) == (
        f"{tmp_path / 'a'} cannot be written: what is there cannot be read (Permission denied). "
        "Move it elsewhere, or choose another --out."
    )


def test_a_recorded_file_that_was_changed_is_of_the_user_whatever_it_looks_like(tmp_path):
    OwnFiles(tmp_path).write_texts({"a": "old"})
    (tmp_path / "a").write_text(MINE)
    with pytest.raises(NotWritable):
        OwnFiles(tmp_path, earlier=lambda path: True).refuse_foreign(["a"])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, True, 10**400, "1", None])
def test_numbers_of_others_are_checked_and_not_converted(value):
    assert not is_whole(value) and not is_finite(value)


def test_whole_and_finite_numbers():
    assert is_whole(0) and is_whole(2**63 - 1) and not is_whole(2**63) and not is_whole(-1)
    assert is_whole(-1, least=-1) and not is_whole(1.0)
    assert is_finite(0) and is_finite(-1.5) and is_finite(1e300)
