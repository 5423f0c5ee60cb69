"""Files of a folder that histosynth wrote: only these are ever replaced.

`.histosynth.jsonl` has a line for each, with its name, size and sha256. A line is added before its
file appears, so that a run that was killed at any moment still knows its own files.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import NotWritable
from .links import held, refuse_links
from .numbers_read import is_whole
from .plain_files import open_plain, read_plain_text
from .store import atomic_write, json_text, open_to_append, remove_file, sha256_of
from .temporary import temporary_file

OWN_RECORD = ".histosynth.jsonl"
MAX_RECORD_BYTES = 256 << 20
_Content = tuple[int, str]
"""Bytes and sha256 of a file."""
_FOREIGN = "histosynth did not write what is there, or it was changed since"
_REMEDY = "Move it elsewhere, or choose another --out."


def _never(path: Path) -> bool:
    return False


def keys_of_json(path: Path) -> set[str]:
    """Keys of the object in a JSON file; none of anything else."""
    try:
        text = read_plain_text(path)
        values = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return set()
    if not isinstance(values, dict):
        return set()
    return set(values)


class OwnFiles:
    """Writes files into a folder and replaces no others than its own.

    Args:
        folder: need not exist yet.
        earlier: whether a file that is not recorded was written by an earlier release, which
            kept no record. One that is recorded with other bytes was changed since.
        record: name of the record.

    Raises:
        NotWritable: the record cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        earlier: Callable[[Path], bool] = _never,
        record: str = OWN_RECORD,
    ) -> None:
        self.folder = folder
        self.has_record = os.path.lexists(folder / record)
        self._record = folder / record
        self._earlier = earlier
        self._refuse_links(record)
        self._known = _read_record(self._record)

    def refuse_foreign(self, names: Iterable[str]) -> None:
        """Refuse, before any work, names of results under which there are files of others.

        Args:
            names: from the folder, with slashes.

        Raises:
            NotWritable: naming the first, and how many there are.
        """
        foreign = [name for name in names if self._is_foreign(name)]
        if foreign:
            raise self._refusal(foreign[0], len(foreign) - 1)

    def name_of(self, path: Path) -> str:
        """A file's name from the folder, with slashes."""
        return path.relative_to(self.folder).as_posix()

    def holds_text(self, name: str, text: str) -> bool:
        """Whether a file of this name holds a text as it would be written."""
        return _holds(self.folder / name, _content_of_text(text))

    def knows(self, name: str) -> bool:
        """Whether a file of this name was recorded."""
        return name in self._known

    def holds_own(self, name: str) -> bool:
        """Whether a file is there that is recorded and was not changed since."""
        path = self.folder / name
        return any(_holds(path, content) for content in self._known.get(name, ()))

    def undecided(self, names: Iterable[str]) -> list[str]:
        """Names of files that are not refused only if their bytes are those that are to be written.

        A folder without a record is of an earlier release, or was copied without hidden files.

        Raises:
            NotWritable: as `refuse_foreign`, where the folder has a record or what is there is no
                plain file.
        """
        found = [name for name in names if self._is_foreign(name)]
        unlike = [name for name in found if not _is_plain_file(self.folder / name)]
        refused = found if self.has_record else unlike
        if refused:
            raise self._refusal(refused[0], len(refused) - 1)
        return found

    def trial(self) -> OwnFiles:
        """The same, which writes nothing and refuses what this one would refuse."""
        return _Trial(self.folder, earlier=self._earlier)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a temporary path, which becomes the file if the block succeeds.

        Raises:
            NotWritable: another file is there, or the folder cannot be written.
        """
        with atomic_write(self.folder / name) as temporary:
            yield temporary
            self._admit(name, _content_of(temporary))

    def write_texts(self, texts: Mapping[str, str]) -> list[Path]:
        """Write texts by name as UTF-8, all or none; returns their paths.

        A file that holds its text already counts as written.
        """
        replaced = []
        for name, text in texts.items():
            content = _content_of_text(text)
            if not _holds(self.folder / name, content):
                replaced.append(name)
        self.refuse_foreign(replaced)
        paths = []
        for name, text in texts.items():
            with self.writing(name) as temporary:
                temporary.write_bytes(_encoded(text))
            paths.append(self.folder / name)
        return paths

    def write_json(self, name: str, value: object) -> None:
        """Write JSON as `store.write_json` does."""
        self.write_texts({name: json_text(value)})

    def withdraw(self, name: str) -> None:
        """Remove a file that was just written, and the record where it was the first."""
        remove_file(self.folder / name)
        if not self.has_record:
            remove_file(self._record)

    def _refuse_links(self, name: str) -> None:
        with held([self.folder]):
            refuse_links(self.folder / name)

    def _is_foreign(self, name: str) -> bool:
        path = self.folder / name
        self._refuse_links(name)
        if not os.path.lexists(path):
            return False
        if not _is_plain_file(path):
            return True
        if self.knows(name):
            return not self.holds_own(name)
        try:
            return not self._earlier(path)
        except OSError as error:
            raise _unreadable(path, error) from error

    def _admit(
        self,
        name: str,
        content: _Content,
    ) -> None:
        """Record what a file is about to hold, unless a file of others would be lost."""
        path = self.folder / name
        if self._is_foreign(name) and not _holds(path, content):
            raise self._refusal(name, 0)
        known = self._known.setdefault(name, set())
        if content not in known:
            _append_line(self._record, name, content)
            known.add(content)

    def _refusal(
        self,
        name: str,
        more: int,
    ) -> NotWritable:
        others = f"; so it is with {more:,} more" if more else ""
        return NotWritable(self.folder / name, f"{_FOREIGN}{others}", _REMEDY)


class _Trial(OwnFiles):
    """Results are written to temporary files, compared and removed."""

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        path = self.folder / name
        with temporary_file(self.folder, path.suffix) as temporary:
            yield temporary
            if self._is_foreign(name) and not _holds(path, _content_of(temporary)):
                raise self._refusal(name, 0)


def record_content(record: Path, name: str, temporary: Path) -> None:
    """Record what a file is about to hold, where it was checked before that it may be replaced.

    Args:
        record: of the folder.
        name: of the file.
        temporary: file with its content.

    Raises:
        NotWritable: the record cannot be written.
    """
    _append_line(record, name, _content_of(temporary))


def _content_of(path: Path) -> _Content:
    return path.stat().st_size, sha256_of(path)


def _encoded(text: str) -> bytes:
    """UTF-8; names of files can hold what it cannot, which becomes escapes."""
    return text.encode("utf-8", "backslashreplace")


def _content_of_text(text: str) -> _Content:
    data = _encoded(text)
    sha256 = hashlib.sha256(data)
    return len(data), sha256.hexdigest()


def _holds(
    path: Path,
    content: _Content,
) -> bool:
    """Whether a file is that very content already, so that writing it loses nothing."""
    if not _is_plain_file(path):
        return False
    size, sha256 = content
    # the size first: a file of others may have a terabyte
    try:
        return path.stat().st_size == size and sha256_of(path) == sha256
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> NotWritable:
    """The refusal of a file that may be one of ours, and cannot be read: another user's, say."""
    reason = f"what is there cannot be read ({error.strerror or error})"
    return NotWritable(path, reason, _REMEDY)


