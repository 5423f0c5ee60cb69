"""Where the bundle inside the package is, and what a recipe's `start` means."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
COMPACT = _PACKAGE / "bundles" / "compact"
"""The bundle inside the package."""
SHIPPED_BUNDLES = {"compact": COMPACT}
"""Bundles that a recipe may start from by name; a folder of that name is `./compact`."""


def starting_point(
    start: str,
    base_folder: Path,
    *,
    part: str = "",
) -> Path:
    """Folder that `start` names.

    Args:
        start: name of a shipped bundle, else a path.
        base_folder: the folder that a path starts from.
        part: subfolder of a shipped bundle.
    """
    if start in SHIPPED_BUNDLES:
        return SHIPPED_BUNDLES[start] / part
    return base_folder / start
