"""Parquet files of a tile set: only those that its own runs wrote are made again or removed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path

from ..core.errors import BadTileSet
from ..core.folder_lock import index_lock
from ..core.own_files import OwnFiles, record_content
from ..core.plain_files import read_plain_text
from ..core.store import digest, sha256_of
from ..core.tileset import parquet_files, read_metadata
from .results import SUMMARY, SURVEYS

TILES_RECORD = f"{SURVEYS}/.tiles.jsonl"
"""Of its own, as a set can have a million files, and it is read only where one is in the way."""
_NAME = re.compile(r".+-\d{4,}\.parquet")


def digest_of_set(paths: Iterable[Path]) -> str:
    """The sha256 of a set: of its files' names and bytes."""
    found = {}
    for path in paths:
        found[path.name] = sha256_of(path)
    return digest(found)


def record_tiles(path: Path, temporary: Path) -> None:
    """Record a file of a set before it appears; other nodes record theirs at the same time."""
    out = path.parent
    record = out / TILES_RECORD
    with index_lock(out):
        record_content(record, path.name, temporary)


def refuse_foreign_tiles(
    out: Path,
    replaced: Iterable[Path],
    removed: Iterable[Path],
) -> None:
    """Refuse to replace or remove Parquet files that no run wrote, or that were changed since.

    Args:
        out: folder of the set.
        replaced: files that are to be made again.
        removed: files that the set has no longer.

    Raises:
        NotWritable: naming the first.
    """
    to_replace = [path.name for path in replaced if path.exists()]
    to_remove = [path.name for path in removed]
    if not to_replace and not to_remove:
        return
    files = _TileFiles(out, to_replace)
    files.own.refuse_foreign(to_remove)
    files.own.refuse_foreign(to_replace)


class _TileFiles:
    """A folder's record, and what is known of files of earlier releases, which kept none."""

    def __init__(
        self,
        out: Path,
        to_replace: Collection[str],
    ) -> None:
        self._out = out
        self._summary = out / SUMMARY
        self._to_replace = set(to_replace)
        self.own = OwnFiles(
            out,
            earlier=self._is_earlier,
            record=TILES_RECORD,
        )

    def _is_earlier(self, path: Path) -> bool:
        if self._is_finished_set:
            return True
        if path.name not in self._to_replace:
            return False
        # a run that was stopped left tiles and no summary, or one of other tiles
        was_stopped = self.own.has_record or not self._summary.exists()
        return was_stopped and _is_of_set(path)

    @cached_property
    def _is_finished_set(self) -> bool:
        """Whether all Parquet files are, byte for byte, those that the summary states."""
        try:
            text = read_plain_text(self._summary)
            stated = json.loads(text)["sha256"]
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            RecursionError,
        ):
            return False
        files = parquet_files(self._out)
        return bool(stated == digest_of_set(files))


def _is_of_set(path: Path) -> bool:
    try:
        metadata = read_metadata(path)
    except BadTileSet:
        return False
    is_named = _NAME.fullmatch(path.name) is not None
    return is_named and "job" in metadata
