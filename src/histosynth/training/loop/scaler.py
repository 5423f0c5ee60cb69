"""Loss scaling for fp16: small gradients are lifted above what fp16 rounds to zero.

Micikevicius et al. 2018, section 3.2, with the dynamic scale of torch's GradScaler; written here so
that its state is three numbers in a checkpoint, and so that all processes decide alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ...core.errors import Diverged

GROW_AFTER = 2000
"""Steps in a row without an overflow after which the scale doubles."""
LARGEST = 2.0**24
MOST_IN_ROW = 20
"""Overflows in a row that are no longer a matter of the scale."""


@dataclass
class LossScaler:
    """A power of two that the loss is multiplied by and the gradients are divided by, exactly."""

    scale: float = 2.0**16
    clean: int = 0
    """Steps since the last overflow or growth."""
    skipped: int = 0
    """Overflows of the whole run."""
    row: int = 0
    """Overflows since the last update."""

    def went_well(self) -> None:
        """A step had finite gradients."""
        self.clean = self.clean + 1
        self.row = 0
        if self.clean >= GROW_AFTER:
            self.scale = min(self.scale * 2, LARGEST)
            self.clean = 0

    def overflowed(self, step: int, norm: float) -> None:
        """A step had none: its update is left out, and the next one is scaled by half as much.

        Raises:
            Diverged: that happened too often in a row for the scale to be the reason.
        """
        self.scale = self.scale / 2
        self.clean = 0
        self.skipped = self.skipped + 1
        self.row = self.row + 1
        if self.row >= MOST_IN_ROW:
            raise Diverged(step, f"gradient norm, {self.row} times in a row,", norm)

    def facts(self) -> dict[str, str]:
        """Its state in words, for a checkpoint."""
        return {
            "scale": repr(self.scale),
            "clean": str(self.clean),
            "skipped": str(self.skipped),
            "row": str(self.row),
        }

    def restore(self, facts: Mapping[str, str]) -> None:
        """Go on from `facts`.

        Raises:
            KeyError, ValueError: one is absent or is no such number.
        """
        scale = float(facts["scale"])
        if not 0 < scale <= LARGEST or not math.isfinite(scale):
            raise ValueError(f"its loss scale is {scale}")
        self.scale = scale
        self.clean, self.skipped, self.row = (
            int(facts[key]) for key in ("clean", "skipped", "row")
        )
