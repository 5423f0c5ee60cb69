"""Files appear whole or not at all; equal values have equal digests."""

import errno
import hashlib
import re
import stat
from pathlib import Path

import pytest

from histosynth.core.errors import NotWritable
from histosynth.core.plain_files import read_plain_text
from histosynth.core.store import (
    atomic_write,
    digest,
    ensure_folder,
    sha256_of,
    write_json,
    write_text,
)


def test_folders_of_a_file_are_created_and_the_suffix_is_kept(tmp_path):
    path = tmp_path / "a" / "b" / "c.png"
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".png"
        assert re.fullmatch(r"\.histosynth-tmp-[a-z0-9_]{8}\.png", temporary.name)
        assert not path.exists()
        temporary.write_text("x")
    assert path.read_text() == "x"
    assert [each.name for each in path.parent.iterdir()] == ["c.png"]


def test_others_may_read_what_was_written(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    mode = stat.S_IMODE((tmp_path / "a.txt").stat().st_mode)
    (tmp_path / "b.txt").write_text("x")
    assert mode == stat.S_IMODE((tmp_path / "b.txt").stat().st_mode)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES, errno.EFBIG])
def test_a_full_or_closed_disk_is_an_error_of_the_path(tmp_path, code):
    with pytest.raises(NotWritable, match="cannot be written"), atomic_write(tmp_path / "a.txt"):
        raise OSError(code, "reason")
    assert list(tmp_path.iterdir()) == []


def test_another_fault_of_the_block_stays_what_it_is(tmp_path):
    with pytest.raises(OSError, match="reason") as caught, atomic_write(tmp_path / "a.txt"):
        raise OSError(errno.ENOENT, "reason")
    assert not isinstance(caught.value, NotWritable)
    assert list(tmp_path.iterdir()) == []


def test_json_is_sorted_indented_and_ends_with_a_line_break(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1], "a": "ü"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == '{\n  "a": "\\u00fc",\n  "b": [\n    1\n  ]\n}\n'


def test_text_is_utf_8(tmp_path):
    write_text(tmp_path / "a.txt", "ü")
    assert (tmp_path / "a.txt").read_bytes() == "ü".encode()


def test_digests_are_sha256_of_canonical_json_and_of_bytes(tmp_path):
    expected = hashlib.sha256(b'{"a":1,"b":"\\u00fc"}').hexdigest()
    assert digest({"b": "ü", "a": 1}) == expected
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_a_folder_for_results_is_created_and_left_empty(tmp_path):
    folder = ensure_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
    assert ensure_folder(folder) == folder
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable) as caught:
        ensure_folder(tmp_path / "file")
    assert caught.value.problem == f"{tmp_path / 'file'} cannot be written: File exists."


def test_a_folder_that_takes_no_file_is_refused(tmp_path, monkeypatch):
    def refuse(**more):
        assert more == {"dir": tmp_path, "prefix": ".histosynth-tmp-", "suffix": ""}
        raise OSError("no room")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(NotWritable) as caught:
        ensure_folder(tmp_path)
    assert caught.value.problem == f"{tmp_path} cannot be written: no room."


def test_a_text_is_read_from_plain_files_of_bounded_size(tmp_path):
    (tmp_path / "list.txt").write_text("a\nb", encoding="utf-8")
    assert read_plain_text(tmp_path / "list.txt", 3) == "a\nb"
    with pytest.raises(OSError, match=r"^its 3 bytes are more than 2$"):
        read_plain_text(tmp_path / "list.txt", 2)
    for other in (tmp_path, Path("/dev/null")):
        with pytest.raises(OSError, match=r"^it is no plain file$"):
            read_plain_text(other, 10)
    with pytest.raises(FileNotFoundError):
        read_plain_text(tmp_path / "absent", 10)
