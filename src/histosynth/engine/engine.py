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
        *,
        after: Sequence[Sequence[int]] | None = None,
    ) -> Iterator[tuple[int, WorkResult]]:
        """(index, result) of each item, in the order in which they finish.

        Args:
            work: what is done with each.
            items: to work on.
            after: for each item the indices of those that must be finished before it begins, all
                smaller than its own; None: none.

        Raises:
            WorkerLost: workers died again and again.
            Exception: whatever `work` raises.
        """
