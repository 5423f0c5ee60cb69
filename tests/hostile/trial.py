"""What a format is: small seeds, changes of them, and the public door that reads them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histosynth.core.errors import HistosynthError

from .mutating import BYTE_CHANGES, Change

Door = Callable[[Path, Path], None]
"""(path of the changed file, empty folder for results): reads it as users do. What it refuses is a
`HistosynthError`; anything else that it raises is a traceback."""


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: for the table.
        write_seeds: writes small good files into an empty folder; called once.
        door: reads one of them, changed; the other files of the folder are there, unchanged.
        changes: what is done to the bytes of one file.
        is_seed: which of the files are changed; the others only lie beside them.
        needs_gb: address space that the worker may take beyond what it has at its start.
    """

    name: str
    write_seeds: Callable[[Path], None]
    door: Door
    changes: Sequence[Change] = BYTE_CHANGES
    is_seed: Callable[[Path], bool] = Path.is_file
    needs_gb: float = 2.0

    def seeds(self, folder: Path) -> list[Path]:
        """The files that are changed, sorted."""
        return sorted(path for path in folder.rglob("*") if self.is_seed(path))


class Trial:
    """Changes one file of a format at a time, and has it read.

    Args:
        form: the format.
        folder: working place; emptied.
        seed: of all changes.
    """

    def __init__(self, form: Format, folder: Path, seed: int) -> None:
        self.form = form
        self.folder = folder
        self.seed = seed
        self.place = folder / "in"
        self.out = folder / "out"
        shutil.rmtree(folder, ignore_errors=True)
        self.place.mkdir(parents=True)
        form.write_seeds(self.place)
        self.originals = [(path, path.read_bytes()) for path in form.seeds(self.place)]
        if not self.originals:
            raise AssertionError(f"{form.name} has no seeds")

    def changed(self, index: int) -> tuple[Path, bytes]:
        """The file that is changed in trial `index`, and its new bytes."""
        random = np.random.default_rng([self.seed, index])
        path, content = self.originals[index % len(self.originals)]
        change = self.form.changes[int(random.integers(len(self.form.changes)))]
        return path, change(content, random)

    def check_seeds(self) -> None:
        """All seeds must be accepted as they are; raises what they are refused for."""
        for path, _ in self.originals:
            self._empty_out()
            self.form.door(path, self.out)

    def run(self, index: int) -> str:
        """Trial `index`: `refused: <class>`, `accepted` or `half-written: <names>`.

        Raises:
            BaseException: whatever else the door raises.
        """
        path, content = self.changed(index)
        original = path.read_bytes()
        self._empty_out()
        path.write_bytes(content)
        try:
            self.form.door(path, self.out)
            outcome = "accepted"
        except HistosynthError as error:
            outcome = f"refused: {type(error).__name__}"
            _check_sentence(error)
        finally:
            path.write_bytes(original)
        left = leftovers(self.out, refused=outcome != "accepted")
        return f"half-written: {', '.join(left)}" if left else outcome

    def _empty_out(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()


def leftovers(out: Path, *, refused: bool) -> list[str]:
    """Files that should not be there: temporary ones always, any after a refusal."""
    found = []
    for path in sorted(out.rglob("*")):
        is_temporary = path.name.startswith(".") and "-" in path.name
        if path.is_file() and path.name != ".lock" and (refused or is_temporary):
            found.append(str(path.relative_to(out)))
    return found


def _check_sentence(error: HistosynthError) -> None:
    """A refusal is short enough to be read, and can be shown."""
    text = str(error)
    if len(text) > MAX_SENTENCE:
        raise AssertionError(f"a refusal of {len(text):,} characters: {text[:200]}")
    text.encode("utf-8", "surrogateescape")


MAX_SENTENCE = 10_000
"""Characters of a refusal; a recipe lists all its problems."""
