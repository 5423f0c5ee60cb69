"""Files that belong together: a folder's files by stem, and one file for many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .errors import BadPairing, NoFiles


def list_files(
    path: Path,
    suffixes: Sequence[str],
) -> list[Path]:
    """The file itself, or a folder's files with one of these suffixes, sorted by name.

    Hidden files of a folder (`.a.png`, `._a.png`) are left out.

    Raises:
        NoFiles: there is none, or the folder cannot be read.
        BadPairing: two files share a stem, so their results would overwrite each other.
    """
    if os.path.isfile(path):  # unlike Path.is_file, false where a path is too long
        return [path]
    found = _files_in(path, suffixes)
    if not found:
        raise NoFiles(path, tuple(suffixes))
    _refuse_shared_stems(path, found)
    return found


def _files_in(
    folder: Path,
    suffixes: Sequence[str],
) -> list[Path]:
    if not os.path.isdir(folder):
        return []
    try:
        return sorted(path for path in folder.iterdir() if _is_wanted(path, suffixes))
    except OSError as error:
        reason = error.strerror or str(error)
        raise NoFiles(folder, tuple(suffixes), reason) from error


def _is_wanted(path: Path, suffixes: Sequence[str]) -> bool:
    if path.name.startswith("."):
        return False
    return path.suffix.lower() in suffixes and os.path.isfile(path)


def _refuse_shared_stems(
    folder: Path,
    files: Sequence[Path],
) -> None:
    names_by_stem: dict[str, list[str]] = {}
    for path in files:
        names = names_by_stem.setdefault(path.stem, [])
        names.append(path.name)
    shared: list[str] = []
    for names in names_by_stem.values():
        if len(names) > 1:
            shared += names
    if shared:
        raise BadPairing(str(folder), [], [], twice=shared)


def pair_by_stem(
    files: Sequence[Path],
    other: Path,
    suffixes: Sequence[str],
    what: str,
) -> list[Path]:
    """The partner of each file: the one file for all, or the folder's file of the same stem.

    Args:
        files: those that need a partner.
        other: a file (partner of all) or a folder (partners by stem).
        suffixes: endings of partners in a folder.
        what: what a partner is, for the message.

    Raises:
        BadPairing: a file has no partner, or a partner has no file.
        NoFiles: `other` is neither.
    """
    partners = list_files(other, suffixes)
    if os.path.isfile(other):
        return partners * len(files)
    partner_by_stem = {path.stem: path for path in partners}
    stems = [path.stem for path in files]
    missing = [stem for stem in stems if stem not in partner_by_stem]
    spare = sorted(partner_by_stem.keys() - set(stems))
    if missing or spare:
        raise BadPairing(what, missing, spare)
    return [partner_by_stem[stem] for stem in stems]
