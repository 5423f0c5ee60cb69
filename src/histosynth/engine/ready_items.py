"""Which items of a call may begin: some need what others write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush


class ReadyItems:
    """Items that are not begun, of which the first one is handed out that waits for no other.

    Args:
        todo: indices of the items to do; all others are finished.
        after: for each item of the call the indices of those that it waits for; None: none waits.

    Raises:
        ValueError: an item waits for itself or for a later one.
    """

    def __init__(
        self,
        todo: Iterable[int],
        after: Sequence[Sequence[int]] | None,
    ) -> None:
        indices = set(todo)
        self._missing: dict[int, int] = {}
        self._waiting: dict[int, list[int]] = defaultdict(list)
        for index in indices:
            needed = set(after[index] if after else ())
            if needed and max(needed) >= index:
                raise ValueError(f"item {index} waits for item {max(needed)}, which is no earlier")
            open_ones = needed & indices
            self._missing[index] = len(open_ones)
            for each in open_ones:
                self._waiting[each].append(index)
        self._ready = [index for index, missing in self._missing.items() if not missing]
        heapify(self._ready)

    def take(self) -> int | None:
        """The first item that may begin; None: none may."""
        if not self._ready:
            return None
        return heappop(self._ready)

    def finish(self, index: int) -> None:
        """Note that an item is finished: those that waited for it may begin."""
        for waiting in self._waiting.pop(
            index,
            (),
        ):
            self._missing[waiting] -= 1
            if not self._missing[waiting]:
                heappush(
                    self._ready,
                    waiting,
                )
