"""Files appear whole or not at all; equal values have equal digests."""

import errno
import hashlib
import json
import stat
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from histosynth.core.errors import NotWritable
from histosynth.core.store import (
    atomic_write,
    digest,
    ensure_folder,
    sha256_of,
    sort_safetensors_metadata,
    write_json,
    write_text,
)


def test_folders_of_a_file_are_created_and_the_suffix_is_kept(tmp_path):
    path = tmp_path / "a" / "b" / "c.png"
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".c-")
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
        assert more == {"dir": tmp_path, "prefix": ".probe-"}
        raise OSError("no room")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    with pytest.raises(NotWritable) as caught:
        ensure_folder(tmp_path)
    assert caught.value.problem == f"{tmp_path} cannot be written: no room."


def test_weights_with_the_same_metadata_in_another_order_become_the_same_bytes(tmp_path):
    weights = {"w": np.arange(6, dtype=np.float32), "v": np.ones(3, np.float32)}
    orders = [{"a": "1", "b": "2", "ü": "3"}, {"ü": "3", "b": "2", "a": "1"}]
    contents = set()
    for index, metadata in enumerate(orders):
        path = tmp_path / f"{index}.safetensors"
        save_file(weights, path, metadata=metadata)
        sort_safetensors_metadata(path)
        contents.add(path.read_bytes())
        loaded = load_file(path)
        assert all((loaded[name] == weights[name]).all() for name in weights)
    (content,) = contents
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    assert list(json.loads(content[8 : 8 + length])["__metadata__"]) == ["a", "b", "ü"]


@pytest.mark.parametrize("name", ["w" * length for length in range(1, 9)])
def test_the_header_of_weights_is_compact_json_filled_up_with_blanks_to_eight_bytes(tmp_path, name):
    path = tmp_path / "w.safetensors"
    values = np.arange(3, dtype=np.float32)
    save_file({name: values}, path, metadata={"ü": "2", "a": "1"})
    sort_safetensors_metadata(path)
    tensor = '{"dtype":"F32","shape":[3],"data_offsets":[0,12]}'
    header = f'{{"__metadata__":{{"a":"1","ü":"2"}},"{name}":{tensor}}}'.encode()
    header += b" " * ((8 - len(header) % 8) % 8)
    assert path.read_bytes() == struct.pack("<Q", len(header)) + header + values.tobytes()


def test_weights_without_metadata_stay_readable(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"w": np.ones(3, np.float32)}, path)
    sort_safetensors_metadata(path)
    assert (load_file(path)["w"] == 1).all()
