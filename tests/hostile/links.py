"""Links and pipes that others planted in a folder of results: files elsewhere stay as they are."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import verbs
from .verbs import VERBS, Verb

LIMIT_S = 60
"""A run that waits for a pipe is killed after so long."""
MINE = "a file of others"
TRANSIENT = (".histosynth-lock", ".histosynth-index-lock", ".histosynth.jsonl", "trackers")
FORMS = ("exchanged", "planted", "absent", "pipe")
"""What is put at a path: a link to what was there, to a file or folder of others, to nothing, or a
pipe."""


def run(trials: int, chosen: Sequence[Verb] = VERBS) -> list[dict[str, Any]]:
    """Run each verb, plant at every path that it wrote, and run it again.

    Args:
        trials: the most of all verbs together, spread over paths and forms.
        chosen: the verbs.

    Returns:
        A row a verb: tried, refused, accepted (what was planted was not used), tracebacks, hangs,
        unequal (a file elsewhere was changed).
    """
    share = max(trials // len(chosen), 1)
    with verbs.inputs_in_a_folder() as (folder, inputs):
        return [_row(verb, inputs, folder, share) for verb in chosen]


def _row(
    verb: Verb,
    inputs: Path,
    folder: Path,
    trials: int,
) -> dict[str, Any]:
    begin = time.monotonic()
    place = folder / verb.name.replace(" ", "-")
    whole = place / "whole"
    whole.mkdir(parents=True)
    shown = place / "shown.txt"
    code = verbs.end_of(verbs.start(verb, inputs, whole / "out", shown))
    if code:
        raise RuntimeError(f"{verb.name} fails by itself: {shown.read_text()}")
    pairs = _spread(list(_plants(whole)), trials)
    row = verbs.new_row(f"links: {verb.name}", len(pairs))
    for number, (name, form) in enumerate(pairs):
        trial = place / f"trial-{number}"
        elsewhere = trial / "elsewhere"
        _plant(whole, trial, name, form)
        before = _all_of(elsewhere)
        code = verbs.end_of(verbs.start(verb, inputs, trial / "out", shown), LIMIT_S)
        problem = _problem(code, shown.read_text())
        if _all_of(elsewhere) != before:
            problem = "unequal"
        row[problem or ("refused" if code else "accepted")] += 1
        if problem:
            row["failures"].append({"at": name, "form": form, "shown": shown.read_text()})
        shutil.rmtree(trial)
    row["facts"] = {"unequal": row["unequal"]}
    row["seconds"] = round(time.monotonic() - begin, 1)
    return row


def _plants(whole: Path) -> Iterator[tuple[str, str]]:
    """Paths from the folder around an output, and what is put there."""
    names = [path.relative_to(whole).as_posix() for path in sorted(whole.rglob("*"))]
    folders = {name for name in names if (whole / name).is_dir()}
    if "out" in folders:
        names += [f"out/{name}" for name in TRANSIENT if f"out/{name}" not in names]
        names.remove("out")  # what the user names may be a link
    for form in FORMS:
        for name in names:
            if form != "exchanged" or os.path.lexists(whole / name):
                yield name, form


def _spread(pairs: list[tuple[str, str]], trials: int) -> list[tuple[str, str]]:
    """Some of the pairs, evenly; all where there are no more."""
    step = max(len(pairs) / trials, 1.0)
    return [pairs[int(index * step)] for index in range(min(trials, len(pairs)))]


def _plant(whole: Path, trial: Path, name: str, form: str) -> None:
    """A folder around an output: as it was, or with nothing but what is planted."""
    is_folder = (whole / name).is_dir() or name.endswith("trackers")
    target = trial / "elsewhere" / "theirs"
    target.parent.mkdir(parents=True)
    (target.parent / "precious.txt").write_text(MINE)
    path = trial / name
    if form in ("exchanged", "pipe"):
        shutil.copytree(whole, trial, dirs_exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "exchanged":
        path.rename(target)
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if form == "planted" and is_folder:
        target.mkdir()
        (target / "precious.txt").write_text(MINE)
    elif form == "planted":
        target.write_text(MINE)
    if form == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(target)


def _all_of(folder: Path) -> dict[str, str]:
    """What is in a folder, with the sha256 of files."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def _problem(code: int, text: str) -> str:
    if code < 0:
        return "hangs"
    if "Traceback" in text or code not in (0, 1):
        return "tracebacks"
    return ""
