"""Work done ahead: what an iterator yields next is computed while the last is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_POLL_S = 0.1
"""How often a full queue is tried again, to notice that nobody wants more."""


class _Source(Generic[_Item]):
    """A thread that goes through an iterable, and a queue of what it found."""

    def __init__(self, items: Iterable[_Item], depth: int) -> None:
        self._items = items
        self._found: queue.Queue[tuple[bool, _Item | BaseException | None]]
        self._found = queue.Queue(depth)
        self._is_unwanted = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            name="histosynth-ahead",
            daemon=True,
        )
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(True, item):
                    return
            self._put(False, None)
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            self._put(False, error)
        finally:
            if isinstance(self._items, Generator):
                self._items.close()

    def _put(
        self,
        is_item: bool,
        value: _Item | BaseException | None,
    ) -> bool:
        """Whether it was wanted."""
        while not self._is_unwanted.is_set():
            try:
                self._found.put((is_item, value), timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def take(self) -> Iterator[_Item]:
        """Items in their order; an error of the thread is raised where it came."""
        while True:
            is_item, value = self._found.get()
            if is_item:
                yield value  # type: ignore[misc]
            elif isinstance(value, BaseException):
                raise value
            else:
                return

    def end(self) -> None:
        """Let the thread end after the item that it is at, and wait for it."""
        self._is_unwanted.set()
        self._thread.join()


@contextmanager
def ahead(items: Iterable[_Item], *, depth: int = 1) -> Iterator[Iterator[_Item]]:
    """Inside the block: the same items in the same order, found by a thread of their own.

    Args:
        items: gone through by that thread alone; a generator is closed by it.
        depth: items that are found and not yet used, at most; one more is being worked on.

    Raises:
        Exception: what going through the items raised, where the item would have come.
    """
    source = _Source(items, depth)
    try:
        yield source.take()
    finally:
        source.end()
