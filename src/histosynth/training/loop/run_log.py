"""`log.jsonl`: one line of numbers a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import BadRun
from ...core.store import ensure_folder, write_text


class RunLog:
    """`log.jsonl`; lines after the resumed step are dropped.

    Attributes:
        path: of the file.
        kept: rows of earlier sittings.
    """

    def __init__(self, path: Path, step: int) -> None:
        ensure_folder(path.parent)
        self.path = path
        try:  # a line that is not UTF-8 is one that was spoilt
            lines = (
                path.read_text(encoding="utf-8", errors="replace").splitlines()
                if path.exists()
                else []
            )
        except OSError as error:
            raise BadRun(path, f"it cannot be read: {error.strerror or error}") from error
        kept = [line for line in lines if _step_of(line) <= step]
        write_text(path, "".join(f"{line}\n" for line in kept))
        self.kept: list[dict[str, Any]] = [json.loads(line) for line in kept]

    def add(self, step: int, numbers: Mapping[str, float | str]) -> dict[str, Any]:
        """Append the numbers of a step; returns them as they were written, to six decimals."""
        row = {
            key: value if isinstance(value, str) else round(value, 6)
            for key, value in numbers.items()
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **row}, allow_nan=False) + "\n")
        return row


def _step_of(line: str) -> float:
    """The step a line of the log tells of; infinite for one that was cut off or spoilt."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return float("inf")
