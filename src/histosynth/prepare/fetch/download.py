"""Files come whole or not at all: what broke off goes on where it stopped, and every md5 is
checked.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import FetchFailed, HistosynthError, NotWritable
from ...core.progress import ProgressCallback
from ...core.store import ensure_folder, write_json
from ...core.web import RetryPolicy, TransientError, normal_endpoint, open_url, read_chunk
from .gdc import GDC, RemoteSlide

RECORD = ".fetched.json"
"""What is whole in a folder: size, md5 and time of change, so that gigabytes are not read again."""
_PIECE = 1 << 20
_PROGRESS = 1 << 20
"""Bytes that must come before tries are counted anew; a server that sends a few at a time would
never end."""


@dataclass(frozen=True)
class Fetched:
    """What came of it, by file name."""

    done: tuple[str, ...] = ()
    already: tuple[str, ...] = ()
    failed: dict[str, HistosynthError] = field(default_factory=dict)


@dataclass
class _Way:
    """How bytes come: from where, how patiently, and who is told."""

    endpoint: str
    tries: int
    sleep: Callable[[float], None]
    timeout_s: float
    told: Callable[[int], None]


def fetch(
    slides: Iterable[RemoteSlide],
    folder: Path,
    *,
    endpoint: str = GDC,
    tries: int = 5,
    on_progress: ProgressCallback | None = None,
    sleep: Callable[[float], None] = time.sleep,
    timeout_s: float = 60.0,
) -> Fetched:
    """Bring slides into a folder. Run again, it goes on from what is there.

    A file that is there and right is left alone; one of that name that is not is replaced once the
    right one is whole. Until then bytes lie in `<name>.part`.

    Args:
        slides: of `find_slides`.
        folder: made if it is not there.
        endpoint: address of the API.
        tries: how often one slide may fail without 1 MiB of progress.
        on_progress: told (bytes done, bytes in all); what failed counts as done. It goes back where
            a slide must start anew.
        sleep: waits between tries, in s.
        timeout_s: how long the server may stay silent, in s.

    Returns:
        What came, what was there, and why the others did not come.

    Raises:
        BadOption: the endpoint or tries cannot be.
        NotWritable: the folder cannot be written or is full; what came is kept.
        FetchFailed: another fetch works in this folder.
    """
    endpoint = normal_endpoint(endpoint)
    RetryPolicy(tries)
    wanted = list(dict.fromkeys(slides))
    total = sum(each.size for each in wanted)
    before = 0
    done: list[str] = []
    already: list[str] = []
    failed: dict[str, HistosynthError] = {}
    names: dict[str, str] = {}
    with _alone(ensure_folder(folder)):
        record = _read_record(folder / RECORD)
        for slide in wanted:
            base = before

            def told(here: int, base: int = base) -> None:
                if on_progress:
                    on_progress(base + here, total)

            told(0)
            try:
                if names.setdefault(slide.name.casefold(), slide.file_id) != slide.file_id:
                    raise FetchFailed(
                        slide.name,
                        "two slides have this name",
                        "Fetch them into two folders.",
                    )
                if _is_right(folder / slide.name, slide, record.get(slide.name)):
                    already.append(slide.name)
                else:
                    _transfer(
                        slide,
                        folder / slide.name,
                        _Way(endpoint, tries, sleep, timeout_s, told),
                    )
                    done.append(slide.name)
                _note(folder, slide, record)
            except FetchFailed as error:
                failed[slide.name] = error
            before += slide.size
            told(slide.size)
    return Fetched(tuple(done), tuple(already), failed)


def _transfer(slide: RemoteSlide, path: Path, way: _Way) -> None:
    """Bytes into `<name>.part`, then, if the md5 is right, the name."""
    part = path.with_name(path.name + ".part")
    patience = RetryPolicy(way.tries, way.sleep)
    furthest = _size(part)
    while True:
        try:
            with _on_disk(part):
                _receive(slide, part, way)
                if _md5(part) == slide.md5:
                    part.replace(path)
                    return
                part.unlink()
            furthest = slide.size  # the same bytes once more are no progress
            raise TransientError("its md5 is not the listed one")
        except TransientError as fault:
            with _on_disk(part):
                if fault.status == 416:  # the server has no such range: the part is no part of it
                    part.unlink(missing_ok=True)
                if (here := _size(part)) >= furthest + _PROGRESS:
                    furthest = here
                    patience.renew()
            patience.wait(slide.name, fault)


def _receive(slide: RemoteSlide, part: Path, way: _Way) -> None:
    """Fill the part up to the slide's size; what is there already is not asked for again."""
    here = _size(part)
    if here > slide.size:
        part.unlink()
        here = 0
    if here == slide.size:
        return
    headers = {"Range": f"bytes={here}-"} if here else {}
    url = f"{way.endpoint}/data/{slide.file_id}"
    with open_url(
        url,
        slide.name,
        headers=headers,
        timeout_s=way.timeout_s,
    ) as answer:
        if answer.status == 200:
            length = answer.headers.get("Content-Length", str(slide.size))
            if length != str(slide.size):  # some page of an error, say: what is here stays
                raise TransientError(
                    f"the server sends {length[:20]} bytes, not the listed {slide.size}"
                )
            here = 0  # it does not know ranges, and sends all of it
        elif (
            answer.status != 206
            or _start(answer.headers.get("Content-Range", "")) != here
            or not here
        ):
            part.unlink(missing_ok=True)
            raise TransientError(f"the server sent another range (status {answer.status})")
        with part.open("ab" if here else "wb") as file:
            while some := read_chunk(answer, _PIECE):
                here += len(some)
                if here > slide.size:
                    file.truncate(0)
                    raise TransientError(f"more than the listed {slide.size:,} bytes came")
                file.write(some)
                way.told(here)
    if here < slide.size:
        raise TransientError(f"the connection ended at {here:,} of {slide.size:,} bytes")


def _is_right(path: Path, slide: RemoteSlide, noted: Any) -> bool:
    with _on_disk(path):
        try:
            there = path.stat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(there.st_mode):
            raise NotWritable(path, "something of that name is no file")
        if there.st_size != slide.size:
            return False
        return noted == [slide.size, slide.md5, there.st_mtime_ns] or _md5(path) == slide.md5


def _note(folder: Path, slide: RemoteSlide, record: dict[str, Any]) -> None:
    with _on_disk(folder / slide.name):
        note = [slide.size, slide.md5, (folder / slide.name).stat().st_mtime_ns]
    if record.get(slide.name) != note:
        record[slide.name] = note
        write_json(folder / RECORD, record)


def _read_record(path: Path) -> dict[str, Any]:
    """A record that is absent or damaged is none: files are then read again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _start(said: str) -> int | None:
    found = re.match(r"bytes (\d{1,15})-", said.strip())
    return int(found.group(1)) if found else None


@contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    """Faults of the network are `TransientError` before they get here: any other is the disk's."""
    try:
        yield
    except OSError as error:
        raise NotWritable(path, error.strerror or str(error)) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two fetches into one part would spoil it after its md5 was checked: the second is refused."""
    if sys.platform == "win32":  # has no such lock on folders
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # some network file systems cannot lock: then nothing is known
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise FetchFailed(
                    str(folder), "another fetch is at work there", "Wait for it."
                ) from error
        yield
    finally:
        os.close(handle)
