"""Files that belong together: a folder's files by stem, and one file for many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .errors import BadPairing, NoFiles


def list_files(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """The file itself, or a folder's files with one of these suffixes, sorted by name.

    Raises:
        NoFiles: there is none.
        BadPairing: two files share a stem, so their results would overwrite each other.
    """
    if path.is_file():
        return [path]
    found = []
    if path.is_dir():
        found = sorted(each for each in path.iterdir() if each.suffix.lower() in suffixes and each.is_file())
    if not found:
        raise NoFiles(path, tuple(suffixes))
    stems = [each.stem for each in found]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1}) if len(set(stems)) < len(stems) else []
    if twice:
        raise BadPairing("single", twice, [])
    return found


def pair(firsts: Sequence[Path], other: Path, suffixes: Sequence[str], what: str) -> list[Path]:
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
    if other.is_file():
        return partners * len(firsts)
    by_stem = {each.stem: each for each in partners}
    wanted = [each.stem for each in firsts]
    missing = [stem for stem in wanted if stem not in by_stem]
    spare = sorted(by_stem.keys() - set(wanted))
    if missing or spare:
        raise BadPairing(what, missing, spare)
    return [by_stem[stem] for stem in wanted]
