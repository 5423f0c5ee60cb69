"""Digests of the files that a run reads: work on a slide is kept while all of them stay so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..core.contents import FileFacts, file_facts, lasting_digest
from ..core.plain_files import read_plain_text
from ..core.store import digest, write_json
from ..engine import Engine
from ..slides.series import files_of_slide

CONTENTS = ".contents.json"
"""File of the digests, among the surveys of slides."""
_SEAL = "sha256"
"""Key of the file's digest of all that it holds: one that was changed is not used."""


class InputContents:
    """Digests of files by path. Those of earlier runs are kept, so that gigabytes are read once.

    Args:
        kept: file of the digests.
        engine: where files are read.
    """

    def __init__(
        self,
        kept: Path,
        engine: Engine,
    ) -> None:
        self._kept = kept
        self._engine = engine
        self._entries = _read_entries(kept)
        self._digests: dict[Path, str] = {}
        self._files: dict[Path, Sequence[Path]] = {}

    def read(
        self,
        slides: Iterable[Path],
        others: Iterable[Path],
    ) -> None:
        """Read whatever is not known; slides with all files that belong to them."""
        paths = dict.fromkeys(others)
        for slide in slides:
            files = _files_of(slide)
            self._files[slide] = files
            paths.update(dict.fromkeys(files))
        todo = [path for path in paths if not self._is_known(path)]
        for position, found in self._engine.map(find_content, todo):
            self._add(todo[position], found)
        if not todo:
            return
        entries = dict(sorted(self._entries.items()))
        values = {
            "files": entries,
            _SEAL: digest(entries),
        }
        write_json(self._kept, values)

    def of(self, path: Path | None) -> str:
        """Digest of a file that was read; "" for none."""
        if path is None:
            return ""
        return self._digests[path]

    def of_slide(self, slide: Path) -> str:
        """Digest of all files of a slide."""
        files = self._files[slide]
        if len(files) == 1:
            return self._digests[slide]
        found = []
        for path in files:
            found.append([path.name, self._digests[path]])
        return digest(found)

    def _add(
        self,
        path: Path,
        found: tuple[str, FileFacts | None],
    ) -> None:
        sha256, facts = found
        key = _key(path)
        self._digests[path] = sha256
        self._entries.pop(key, None)
        if facts is not None:
            self._entries[key] = [list(facts), sha256]

    def _is_known(self, path: Path) -> bool:
        entry = self._entries.get(_key(path))
        if not isinstance(entry, list) or len(entry) != 2:
            return False
        facts, sha256 = entry
        try:
            if facts != list(file_facts(path)):
                return False
        except OSError:
            return False
        self._digests[path] = sha256
        return True


def find_content(path: Path) -> tuple[str, FileFacts | None]:
    """Digest and facts of a file; "" where it cannot be read, which is refused where it is used."""
    try:
        return lasting_digest(path)
    except OSError:
        return "", None


def _files_of(slide: Path) -> Sequence[Path]:
    try:
        return files_of_slide(slide)
    except OSError:
        return [slide]


def _key(path: Path) -> str:
    absolute = path.absolute()
    return str(absolute)


def _read_entries(kept: Path) -> dict[str, Any]:
    """Digests of earlier runs; none where the file is absent or was changed."""
    try:
        text = read_plain_text(kept)
        values = json.loads(text)
        entries = values["files"]
        is_whole = values[_SEAL] == digest(entries)
        return dict(entries) if is_whole else {}
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        return {}
