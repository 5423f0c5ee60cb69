"""Files are fetched whole or not at all: broken transfers continue, and every md5 is checked."""

from __future__ import annotations

import errno
import hashlib
import http.client
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
"""Bytes that must arrive before tries are counted anew; otherwise a server that sends a few at a
time would never end."""
_HTTP_OK = 200
_HTTP_PARTIAL = 206
_HTTP_NO_SUCH_RANGE = 416


@dataclass(frozen=True)
class Fetched:
    """The result of a fetch, by file name.

    Attributes:
        done: fetched by this call.
        already: were there before.
        failed: could not be fetched, and why.
    """

    done: tuple[str, ...] = ()
    already: tuple[str, ...] = ()
    failed: dict[str, HistosynthError] = field(default_factory=dict)


@dataclass(frozen=True)
class _Connection:
    """How slides are requested."""

    endpoint: str
    tries: int
    sleep: Callable[[float], None]
    timeout_s: float


@dataclass(frozen=True)
class _Progress:
    """Reports bytes of one slide as bytes of all.

    Attributes:
        callback: of the caller, or None.
        before: bytes of the slides before this one.
        total: bytes of all slides.
    """

    callback: ProgressCallback | None
    before: int
    total: int

    def report(self, received: int) -> None:
        """So many bytes of the slide are there."""
        if self.callback:
            self.callback(self.before + received, self.total)


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
    """Fetch slides into a folder. A second call continues from what is there.

    A file that is there and right is left alone. One of that name that is not right is replaced
    once the right one is whole. Until then bytes lie in `<name>.part`.

    Args:
        slides: of `find_slides`.
        folder: created if it is not there.
        endpoint: address of the API.
        tries: how often one slide may fail without 1 MiB of progress.
        on_progress: called with (bytes done, bytes in all); what failed counts as done. It goes
            back where a slide must start anew.
        sleep: waits between tries, in s.
        timeout_s: how long the server may stay silent, in s.

    Returns:
        What was fetched, what was there, and why the others failed.

    Raises:
        BadOption: the endpoint or tries cannot be.
        NotWritable: the folder cannot be written or is full; what was fetched is kept.
        FetchFailed: another fetch works in this folder.
    """
    connection = _Connection(
        normal_endpoint(endpoint),
        tries,
        sleep,
        timeout_s,
    )
    RetryPolicy(tries)  # refuses a number that cannot be
    wanted = list(dict.fromkeys(slides))
    total = sum(slide.size for slide in wanted)
    before = 0
    done: list[str] = []
    already: list[str] = []
    failed: dict[str, HistosynthError] = {}
    file_ids: dict[str, str] = {}
    with _locked(ensure_folder(folder)):
        record = _read_record(folder / RECORD)
        for slide in wanted:
            progress = _Progress(on_progress, before, total)
            progress.report(0)
            try:
                _check_name(slide, file_ids)
                if _is_right(
                    folder / slide.name,
                    slide,
                    record.get(slide.name),
                ):
                    already.append(slide.name)
                else:
                    _transfer(
                        slide,
                        folder / slide.name,
                        connection,
                        progress,
                    )
                    done.append(slide.name)
                _record_file(folder, slide, record)
            except FetchFailed as error:
                failed[slide.name] = error
            progress.report(slide.size)
            before += slide.size
    return Fetched(tuple(done), tuple(already), failed)


def _check_name(slide: RemoteSlide, file_ids: dict[str, str]) -> None:
    """Refuse a second slide of the same file name; `file_ids` is updated."""
    first_id = file_ids.setdefault(slide.name.casefold(), slide.file_id)
    if first_id != slide.file_id:
        raise FetchFailed(
            slide.name,
            "two slides have this name",
            "Fetch them into two folders.",
        )


def _transfer(
    slide: RemoteSlide,
    path: Path,
    connection: _Connection,
    progress: _Progress,
) -> None:
    """Fetch into `<name>.part`, and rename it if the md5 is right."""
    part = path.with_name(path.name + ".part")
    policy = RetryPolicy(connection.tries, connection.sleep)
    furthest = _size(part)
    while True:
        try:
            with _disk_errors(part):
                _receive(slide, part, connection, progress)
                if _md5(part) == slide.md5:
                    part.replace(path)
                    return
                part.unlink()
            furthest = slide.size  # the same bytes once more are no progress
            raise TransientError("its md5 is not the listed one")
        except TransientError as error:
            with _disk_errors(part):
                if error.status == _HTTP_NO_SUCH_RANGE:  # the part belongs to another file
                    part.unlink(missing_ok=True)
                received = _size(part)
            if received >= furthest + _PROGRESS:
                furthest = received
                policy.renew()
            policy.wait(slide.name, error)


