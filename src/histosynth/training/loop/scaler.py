"""Loss scaling for fp16: small gradients are lifted above what fp16 rounds to zero.

Micikevicius et al. 2018, section 3.2, with the dynamic scale of torch's GradScaler; written here so
that its state is a few numbers in a checkpoint, and so that all processes decide alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ...core.errors import Diverged

GROWTH_INTERVAL = 2000
"""Steps in a row without an overflow after which the scale doubles."""
MAX_SCALE = 2.0**24
_MAX_CONSECUTIVE_OVERFLOWS = 20
"""From here on the scale cannot be the reason."""


@dataclass
class LossScaler:
    """A power of two that the loss is multiplied by and the gradients are divided by, exactly."""

    scale: float = 2.0**16
    clean_steps: int = 0
    """Steps since the last overflow or growth."""
    skipped: int = 0
    """Overflows of the whole run."""
    consecutive_overflows: int = 0
    """Overflows since the last update."""

    def record_update(self) -> None:
        """A step had finite gradients."""
        self.clean_steps += 1
        self.consecutive_overflows = 0
        if self.clean_steps >= GROWTH_INTERVAL:
            self.scale = min(self.scale * 2, MAX_SCALE)
            self.clean_steps = 0

    def record_overflow(self, step: int, norm: float) -> None:
        """A step had none: its update is left out, and the next one is scaled by half as much.

        Raises:
            Diverged: that happened too often in a row for the scale to be the reason.
        """
        self.scale = self.scale / 2
        self.clean_steps = 0
        self.skipped += 1
        self.consecutive_overflows += 1
        if self.consecutive_overflows >= _MAX_CONSECUTIVE_OVERFLOWS:
            name = f"gradient norm, {self.consecutive_overflows} times in a row,"
            raise Diverged(step, name, norm)

    def facts(self) -> dict[str, str]:
        """Its state as text, for a checkpoint."""
        return {
            "scale": repr(self.scale),
            "clean": str(self.clean_steps),
            "skipped": str(self.skipped),
            "row": str(self.consecutive_overflows),
        }

    def restore(self, facts: Mapping[str, str]) -> None:
        """Go on from `facts`.

        Raises:
            KeyError, ValueError: one is absent or is no such number.
        """
        scale = float(facts["scale"])
        if not 0 < scale <= MAX_SCALE or not math.isfinite(scale):
            raise ValueError(f"its loss scale is {scale}")
        self.scale = scale
        self.clean_steps = int(facts["clean"])
        self.skipped = int(facts["skipped"])
        self.consecutive_overflows = int(facts["row"])
