"""The engine of verbs that are called from Python."""

from __future__ import annotations

from ..engine import EngineOptions


def process_engine(workers: int | None) -> EngineOptions:
    """An engine of so many processes; 1: this process; None: one a core."""
    if workers == 1:
        return EngineOptions("local")
    return EngineOptions("pool", workers)
