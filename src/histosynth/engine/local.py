"""In this process, one item after the other: the engine to debug with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .engine import Item, Result


class LocalEngine:
    """See `Engine`."""

    name = "local"

    def map(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
    ) -> Iterator[tuple[int, Result]]:
        """See `Engine.map`."""
        for index, item in enumerate(items):
            yield index, work(item)
