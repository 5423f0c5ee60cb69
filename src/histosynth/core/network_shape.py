"""Limits of a small network: a recipe is held to those of the reader that opens what it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkLimits:
    """The most that a network of several scales may hold.

    Attributes:
        scales: at least 1, at most so many.
        width: most channels of a scale.
        blocks: most blocks of a scale.
        least_blocks: least blocks of a scale.
        blocks_name: what the list of blocks is called.
    """

    scales: int
    width: int
    blocks: int
    least_blocks: int = 0
    blocks_name: str = "blocks"

    def check(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        """Refuse a network that cannot be built, or not in memory.

        Raises:
            ValueError: naming the limits and what was found.
        """
        name = self.blocks_name
        if len(widths) != len(blocks) or not 1 <= len(widths) <= self.scales:
            raise ValueError(
                f"widths and {name} must be as many, from 1 to {self.scales}, not {len(widths)} "
                f"and {len(blocks)}"
            )
        if not all(1 <= width <= self.width for width in widths):
            raise ValueError(f"widths must lie in 1..{self.width}, not {list(widths)}")
        if not all(self.least_blocks <= count <= self.blocks for count in blocks):
            limits = f"{self.least_blocks}..{self.blocks}"
            raise ValueError(f"{name} must lie in {limits}, not {list(blocks)}")
