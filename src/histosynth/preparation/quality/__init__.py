"""Quality: gates that a tile must pass, each with its value and, where it fails, its reason."""

from .gate import Gate
from .gates import QUALITY_GATES
from .limits import (
    TILE_SET_GATES,
    check_tile,
    complete_limits,
    default_limits,
    pass_all_limits,
)
from .verdict import Verdict

__all__ = [
    "QUALITY_GATES",
    "TILE_SET_GATES",
    "Gate",
    "Verdict",
    "check_tile",
    "complete_limits",
    "default_limits",
    "pass_all_limits",
]
