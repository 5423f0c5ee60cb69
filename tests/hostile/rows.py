"""The table: one row a format or experiment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

COLUMNS = (
    "what",
    "tried",
    "refused",
    "accepted",
    "tracebacks",
    "hangs",
    "half_written",
    "seconds",
    "worst_s",
    "peak_mb",
)
BAD = ("tracebacks", "hangs", "half_written")


@dataclass
class Row:
    """What came of one format's inputs.

    Attributes:
        what: name of the format or experiment.
        tried: inputs, kills or pairs of runs.
        refused: by a `HistosynthError`.
        accepted: read, or written whole.
        tracebacks: any other exception, and crashes of the process.
        hangs: inputs that took longer than the limit.
        half_written: a refusal that left files, or leftovers of temporary files.
        seconds: of the whole row.
        worst_s: of the slowest input.
        peak_mb: largest resident memory of the process, MB.
        failures: what failed, enough to make it again.
        facts: anything else to print, e.g. {"unequal": 0}.
    """

    what: str
    tried: int = 0
    refused: int = 0
    accepted: int = 0
    tracebacks: int = 0
    hangs: int = 0
    half_written: int = 0
    seconds: float = 0.0
    worst_s: float = 0.0
    peak_mb: float = 0.0
    failures: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def text_of(rows: Sequence[dict[str, Any]]) -> str:
    """The table as text, with a sum at its end; rows may lack columns."""
    lines = [[name.replace("_", " ") for name in COLUMNS]]
    lines += [[_cell(row.get(name, "")) for name in COLUMNS] for row in [*rows, sum_of(rows)]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    shown = []
    for line, row in zip(lines, [{}, *rows, {}], strict=True):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        facts = ", ".join(f"{name} {value}" for name, value in row.get("facts", {}).items())
        shown.append("  ".join([*cells, facts]).rstrip())
    return "\n".join(shown)


def sum_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The last row: sums of counts and seconds, maxima of the rest."""
    total: dict[str, Any] = {"what": "all"}
    for name in COLUMNS[1:]:
        values = [row.get(name, 0) or 0 for row in rows]
        worst = max(values, default=0)
        total[name] = worst if name in ("worst_s", "peak_mb") else sum(values)
    return total


def _cell(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def is_clean(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether nothing bad came of any input."""
    return not any(row.get(name) for row in rows for name in (*BAD, "unequal"))


def write_rows_json(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The rows with their failures."""
    path.write_text(json.dumps(list(rows), indent=1, default=str) + "\n", encoding="utf-8")
