"""What an engine is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

WorkItem = TypeVar("WorkItem")
WorkResult = TypeVar("WorkResult")
MAX_LOST_POOLS = 3
"""So many times in a row workers may die without finishing anything."""


class Engine(Protocol):
    """Runs a function over items."""

    @property
    def name(self) -> str:
        """For people: which engine, and how many workers."""

    def map(
        self,
        work: Callable[[WorkItem], WorkResult],
        items: Sequence[WorkItem],
    ) -> Iterator[tuple[int, WorkResult]]:
        """(index, result) of each item, in the order in which they finish.

        Raises:
            WorkerLost: workers died again and again.
            Exception: whatever `work` raises.
        """