def _is_plain_file(path: Path) -> bool:
    is_link = os.path.islink(path)
    return os.path.isfile(path) and not is_link


def _read_record(path: Path) -> dict[str, set[_Content]]:
    """Contents by name. Lines that were cut off by a kill are left out: no file followed them."""
    known: dict[str, set[_Content]] = {}
    try:
        with open_plain(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_RECORD_BYTES:
                raise NotWritable(path, f"it has more than {MAX_RECORD_BYTES:,} bytes")
            lines = file.read().splitlines()
    except FileNotFoundError:
        return known
    except OSError as error:
        raise NotWritable(path, error.strerror or str(error)) from error
    for line in lines:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if _is_entry(values):
            contents = known.setdefault(values["name"], set())
            contents.add((values["bytes"], values["sha256"]))
    return known


def _is_entry(values: Any) -> bool:
    if not isinstance(values, dict):
        return False
    texts = values.get("name"), values.get("sha256")
    return all(isinstance(text, str) for text in texts) and is_whole(values.get("bytes"))


def _append_line(
    path: Path,
    name: str,
    content: _Content,
) -> None:
    size, sha256 = content
    values = {
        "bytes": size,
        "name": name,
        "sha256": sha256,
    }
    # begins a line of its own, as a killed run may have left half of one
    line = f"\n{json.dumps(values)}\n"
    try:
        with open_to_append(path) as file:
            file.write(line.encode())
    except OSError as error:
        raise NotWritable(path, error.strerror or str(error)) from error
