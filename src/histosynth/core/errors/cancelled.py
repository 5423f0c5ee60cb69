"""A user's own callback ended the work."""

from __future__ import annotations

from typing import Any

from .base import HistosynthError


class Cancelled(HistosynthError):
    """A callback cancelled sampling; `finished` holds the pictures that were complete by then."""

    def __init__(self, step: int, steps: int) -> None:
        self.step = step
        self.steps = steps
        self.finished: tuple[Any, ...] = ()
        super().__init__(
            f"Sampling was cancelled at step {step} of {steps}.",
            "Pictures that were complete are in `finished` of this error; call it again with the "
            "same seed for the others.",
        )
