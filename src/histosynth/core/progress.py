"""How long-running work reports its progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping

ProgressCallback = Callable[[int, int], None]
"""Called with (done, total)."""
StepCallback = Callable[[int, Mapping[str, float]], None]
"""Called after each training step with its number and values such as the loss."""


def ignore_progress(done: int, total: int) -> None:
    """The callback of those who do not want to know."""
