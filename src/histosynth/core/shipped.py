"""Where the bundle inside the package lies, and what a recipe's `start` means."""

from __future__ import annotations

from pathlib import Path

COMPACT = Path(__file__).parent.parent / "bundles" / "compact"
"""The bundle inside the package."""
SHIPPED = {"compact": COMPACT}
"""Bundles that a recipe may start from by name; a folder of that name is `./compact`."""


def starting_point(start: str, here: Path, *, part: str = "") -> Path:
    """Folder that `start` names: a shipped bundle (or its `part`), else a path relative to
    `here`.
    """
    if start in SHIPPED:
        return SHIPPED[start] / part
    return here / start
