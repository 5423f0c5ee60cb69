"""Files that appear whole or not at all, and digests of what was written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .errors import NotWritable
from .temporary import temporary_file, temporary_folder

_UMASK = os.umask(0)  # can only be read by setting it; once, before there are threads
os.umask(_UMASK)


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


MAX_OWN_TEXT_BYTES = 1 << 30
"""Of a text in a folder of results; recipes of 100,000 pictures have a tenth of it."""


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
        NotWritable: the folder cannot be created or written.
    """
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


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, its ends of lines as they are on every system."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def json_text(value: Any) -> str:
    """JSON with sorted keys and two-space indents, a line's end at its end."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys and two-space indents atomically."""
    write_text(path, json_text(value))


def read_plain_text(path: Path, most_bytes: int = MAX_OWN_TEXT_BYTES) -> str:
    """The UTF-8 text of a file that a user or a recipe named, or that lies in a folder of ours.

    Raises:
        OSError: it is absent, no plain file, or larger.
        UnicodeDecodeError: it is no UTF-8.
    """
    refuse_special_file(path)
    size = path.stat().st_size
    if size > most_bytes:
        raise OSError(f"its {size:,} bytes are more than {most_bytes:,}")
    return path.read_text(encoding="utf-8")


def refuse_special_file(path: Path) -> None:
    """Refuse what is there and no plain file.

    Opening a pipe would wait for ever, and a device has no end.

    Raises:
        OSError: it is one.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError("it is no plain file")


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
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
        NotWritable: it cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with temporary_file(path):
            pass
    except OSError as error:
        raise NotWritable(path, error.strerror or str(error)) from error
    return path
