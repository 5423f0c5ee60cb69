"""What was fetched into a folder: only files of this record are ever replaced."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from ...core.errors import FetchFailed, NotWritable
from ...core.links import held, refuse_links
from ...core.plain_files import open_plain, read_plain_text
from ...core.store import remove_file, write_json
from .gdc import RemoteSlide

FETCH_RECORD = ".fetched.json"
"""Size, md5 and time of change by name, so that gigabytes are not read again."""


class Place(Enum):
    """What is where a slide shall be."""

    EMPTY = "nothing"
    WHOLE = "the slide"
    OLDER = "what an earlier fetch put there, when the server had another file"


class FetchRecord:
    """The record of a folder, kept in `.fetched.json`.

    One that is absent or damaged is empty: files are then read again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with held([folder]):
            refuse_links(folder / FETCH_RECORD)
        self._entries = _read_entries(folder / FETCH_RECORD)

    def place_of(self, slide: RemoteSlide) -> Place:
        """What is where a slide shall be; an md5 is computed unless it is recorded.

        Raises:
            FetchFailed: something that was not fetched, or was changed since.
        """
        path = self.folder / slide.name
        if not os.path.lexists(path):
            return Place.EMPTY
        with disk_errors(path):
            if not os.path.isfile(path):
                raise _refusal(slide, "something that is no file")
            found = path.stat()
            if self._is(path, found, [slide.size, slide.md5]):
                return Place.WHOLE
            recorded = self._entries.get(slide.name)
            is_ours = isinstance(recorded, list) and self._is(path, found, recorded[:2])
            if is_ours and not os.path.islink(path):
                return Place.OLDER
        counts = f"a file of {found.st_size:,} bytes"
        if found.st_size == slide.size:
            counts += " with another md5"
        raise _refusal(slide, counts)

    def _is(
        self,
        path: Path,
        found: os.stat_result,
        content: list[Any],
    ) -> bool:
        """Whether a file has this size and md5."""
        size, md5 = content
        if found.st_size != size:
            return False
        recorded = self._entries.get(path.name)
        return recorded == [size, md5, found.st_mtime_ns] or md5_of(path) == md5

    def add(self, slide: RemoteSlide) -> None:
        """Record that a slide is whole."""
        path = self.folder / slide.name
        with disk_errors(path):
            changed_ns = path.stat().st_mtime_ns
        entry = [slide.size, slide.md5, changed_ns]
        if self._entries.get(slide.name) != entry:
            self._entries[slide.name] = entry
            write_json(self.folder / FETCH_RECORD, self._entries)


def move_into_place(part: Path, slide: RemoteSlide, record: FetchRecord) -> None:
    """Give a whole slide its name, unless another file came to be there during the transfer.

    Raises:
        FetchFailed: it did.
    """
    path = record.folder / slide.name
    if record.place_of(slide) is not Place.EMPTY:
        part.replace(path)
        return
    try:
        os.link(part, path)  # unlike a rename, never replaces
    except FileExistsError as error:
        raise _refusal(slide, "another file, since the transfer began,") from error
    except OSError:  # a file system without links
        part.rename(path)
        return
    remove_file(part)


def _refusal(slide: RemoteSlide, what: str) -> FetchFailed:
    return FetchFailed(
        slide.name,
        f"{what} has its name already, and was not fetched or was changed since; the slide has "
        f"{slide.size:,} bytes",
        "Move what is there elsewhere, or fetch into another folder.",
    )


def _read_entries(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(read_plain_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {name: entry for name, entry in entries.items() if _is_entry(entry)}


def _is_entry(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3


def md5_of(path: Path) -> str:
    """Hex md5 of a file."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` into `NotWritable`: those of the network are `TransientError` by then."""
    try:
        yield
    except OSError as error:
        raise NotWritable(path, error.strerror or str(error)) from error
