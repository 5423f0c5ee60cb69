"""The result of a command on files: the files written, and the inputs refused with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import HistosynthError


@dataclass
class Outcome:
    """Files that a command wrote, inputs that it refused, by name, and notes for the user.

    Attributes:
        written: by this command, or by an earlier one with the same recipe.
        refused: inputs, with the reason.
        notes: sentences for the user.
        finished: those of them that were there before, and stay as they are.
    """

    written: list[Path] = field(default_factory=list)
    refused: dict[str, HistosynthError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    finished: list[Path] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        written = [str(path) for path in self.written]
        refused = {name: str(error) for name, error in self.refused.items()}
        notes = {"notes": self.notes} if self.notes else {}
        finished = {"finished": [str(path) for path in self.finished]} if self.finished else {}
        return (
            notes
            | finished
            | {
                "written": written,
                "refused": refused,
            }
        )