def _receive(
    slide: RemoteSlide,
    part: Path,
    connection: _Connection,
    progress: _Progress,
) -> None:
    """Fill the part up to the slide's size; only the bytes that are missing are requested."""
    received = _size(part)
    if received > slide.size:
        part.unlink()
        received = 0
    if received == slide.size:
        return
    headers = {"Range": f"bytes={received}-"} if received else {}
    url = f"{connection.endpoint}/data/{slide.file_id}"
    with open_url(
        url,
        slide.name,
        headers=headers,
        timeout_s=connection.timeout_s,
    ) as answer:
        received = _start_of_answer(answer, slide, part, received)
        received = _append(answer, slide, part, received, progress)
    if received < slide.size:
        raise TransientError(f"the connection ended at {received:,} of {slide.size:,} bytes")


def _start_of_answer(
    answer: http.client.HTTPResponse,
    slide: RemoteSlide,
    part: Path,
    received: int,
) -> int:
    """At which byte of the slide an answer begins: `received`, or 0 where the server sends all.

    Raises:
        TransientError: it begins elsewhere, or is not the slide.
    """
    if answer.status == _HTTP_OK:
        length = answer.headers.get("Content-Length", str(slide.size))
        if length != str(slide.size):  # probably an error page: the part stays as it is
            raise TransientError(
                f"the server sends {length[:20]} bytes, not the listed {slide.size}"
            )
        return 0
    start = _range_start(answer.headers.get("Content-Range", ""))
    is_wanted_range = answer.status == _HTTP_PARTIAL and start == received
    if not is_wanted_range or not received:
        part.unlink(missing_ok=True)
        raise TransientError(f"the server sent another range (status {answer.status})")
    return received


def _append(
    answer: http.client.HTTPResponse,
    slide: RemoteSlide,
    part: Path,
    received: int,
    progress: _Progress,
) -> int:
    """Write an answer behind the bytes that are there; returns how many are there then."""
    with part.open("ab" if received else "wb") as file:
        while True:
            piece = read_chunk(answer, _PIECE)
            if not piece:
                return received
            received += len(piece)
            if received > slide.size:
                file.truncate(0)
                raise TransientError(f"more than the listed {slide.size:,} bytes came")
            file.write(piece)
            progress.report(received)


def _is_right(
    path: Path,
    slide: RemoteSlide,
    recorded: Any,
) -> bool:
    """Whether a slide's file is there and whole; its md5 is computed unless it is recorded."""
    with _disk_errors(path):
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode):
            raise NotWritable(path, "something of that name is no file")
        if found.st_size != slide.size:
            return False
        if recorded == [slide.size, slide.md5, found.st_mtime_ns]:
            return True
        return _md5(path) == slide.md5


def _record_file(
    folder: Path,
    slide: RemoteSlide,
    record: dict[str, Any],
) -> None:
    """Record that a slide is whole; `record` is updated."""
    with _disk_errors(folder / slide.name):
        changed_ns = (folder / slide.name).stat().st_mtime_ns
    entry = [slide.size, slide.md5, changed_ns]
    if record.get(slide.name) != entry:
        record[slide.name] = entry
        write_json(folder / RECORD, record)


def _read_record(path: Path) -> dict[str, Any]:
    """A record that is absent or damaged is empty: files are then read again."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _range_start(content_range: str) -> int | None:
    """The first byte of a `Content-Range`; None where there is none."""
    found = re.match(r"bytes (\d{1,15})-", content_range.strip())
    return int(found.group(1)) if found else None


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` into `NotWritable`: those of the network are `TransientError` by then."""
    try:
        yield
    except OSError as error:
        raise NotWritable(path, error.strerror or str(error)) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder: two fetches into one part would spoil it after its md5 was checked."""
    if sys.platform == "win32":  # has no such lock on folders
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # some network file systems cannot lock; then other fetches cannot be detected
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise FetchFailed(
                    str(folder),
                    "another fetch is at work there",
                    "Wait for it.",
                ) from error
        yield
    finally:
        os.close(handle)
