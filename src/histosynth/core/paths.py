"""Real paths of what users name."""

from __future__ import annotations

import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """The full path without links; a link that leads to itself stays as it is.

    `Path.resolve` raises a `RuntimeError` for such a link before Python 3.13.
    """
    return Path(os.path.realpath(path))
