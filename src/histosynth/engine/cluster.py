"""On a Ray cluster: the nodes must see the same folders under the same paths."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ..core.errors import BadOption, NeedsExtra, WorkerLost, first_line
from . import MAX_LOST_POOLS

Item = TypeVar("Item")
Result = TypeVar("Result")


class RayEngine:
    """See `Engine`.

    Args:
        workers: pieces at a time; None: one for each CPU of the cluster.
        address: of a running cluster; None: one is started here and stopped at the end.

    Raises:
        NeedsExtra: Ray is not installed.
    """

    def __init__(self, workers: int | None, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise NeedsExtra("Ray", "ray") from error
        self._ray: Any = ray
        self.workers = workers
        self.address = address
        self.name = f"ray at {address}" if address else "ray"

    def map(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """See `Engine.map`."""
        ray = self._ray
        ours = not self._ray.is_initialized()
        if ours:
            self._connect()
        try:
            task = ray.remote(num_cpus=1, max_retries=MAX_LOST_POOLS)(work)
            most = self.workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
            waiting: dict[Any, int] = {}
            queue = iter(enumerate(items))
            done = 0
            while True:
                while len(waiting) < 2 * most and (entry := next(queue, None)) is not None:
                    waiting[task.remote(entry[1])] = entry[0]
                if not waiting:
                    break
                for reference in ray.wait(list(waiting), num_returns=1)[0]:
                    index = waiting.pop(reference)
                    try:
                        result = ray.get(reference)
                    except ray.exceptions.WorkerCrashedError as error:
                        raise WorkerLost(MAX_LOST_POOLS, len(items) - done) from error
                    except ray.exceptions.RayTaskError as error:
                        raise error.cause from error
                    done += 1
                    yield index, result
        finally:
            if ours:
                ray.shutdown()

    def _knock(self) -> None:
        """See whether anybody is there: Ray itself would try for minutes."""
        host, _, port = (self.address or "").removeprefix("ray://").rpartition(":")
        if not host or not port.isdigit():
            return
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            wanted = f"that of a running Ray cluster ({error})"
            raise BadOption("--address", self.address, wanted) from error

    def _connect(self) -> None:
        self._knock()
        try:
            self._ray.init(
                address=self.address,
                num_cpus=None if self.address else self.workers,
                include_dashboard=False if not self.address else None,
                log_to_driver=False,
                logging_level="ERROR",
                ignore_reinit_error=True,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = first_line(error)
            raise BadOption(
                "--address", self.address, f"that of a running Ray cluster ({reason})"
            ) from error
