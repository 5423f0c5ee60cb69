"""Temporary files and folders, of which those of dead processes are removed.

Each is locked by the process that writes it, so that one that is not locked is abandoned: its
writer was killed. That holds on all nodes that share a folder, and for containers, which number
processes on their own. Where files cannot be locked, those that are a day old are abandoned.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .file_locks import Lock, is_open_file, try_lock
from .links import refuse_links
from .paths import real_path

PREFIX = ".histosynth-tmp-"
_NAME = re.compile(re.escape(PREFIX) + r"[a-z0-9_]{8}(\.[^/]*)?")
"""Names of temporary files: no file of a user has one."""
_MARK = ".lock"
_FOLDER = ".folder"
"""Suffix of a temporary folder; a locked file of the same name with `_MARK` stands next to it."""
_ABANDONED_S = 24 * 3600
_swept: set[Path] = set()


@contextmanager
def temporary_file(folder: Path, suffix: str = "") -> Iterator[Path]:
    """An empty file in a folder, which is removed at the end if it is still there.

    The first of a process in a folder removes what killed processes left there.

    Raises:
        NotWritable: the folder is a link in a folder of results.
        OSError: the folder takes no file.
    """
    refuse_links(folder)
    key = real_path(folder)
    if key not in _swept:
        _swept.add(key)
        remove_abandoned(folder)
    handle, path = _create(folder, suffix)
    with ExitStack() as stack:
        if sys.platform == "win32":
            os.close(handle)  # an open file could not be renamed there
        else:
            stack.callback(os.close, handle)
        stack.callback(path.unlink, missing_ok=True)
        yield path


def _create(folder: Path, suffix: str) -> tuple[int, Path]:
    while True:
        handle, name = tempfile.mkstemp(
            prefix=PREFIX,
            suffix=suffix,
            dir=folder,
        )
        path = Path(name)
        if _lock(handle) is not Lock.TAKEN and is_open_file(handle, path):
            return handle, path
        os.close(handle)  # another process removed it before it was locked


def _lock(handle: int) -> Lock:
    """Lock a temporary file. On Windows that would keep libraries from writing it by its path."""
    if sys.platform == "win32":
        return Lock.UNKNOWN
    return try_lock(handle)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """An empty folder in a folder, which is removed at the end.

    Raises:
        OSError: the folder takes no file.
    """
    with temporary_file(parent, _MARK) as mark:
        folder = mark.with_suffix(_FOLDER)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(folder: Path) -> None:
    """Remove temporary files and folders whose writers are dead; never another file."""
    with suppress(OSError), os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _NAME.fullmatch(entry.name)]
        for name in names:
            path = folder / name
            if path.suffix != _FOLDER:
                _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with suppress(OSError):  # removed by another process, or of another user
        handle = os.open(path, flags)
        try:
            state = _lock(handle)
            age_s = time.time() - os.fstat(handle).st_mtime
            is_old = state is Lock.UNKNOWN and age_s > _ABANDONED_S
            if state is Lock.HELD or is_old:
                if path.suffix == _MARK:
                    shutil.rmtree(path.with_suffix(_FOLDER), ignore_errors=True)
                path.unlink()
        finally:
            os.close(handle)
