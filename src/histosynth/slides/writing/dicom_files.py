"""A folder of DICOM files, one a level: frames are the encoded tiles as they are.

Frames are written one after the other; then the table of their places is filled in. It is the basic
offset table, or the extended one where a frame begins farther than 4 GiB.
"""

from __future__ import annotations

import json
import os
import struct
import warnings
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ...core.errors import NotWritable, UnreadableImage
from ...core.plain_files import open_plain
from ...core.store import atomic_folder
from .dicom_header import (
    LEVELS_ELEMENT,
    PRIVATE_CREATOR,
    PRIVATE_GROUP,
    RECIPE_ELEMENT,
    DicomLevel,
    dicom_dataset,
)

DICOM_SUFFIX = ".dicom"
_LEVEL_NAME = "{}-{:02d}.dcm"
_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_LENGTH = struct.Struct("<I")
_PIXEL_DATA = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
_EXTENDED_OFFSETS = b"\xe0\x7f\x01\x00OV\0\0"
_EXTENDED_LENGTHS = b"\xe0\x7f\x02\x00OV\0\0"
_BASIC_LIMIT = 1 << 32
_EXTENDED_BYTES = 8


def is_dicom_name(path: Path) -> bool:
    """Whether a result of this name is a folder of DICOM files."""
    return path.name.lower().endswith(DICOM_SUFFIX)


def level_name(out: Path, level: int) -> str:
    """The file of a level: named as the slide, so that files of many slides can be told apart."""
    return _LEVEL_NAME.format(out.name[: -len(DICOM_SUFFIX)], level)


def write_dicom_folder(
    out: Path,
    levels: Sequence[DicomLevel],
    tiles: Sequence[Iterable[bytes]],
) -> None:
    """Write a slide from its encoded tiles: a folder that appears whole or not at all.

    Args:
        out: the folder; nothing may be there.
        levels: of the slide, from the finest.
        tiles: of each level, the encoded tiles row by row; they are read once.

    Raises:
        NotWritable: something is there, or it cannot be written.
    """
    with atomic_folder(out) as folder:
        for level, frames in zip(levels, tiles, strict=True):
            _write_level(folder / level_name(out, level.level), level, frames)


def _write_level(
    path: Path,
    level: DicomLevel,
    frames: Iterable[bytes],
) -> None:
    import pydicom

    with path.open("w+b") as file:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its oddities are held by tests
            pydicom.dcmwrite(file, dicom_dataset(level), enforce_file_format=True)
        table = _OffsetTable(file, level)
        offset = 0
        for frame in frames:
            padding = len(frame) % 2
            size = len(frame) + padding
            file.write(_ITEM + _LENGTH.pack(size))
            file.write(frame)
            file.write(b"\0" * padding)
            table.add(offset, size)
            offset += len(_ITEM) + _LENGTH.size + size
        file.write(_END)
        table.fill(file)
        if len(table) != level.frames:
            raise UnreadableImage(path, f"level {level.level} was not written whole")


class _OffsetTable:
    """Places of frames: room for them is left in front of the frames, and filled in at the end."""

    def __init__(self, file: BinaryIO, level: DicomLevel) -> None:
        most = level.frame_bytes + level.frames * (len(_ITEM) + _LENGTH.size + 1)
        self._is_basic = most < _BASIC_LIMIT
        self._offsets = array("Q")
        self._lengths = array("Q")
        self._start = file.seek(0, os.SEEK_END)
        self._count = level.frames
        empty = array("Q", bytes(_EXTENDED_BYTES * level.frames))
        self._write(file, empty, empty)

    def __len__(self) -> int:
        return len(self._offsets)

    def add(self, offset: int, length: int) -> None:
        """Note a frame: where its item begins, from the first one, and its bytes."""
        self._offsets.append(offset)
        self._lengths.append(length)

    def fill(self, file: BinaryIO) -> None:
        """Write the table to the room that was left."""
        file.seek(self._start)
        self._write(file, self._offsets, self._lengths)

    def _write(
        self,
        file: BinaryIO,
        offsets: array[int],
        lengths: array[int],
    ) -> None:
        if self._is_basic:
            table = _packed(offsets, "I")
            file.write(_PIXEL_DATA + _ITEM + _LENGTH.pack(len(table)) + table)
            return
        for tag, values in ((_EXTENDED_OFFSETS, offsets), (_EXTENDED_LENGTHS, lengths)):
            table = _packed(values, "Q")
            file.write(tag + _LENGTH.pack(len(table)) + table)
        file.write(_PIXEL_DATA + _ITEM + _LENGTH.pack(0))


def _packed(values: array[int], form: str) -> bytes:
    return struct.pack(f"<{len(values)}{form}", *values)


def refuse_if_there(out: Path) -> None:
    """Refuse a folder that is there: nothing is ever removed from it.

    Raises:
        NotWritable: something is there.
    """
    if os.path.lexists(out):
        raise NotWritable(
            out,
            "something is there",
            "Remove it, or choose another --out.",
        )


def read_dicom_recipe(folder: Path) -> dict[str, Any] | None:
    """The recipe in a folder that histosynth wrote and that holds all levels whole, or None."""
    try:
        path = first_level(folder)
        slide = path.name.removesuffix(_LEVEL_NAME.format("", 0))
        first = _own_header(path)
        for level in range(1, first.levels):
            path = folder / _LEVEL_NAME.format(slide, level)
            if _own_header(path).series != first.series:
                return None
        recipe = json.loads(first.recipe)
    except Exception:  # noqa: BLE001 - pydicom has errors of many classes for files of others
        return None
    return recipe if isinstance(recipe, dict) else None


def first_level(folder: Path) -> Path:
    """The file of level 0 in a folder of a slide.

    Raises:
        UnreadableImage: there is none, or more than one.
    """
    found = list(folder.glob("*" + _LEVEL_NAME.format("", 0)))
    if len(found) != 1:
        raise UnreadableImage(folder, f"it holds {len(found)} slides that histosynth wrote")
    return found[0]


class _OwnHeader(NamedTuple):
    """What histosynth states in a file of a level."""

    recipe: str
    levels: int
    series: str


def _own_header(path: Path) -> _OwnHeader:
    """Read a level that ends as it should.

    Raises:
        Exception: it is something else.
    """
    import pydicom

    with open_plain(path) as file:
        file.seek(-len(_END), os.SEEK_END)
        if file.read() != _END:
            raise ValueError("cut off")
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pydicom.dcmread(file, stop_before_pixels=True)
    block = data.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)
    return _OwnHeader(
        str(block[RECIPE_ELEMENT].value),
        int(block[LEVELS_ELEMENT].value),
        str(data.SeriesInstanceUID),
    )
