"""What files hold, by digests of all their bytes: finished work is kept while its inputs stay so.

Size, name and both ends of a file do not show a change in its middle, and its time of change can
be set. So every byte counts; a digest is remembered, and gigabytes are read once.
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

from .store import digest, sha256_of

FileFacts = tuple[int, int, int, int]
"""Bytes, times of change of content and of attributes (ns), and number on its file system.

The time of attributes is new after every change, and no program can set it. A file that was
copied or touched has other facts and is read again, with the same digest.
"""
_SETTLED_NS = 2_000_000_000
"""Two changes within this time may have one time stamp (FAT has steps of two seconds)."""


def file_facts(path: Path) -> FileFacts:
    """What differs after a change, without reading the file."""
    found = path.stat()
    return (
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino,
    )


def content_digest(path: Path | None) -> str:
    """Digest of a file, or of all files of a folder; "" for none. A file is read once a process.

    Raises:
        OSError: it cannot be read.
    """
    if path is None:
        return ""
    if path.is_dir():
        found = []
        for each in sorted(path.rglob("*")):
            if each.is_file():
                name = str(each.relative_to(path))
                found.append([name, content_digest(each)])
        return digest(found)
    facts = file_facts(path)
    return _digest_of_file(path, facts)


@lru_cache(maxsize=100_000)
def _digest_of_file(path: Path, facts: FileFacts) -> str:
    """Remembered by facts, which a changed file does not share."""
    return sha256_of(path)


def lasting_digest(path: Path) -> tuple[str, FileFacts | None]:
    """Digest of a file, and the facts with which it may be kept for later runs.

    Returns:
        No facts where the file may still be changing: another change could leave the same ones.

    Raises:
        OSError: it cannot be read.
    """
    now_ns = time.time_ns()
    before = file_facts(path)
    sha256 = sha256_of(path)
    _, changed_ns, attributes_ns, _ = before
    newest_ns = max(changed_ns, attributes_ns)
    is_settled = newest_ns + _SETTLED_NS < now_ns
    is_same = file_facts(path) == before
    return sha256, before if is_settled and is_same else None
