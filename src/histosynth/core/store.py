"""Files that appear whole or not at all, and digests of what was written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import Any

from .errors import NotWritable
from .links import refuse_links, refuse_links_in
from .plain_files import open_plain, refuse_special_file
from .temporary import temporary_file, temporary_folder

_UMASK = os.umask(0)  # can only be read by setting it; once, before there are threads
os.umask(_UMASK)
_APPEND = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)

_UNWRITABLE = {
    getattr(errno, name)
    for name in (
        "ENOSPC",
        "EDQUOT",
        "EROFS",
        "EIO",
        "EISDIR",
        "ENOTEMPTY",
        "EEXIST",
        "EFBIG",
        "ENAMETOOLONG",
        "EACCES",
    )
    if hasattr(errno, name)
}
"""Error numbers of paths that cannot be written: disk full, read-only, a folder of that name."""


@contextmanager
def atomic_write(path: Path, *, replaces: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it is renamed to `path` if the block succeeds.

    A reader opens the old file or the new one, never half of one (POSIX rename).

    Args:
        path: of the file.
        replaces: the block puts another file in place of the temporary one, as safetensors does,
            and so loses the lock by which other processes know that it is in use. Then it lies in
            a temporary folder, whose lock is a file of its own.

    Raises:
        NotWritable: the folder cannot be created or written, or is a link in a folder of results.
    """
    refuse_links(path)
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if replaces:
                folder = stack.enter_context(temporary_folder(path.parent))
                temporary = folder / f"file{path.suffix}"
            else:
                temporary = stack.enter_context(temporary_file(path.parent, path.suffix))
        except OSError as error:
            raise NotWritable(path, error.strerror or str(error)) from error
        try:
            yield temporary
            temporary.chmod(0o666 & ~_UMASK)
            temporary.replace(path)
        except OSError as error:
            if error.errno not in _UNWRITABLE:  # an error of the block itself
                raise
            raise NotWritable(path, error.strerror or str(error)) from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside a path; it is renamed to `path` if the block succeeds.

    Args:
        path: of the folder; nothing may be there but an empty folder.

    Raises:
        NotWritable: something is there, the folder above cannot be created or written, or it is a
            link in a folder of results.
    """
    refuse_links(path)
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = stack.enter_context(temporary_folder(path.parent))
        except OSError as error:
            raise NotWritable(path, error.strerror or str(error)) from error
        try:
            yield temporary
            temporary.rename(path)
        except OSError as error:
            if error.errno not in _UNWRITABLE:  # an error of the block itself
                raise
            raise NotWritable(path, error.strerror or str(error)) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, its ends of lines as they are on every system."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def json_text(value: Any) -> str:
    """JSON with sorted keys and two-space indents, a line's end at its end."""
    text = json.dumps(value, indent=2, sort_keys=True)
    return text.replace("\x7f", r"\u007f") + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys and two-space indents atomically."""
    write_text(path, json_text(value))


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Hex sha256 of a JSON-able value in canonical form: equal values, equal digests."""
    text = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def ensure_folder(path: Path) -> Path:
    """Create a folder for results and check that it can be written, before any work is done.

    Raises:
        NotWritable: it cannot, or is a link in a folder of results.
    """
    refuse_links(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with temporary_file(path):
            pass
    except OSError as error:
        raise NotWritable(path, error.strerror or str(error)) from error
    return path


def open_to_append(path: Path) -> BufferedWriter:
    """Open a file of a folder of results to write behind its end; it is created if it is absent.

    A file with a second name, which may be one of others, is replaced by a copy first.

    Raises:
        NotWritable: it is a link in a folder of results.
        OSError: it cannot be written, or is no plain file.
    """
    refuse_links(path)
    refuse_special_file(path)
    if os.path.lexists(path) and path.stat(follow_symlinks=False).st_nlink > 1:
        with atomic_write(path) as temporary:
            shutil.copyfile(path, temporary)
    return os.fdopen(os.open(path, _APPEND, 0o666), "ab")


def remove_file(path: Path) -> None:
    """Remove a file of a folder of results if it is there; of a link the link itself.

    Raises:
        NotWritable: its folder is a link in a folder of results.
        OSError: it cannot be removed.
    """
    refuse_links(path.parent)
    path.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Remove a folder and what is in it, as far as that can be; never what links lead to.

    Raises:
        NotWritable: it is a link in a folder of results.
    """
    refuse_links(path)
    shutil.rmtree(path, ignore_errors=True)


def replace_folder(source: Path, folder: Path) -> None:
    """Put a copy of a folder in place of another one, which is kept until the copy is whole.

    Raises:
        NotWritable: there is no room for the copy, or a link in a folder of results.
    """
    new = folder.with_name(f".{folder.name}-new")
    old = folder.with_name(f".{folder.name}-old")
    refuse_links_in(source)
    for path in (folder, new, old):
        refuse_links(path)
    try:
        for leftover in (new, old):
            remove_folder(leftover)
        shutil.copytree(source, new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        remove_folder(old)
    except OSError as error:
        raise NotWritable(folder, error.strerror or str(error)) from error
