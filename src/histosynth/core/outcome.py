"""What a verb on files did: written, and refused with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import HistosynthError


@dataclass
class Outcome:
    """What a verb did: files written, and inputs refused with their reason."""

    written: list[Path] = field(default_factory=list)
    refused: dict[str, HistosynthError] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        refusals = {name: str(error) for name, error in self.refused.items()}
        return {"written": [str(path) for path in self.written], "refused": refusals}
