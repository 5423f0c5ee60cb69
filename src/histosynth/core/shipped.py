"""Where the bundle inside the package lies, and what a recipe's `start` means."""

from __future__ import annotations

from pathlib import Path

COMPACT = Path(__file__).parent.parent / "bundles" / "compact"
"""The bundle inside the package."""
SHIPPED_BUNDLES = {"compact": COMPACT}
"""Bundles that a recipe may start from by name; a folder of that name is `./compact`."""


def starting_point(start: str, base_folder: Path, *, part: str = "") -> Path:
    """Folder that `start` names: a shipped bundle (or its `part`), else a path relative to
    `base_folder`.
    """
    if start in SHIPPED_BUNDLES:
        return SHIPPED_BUNDLES[start] / part
    return base_folder / start
