"""Safetensors files: the same content has the same bytes, and what is read fits its size."""

import json
import struct

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from histosynth.core.errors import BadWeights, NotWritable
from histosynth.core.temporary import remove_abandoned
from histosynth.tensors import files
from histosynth.tensors.files import read_all_tensors, write_tensors
from histosynth.tensors.header import read_tensor_header


def test_the_same_metadata_in_another_order_become_the_same_bytes(tmp_path):
    weights = {"w": np.arange(6, dtype=np.float32), "v": np.ones(3, np.float32)}
    texts = {"a": "1", "b": 'a\x01\n"\\é', "ü": "3", "d": "", "e": "😀"}
    contents = set()
    for index, names in enumerate(["abüde", "edüba", "übaed"]):
        path = tmp_path / f"{index}.safetensors"
        write_tensors(path, weights, {name: texts[name] for name in names})
        contents.add(path.read_bytes())
        loaded = load_file(path)
        assert all((loaded[name] == weights[name]).all() for name in weights)
        assert read_all_tensors(path)[1] == texts
    (content,) = contents
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    assert list(json.loads(content[8 : 8 + length])["__metadata__"]) == ["a", "b", "d", "e", "ü"]


@pytest.mark.parametrize("name", ["w" * length for length in range(1, 9)])
def test_the_header_is_compact_json_filled_up_with_blanks_to_eight_bytes(tmp_path, name):
    path = tmp_path / "w.safetensors"
    values = np.arange(3, dtype=np.float32)
    write_tensors(path, {name: values}, {"ü": "2", "a": "1"})
    tensor = '{"dtype":"F32","shape":[3],"data_offsets":[0,12]}'
    header = f'{{"__metadata__":{{"a":"1","ü":"2"}},"{name}":{tensor}}}'.encode()
    header += b" " * ((8 - len(header) % 8) % 8)
    assert path.read_bytes() == struct.pack("<Q", len(header)) + header + values.tobytes()


def test_files_of_one_text_or_none_are_those_of_the_library(tmp_path):
    for metadata in (None, {"format": "pt"}):
        values = {"w": np.ones(3, np.float16), "b": np.zeros((2, 2))}
        write_tensors(tmp_path / "own.safetensors", values, metadata)
        save_file(values, tmp_path / "library.safetensors", metadata=metadata)
        own = (tmp_path / "own.safetensors").read_bytes()
        assert own == (tmp_path / "library.safetensors").read_bytes()


def test_a_header_gives_types_shapes_and_places(tmp_path):
    path = tmp_path / "w.safetensors"
    tensors = {"w": torch.ones(3, dtype=torch.bfloat16), "none": torch.zeros(0, 4)}
    write_tensors(path, tensors, {"a": "1"})
    header = read_tensor_header(path)
    assert header.shapes == {"w": (3,), "none": (0, 4)}
    assert header.tensors["w"].type == "BF16" and header.tensors["w"].end == path.stat().st_size
    assert header.metadata == {"a": "1"}


def file_of(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(shape, offsets, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        ({"w": entry([2], [0, 8])}, b"1234", "it has 73 bytes, and its header states 77"),
        ({"w": entry([3], [0, 8])}, b"12345678", "w has 8 bytes, which its shape and type do not"),
        ({"w": entry([-1], [0, 8])}, b"", "w has a type or shape that no file of this format has"),
        ({"w": entry([2**62, 8], [0, 8])}, b"", "w has 8 bytes, which its shape and type do not"),
        ({"w": entry([1], [0, 4], "F7")}, b"", "w has a type or shape that no file of this"),
        ({"w": entry([1], [4, 8])}, b"12345678", "w does not begin where the tensor before it"),
        ({"w": 3}, b"", "w has no type, shape and offsets"),
        ({"w": entry([1], "4")}, b"", "w has no offsets"),
        ({"__metadata__": {"a": 1}}, b"", "its metadata are no texts by name"),
        ([], b"", "its header holds no names with values"),
        (b'{"a":{},"a":{}}', b"", "a name is in its header twice"),
        (b"[" * 3000, b"", "its header is nested too deeply"),
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused(tmp_path, header, data, reason):
    path = file_of(tmp_path / "w.safetensors", header, data)
    with pytest.raises(BadWeights) as caught:
        read_tensor_header(path)
    assert caught.value.reason.startswith(reason)


def test_a_header_longer_than_its_file_is_not_read(tmp_path):
    path = file_of(tmp_path / "w.safetensors", b"{}", length=2**40)
    with pytest.raises(BadWeights) as caught:
        read_tensor_header(path)
    reason = "it has 10 bytes, and its header alone should have 1,099,511,627,776"
    assert caught.value.reason == reason


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    with pytest.raises(BadWeights):
        read_tensor_header(tmp_path)
    with pytest.raises(BadWeights):
        read_tensor_header(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("array", [np.zeros(3), torch.zeros(3)])
def test_another_process_that_sweeps_the_folder_takes_no_file_that_is_written(
    tmp_path, monkeypatch, array
):
    """The library puts another file in the temporary one's place, which no lock belongs to."""
    sort = files._sort_metadata

    def sweep_and_sort(path):
        remove_abandoned(tmp_path)
        sort(path)

    monkeypatch.setattr(files, "_sort_metadata", sweep_and_sort)
    write_tensors(tmp_path / "a.safetensors", {"x": array}, {"b": "1", "a": "2"})
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert list(load_file(tmp_path / "a.safetensors")) == ["x"]


@pytest.mark.parametrize(("library", "array"), [("numpy", np.zeros(3)), ("torch", torch.zeros(3))])
def test_a_full_disk_is_an_error_of_the_path(tmp_path, monkeypatch, library, array):
    """The library has errors of its own for the disk's."""

    def fail(tensors, path, metadata):
        raise SafetensorError("Error while serializing: I/O error: no room (os error 28)")

    monkeypatch.setattr(f"safetensors.{library}.save_file", fail)
    path = tmp_path / "a.safetensors"
    with pytest.raises(NotWritable) as refusal:
        write_tensors(path, {"x": array})
    assert str(refusal.value) == (
        f"{path} cannot be written: No space left on device. Choose another --out."
    )
    assert list(tmp_path.iterdir()) == []


def test_another_fault_of_the_library_stays_what_it_is(tmp_path, monkeypatch):
    def fail(tensors, path, metadata):
        raise SafetensorError("a fault")

    monkeypatch.setattr("safetensors.numpy.save_file", fail)
    with pytest.raises(SafetensorError, match=r"^a fault$"):
        write_tensors(tmp_path / "a.safetensors", {"x": np.zeros(3)})
