"""Files are fetched whole or not at all: broken transfers continue, and every md5 is checked."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...core.errors import FetchFailed, HistosynthError
from ...core.file_names import name_key
from ...core.folder_lock import own_folder
from ...core.progress import ProgressCallback
from ...core.store import open_to_append, remove_file
from ...core.web import Pace, RetryPolicy, TransientError, normal_endpoint, open_url, read_chunk
from .gdc import GDC, RemoteSlide
from .record import FetchRecord, Place, disk_errors, md5_of, move_into_place

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

    A file that is there and right is left alone, whoever put it there. One that is not right is
    replaced only where an earlier fetch put it there and nobody changed it since: then the server
    has another file of that name. Until a slide is whole its bytes lie in a hidden file.

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
        FolderInUse: another run works in this folder.
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
    with own_folder(folder) as run:
        record = FetchRecord(folder)
        for slide in wanted:
            progress = _Progress(on_progress, before, total)
            progress.report(0)
            try:
                _check_name(slide, file_ids)
                if record.place_of(slide) is Place.WHOLE:
                    remove_file(_part_of(slide, folder))
                    already.append(slide.name)
                else:
                    _transfer(slide, record, connection, progress)
                    done.append(slide.name)
                record.add(slide)
            except FetchFailed as error:
                failed[slide.name] = error
            run.count(len(done) + len(already), len(wanted), "slides are in")
            progress.report(slide.size)
            before += slide.size
    return Fetched(tuple(done), tuple(already), failed)


def _check_name(slide: RemoteSlide, file_ids: dict[str, str]) -> None:
    """Refuse a second slide of the same file name; `file_ids` is updated."""
    first_id = file_ids.setdefault(name_key(slide.name), slide.file_id)
    if first_id != slide.file_id:
        raise FetchFailed(
            slide.name,
            "two slides have this name",
            "Fetch them into two folders.",
        )


def _part_of(slide: RemoteSlide, folder: Path) -> Path:
    """Where the bytes of a slide lie until it is whole: browsers, too, write `<name>.part`."""
    part = folder / f".fetching-{slide.file_id}.part"
    with disk_errors(part):
        if part.is_symlink():
            remove_file(part)
    return part


def _transfer(
    slide: RemoteSlide,
    record: FetchRecord,
    connection: _Connection,
    progress: _Progress,
) -> None:
    """Fetch into a hidden file, and give it the slide's name if the md5 is right."""
    part = _part_of(slide, record.folder)
    policy = RetryPolicy(connection.tries, connection.sleep)
    furthest = _size(part)
    while True:
        try:
            with disk_errors(part):
                _receive(slide, part, connection, progress)
                if md5_of(part) == slide.md5:
                    move_into_place(part, slide, record)
                    return
                remove_file(part)
            furthest = slide.size  # the same bytes once more are no progress
            raise TransientError("its md5 is not the listed one")
        except TransientError as error:
            with disk_errors(part):
                if error.status == _HTTP_NO_SUCH_RANGE:  # the part belongs to another file
                    remove_file(part)
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
        remove_file(part)
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
        remove_file(part)
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
    pace = Pace()
    with open_to_append(part) as file:
        if not received:
            file.truncate(0)
        while True:
            piece = read_chunk(answer, _PIECE)
            if not piece:
                return received
            received += len(piece)
            if received > slide.size:
                file.truncate(0)
                raise TransientError(f"more than the listed {slide.size:,} bytes came")
            file.write(piece)
            pace.add(len(piece))
            progress.report(received)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _range_start(content_range: str) -> int | None:
    """The first byte of a `Content-Range`; None where there is none."""
    found = re.match(r"bytes (\d{1,15})-", content_range.strip())
    return int(found.group(1)) if found else None
