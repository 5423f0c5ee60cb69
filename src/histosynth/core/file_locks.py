"""Locks of open files, which are free again when their process ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
import time
from enum import Enum
from pathlib import Path

_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_LOCKED_BYTE = 1 << 30
"""Which byte Windows locks: far behind the text of a lock file, which stays readable."""
_POLL_S = 0.05


class Lock(Enum):
    """What came of an attempt to lock a file."""

    HELD = "held by this process"
    TAKEN = "held by another process"
    UNKNOWN = "this file system has no locks"


def try_lock(handle: int, *, shared: bool = False) -> Lock:
    """Lock an open file, without waiting. Closing the handle releases it.

    Args:
        handle: of a file that is open for reading and writing.
        shared: others may hold it too, if all of them share it. On Windows, which cannot share a
            lock, it is released at once.
    """
    try:
        if sys.platform == "win32":
            _lock_on_windows(handle, shared=shared)
        else:
            import fcntl

            mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except OSError as error:
        return Lock.TAKEN if error.errno in _TAKEN else Lock.UNKNOWN
    return Lock.HELD


def _lock_on_windows(handle: int, *, shared: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        if shared:
            os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)


def wait_for_lock(handle: int) -> None:
    """Lock an open file; waits while another process holds it."""
    while try_lock(handle) is Lock.TAKEN:
        time.sleep(_POLL_S)


def is_open_file(handle: int, path: Path) -> bool:
    """Whether a path still leads to the file that is open: another process may have removed it."""
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(found, os.fstat(handle))
