"""Quality: gates that a tile must pass, each with its value and, where it fails, its reason."""

from .gates import GateLimits, check_tile
from .verdict import Verdict

__all__ = ["GateLimits", "Verdict", "check_tile"]
