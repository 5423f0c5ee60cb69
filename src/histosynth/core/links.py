"""Links inside folders of results: they are never followed.

The folder that a user names may be a link, and so may what lies above it, as on clusters. A link
below it was put there by others, and would lead a run to files of others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from .errors import NotWritable
from .paths import real_path

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_REASON = "it is a link, and no link inside a folder of results is followed"
_held: list[Path] = []
"""Folders of results of the runs of this process, as they were named and without links."""


@contextmanager
def held(folders: Iterable[Path]) -> Iterator[None]:
    """Refuse links below folders of results as long as the block lasts.

    Raises:
        NotWritable: a folder is a link below another one that is held.
    """
    named = []
    for folder in folders:
        refuse_links(folder)
        named += [folder.absolute(), real_path(folder)]
    _held.extend(named)
    try:
        yield
    finally:
        for folder in named:
            _held.remove(folder)


def held_folders() -> tuple[Path, ...]:
    """The folders that are held now, for workers in other processes."""
    return tuple(_held)


def work_in_held(
    folders: Iterable[Path],
    work: Callable[[_Item], _Result],
    item: _Item,
) -> _Result:
    """Do a piece of work in another process, which refuses the same links."""
    with held(folders):
        return work(item)


def refuse_links(path: Path) -> None:
    """Refuse a path that passes through a link below a folder of results, or ends in one.

    Raises:
        NotWritable: naming the link.
    """
    full = path.absolute()
    folders = [folder for folder in _held if full.is_relative_to(folder)]
    if not folders:
        return
    folder = max(folders, key=lambda each: len(each.parts))
    below = full.relative_to(folder)
    for part in below.parts:
        folder = folder / part
        if is_link(folder):
            raise NotWritable(folder, _REASON, "Remove it, or choose another --out.")


def refuse_links_in(folder: Path) -> None:
    """The same for a folder and for all that lies in it; links to what lies in it too are left.

    Raises:
        NotWritable: naming the link.
    """
    refuse_links(folder)
    inside = real_path(folder)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if is_link(path) and not real_path(path).is_relative_to(inside):
                raise NotWritable(path, _REASON, "Remove it, or choose another --out.")


def is_link(path: Path) -> bool:
    """Whether a path is a link, or one of Windows' junctions."""
    is_junction = getattr(os.path, "isjunction", None)  # Python 3.12
    return os.path.islink(path) or bool(is_junction and is_junction(path))
