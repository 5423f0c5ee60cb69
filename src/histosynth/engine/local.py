"""In this process, one item after the other: the engine to debug with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .engine import WorkItem, WorkResult


class LocalEngine:
    """See `Engine`."""

    name = "local"

    def map(
        self,
        work: Callable[[WorkItem], WorkResult],
        items: Sequence[WorkItem],
        *,
        after: Sequence[Sequence[int]] | None = None,
    ) -> Iterator[tuple[int, WorkResult]]:
        """See `Engine.map`."""
        for index, item in enumerate(items):
            yield index, work(item)
