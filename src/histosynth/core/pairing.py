"""Files that belong together: a folder's files by stem, and one file for many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .errors import BadPairing, NoFiles


def list_files(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """The file itself, or a folder's files with one of these suffixes, sorted by name.

    Hidden files of a folder (`.a.png`, `._a.png`) are passed over.

    Raises:
        NoFiles: there is none, or the folder cannot be read.
        BadPairing: two files share a stem, so their results would overwrite each other.
    """
    if os.path.isfile(path):  # unlike Path's own, false where a path is too long
        return [path]
    found = []
    if os.path.isdir(path):
        try:
            found = sorted(each for each in path.iterdir() if _is_one(each, suffixes))
        except OSError as error:
            raise NoFiles(path, tuple(suffixes), error.strerror or str(error)) from error
    if not found:
        raise NoFiles(path, tuple(suffixes))
    names: dict[str, list[str]] = {}
    for each in found:
        names.setdefault(each.stem, []).append(each.name)
    if twice := [name for group in names.values() if len(group) > 1 for name in group]:
        raise BadPairing(str(path), [], [], twice=twice)
    return found


def _is_one(path: Path, suffixes: Sequence[str]) -> bool:
    return (
        not path.name.startswith(".") and path.suffix.lower() in suffixes and os.path.isfile(path)
    )


def pair_by_stem(
    firsts: Sequence[Path],
    other: Path,
    suffixes: Sequence[str],
    what: str,
) -> list[Path]:
    """The partner of each file: the one file for all, or the folder's file of the same stem.

    Args:
        firsts: files that need a partner.
        other: a file (partner of all) or a folder (partners by stem).
        suffixes: endings of partners in a folder.
        what: what a partner is, for the refusal.

    Raises:
        BadPairing: a file has no partner, or a partner has no file.
        NoFiles: `other` is neither.
    """
    partners = list_files(other, suffixes)
    if os.path.isfile(other):
        return partners * len(firsts)
    by_stem = {each.stem: each for each in partners}
    wanted = [each.stem for each in firsts]
    missing = [stem for stem in wanted if stem not in by_stem]
    spare = sorted(by_stem.keys() - set(wanted))
    if missing or spare:
        raise BadPairing(what, missing, spare)
    return [by_stem[stem] for stem in wanted]
