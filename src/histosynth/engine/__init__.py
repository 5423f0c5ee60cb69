"""Engines: where pure functions over items are run. What they give does not depend on which it is.

A piece of work is a module's function and one picklable item; it writes its result to a shared
folder, whole or not at all, and returns a small value. So a lost worker loses nothing but its
piece, which is run again, and a stopped run is gone on with by running it again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol, TypeVar

from ..core.errors import BadOption

Item = TypeVar("Item")
Result = TypeVar("Result")
Name = Literal["local", "pool", "ray"]
TRIES = 3
"""So often in a row may workers die without finishing anything."""


class Engine(Protocol):
    """Runs a function over items."""

    @property
    def name(self) -> str:
        """For people: which, and how many workers."""

    def map(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """(index, result) of each item, as they are done.

        Raises:
            WorkerLost: workers died again and again.
            Exception: whatever `work` raises.
        """


def open_engine(
    name: str = "local", *, workers: int | None = None, address: str | None = None
) -> Engine:
    """The engine of that name.

    Args:
        name: `local`, `pool` (processes of this machine) or `ray` (a cluster, extra
            `histosynth[ray]`).
        workers: how many at a time; None: one a core, or all that the cluster has.
        address: of a running Ray cluster; None: one on this machine, for this run.

    Raises:
        BadOption: another name, or fewer than one worker.
        NeedsExtra: Ray is not installed.
    """
    if workers is not None and not 1 <= workers <= 10_000:
        raise BadOption("--workers", workers, "from 1 to 10,000")
    if name == "local":
        from .local import LocalEngine

        return LocalEngine()
    if name == "pool":
        from .pool import PoolEngine

        return PoolEngine(workers or os.cpu_count() or 1)
    if name == "ray":
        from .cluster import RayEngine

        return RayEngine(workers, address)
    raise BadOption("--engine", name, "local, pool or ray")


__all__ = ["TRIES", "Engine", "open_engine"]
