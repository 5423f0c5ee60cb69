"""`log.jsonl`: one line of numbers for a step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import BadRun, NotWritable
from ...core.numbers_read import is_finite
from ...core.plain_files import open_plain
from ...core.store import ensure_folder, open_to_append, write_text


class RunLog:
    """`log.jsonl`; lines after the resumed step are dropped.

    Attributes:
        path: of the file.
        earlier_rows: rows of earlier sessions of the run.
    """

    def __init__(self, path: Path, step: int) -> None:
        ensure_folder(path.parent)
        self.path = path
        kept = [line for line in _read_lines(path) if _step_of(line) <= step]
        write_text(
            path,
            "".join(f"{line}\n" for line in kept),
        )
        self.earlier_rows: list[dict[str, Any]] = [json.loads(line) for line in kept]

    def append(
        self,
        step: int,
        numbers: Mapping[str, float | str],
    ) -> dict[str, float | str]:
        """Write the numbers of a step; returns them as they were written, to six decimals."""
        row: dict[str, float | str] = {}
        for key, value in numbers.items():
            row[key] = value if isinstance(value, str) else round(value, 6)
        line = json.dumps(
            {"step": step, **row},
            allow_nan=False,
        )
        try:
            with open_to_append(self.path) as file:
                file.write(f"{line}\n".encode())
        except OSError as error:
            raise NotWritable(self.path, error.strerror or str(error)) from error
        return row


def _read_lines(path: Path) -> list[str]:
    """Lines of a log; none where there is no file. Bytes that are not UTF-8 are replaced."""
    if not path.exists():
        return []
    try:
        with open_plain(path) as file:
            return file.read().decode(errors="replace").splitlines()
    except OSError as error:
        raise BadRun(path, f"it cannot be read: {error.strerror or error}") from error


def _step_of(line: str) -> float:
    """The step of a line of the log; infinite for one that was cut off or damaged."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return math.inf
    return float(step) if is_finite(step) else math.inf
