"""The one way to read files: what is no plain file is refused.

Opening a pipe would wait for ever, and a device has no end.
"""

from __future__ import annotations

import os
import stat
from io import BufferedReader, TextIOWrapper
from pathlib import Path

MAX_OWN_TEXT_BYTES = 1 << 30
"""Of a text in a folder of results; recipes of 100,000 pictures have a tenth of it."""
_NO_PLAIN_FILE = "it is no plain file"
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def open_plain(path: Path, *, follow_links: bool = True) -> BufferedReader:
    """Open a file to read its bytes.

    Args:
        path: of the file.
        follow_links: whether it may be a link.

    Raises:
        OSError: it cannot be opened, or is no plain file.
    """
    refuse_special_file(path)
    flags = _READ
    if not follow_links:
        flags |= _NO_LINK
    handle = os.open(path, flags)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):  # it was exchanged since
            raise OSError(_NO_PLAIN_FILE)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def refuse_special_file(path: Path) -> None:
    """Refuse what is there and no plain file: for libraries, which open files by their path.

    Raises:
        OSError: it is one.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(_NO_PLAIN_FILE)


def read_plain_text(path: Path, most_bytes: int = MAX_OWN_TEXT_BYTES) -> str:
    """The UTF-8 text of a file that a user or a recipe named, or that lies in a folder of ours.

    Raises:
        OSError: it is absent, no plain file, or larger.
        UnicodeDecodeError: it is no UTF-8.
    """
    with open_plain(path) as file:
        handle = file.fileno()
        size = os.fstat(handle).st_size
        if size > most_bytes:
            reason = f"its {size:,} bytes are more than {most_bytes:,}"
            raise OSError(reason)
        text = TextIOWrapper(file, encoding="utf-8")
        return text.read()
