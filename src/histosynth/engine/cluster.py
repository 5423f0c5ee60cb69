"""On a Ray cluster: the nodes must reach the same folders under the same paths."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import BadOption, InputError, NeedsExtra, WorkerLost, first_line
from ..core.links import held_folders, work_in_held
from .engine import MAX_LOST_POOLS, WorkItem, WorkResult
from .ray_process import as_raised, own_signals, own_stdout
from .ready_items import ReadyItems

_CONNECT_TIMEOUT_S = 5
_WAIT_S = 0.5
_NAMED = (None, "", "auto", "local")
"""Addresses that Ray itself looks up."""


class RayEngine:
    """See `Engine`.

    Args:
        workers: pieces of work at a time; None: one for each CPU of the cluster.
        address: of a running cluster; None: one is started here and stopped at the end.

    Raises:
        NeedsExtra: Ray is not installed.
        BadOption: nothing answers at the address.
    """

    def __init__(
        self,
        workers: int | None,
        address: str | None,
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise NeedsExtra("Ray", "ray") from error
        self._ray: Any = ray
        self.workers = workers
        self.address = address
        self.name = f"ray at {address}" if address else "ray"
        self._check_address()

    def map(
        self,
        work: Callable[[WorkItem], WorkResult],
        items: Sequence[WorkItem],
        *,
        after: Sequence[Sequence[int]] | None = None,
    ) -> Iterator[tuple[int, WorkResult]]:
        """See `Engine.map`."""
        starts_ray = not self._ray.is_initialized()
        if not starts_ray:
            yield from self._map_connected(work, items, after)
            return
        with own_stdout():
            with own_signals():
                self._connect()
            try:
                yield from self._map_connected(work, items, after)
            finally:
                self._ray.shutdown()

    def _map_connected(
        self,
        work: Callable[[WorkItem], WorkResult],
        items: Sequence[WorkItem],
        after: Sequence[Sequence[int]] | None,
    ) -> Iterator[tuple[int, WorkResult]]:
        ray = self._ray
        task = ray.remote(num_cpus=1, max_retries=MAX_LOST_POOLS)(_work_in_folder)
        folder = os.getcwd()
        workers = self.workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        waiting: dict[Any, int] = {}
        ready = ReadyItems(range(len(items)), after)
        done = 0
        while done < len(items):
            while len(waiting) < 2 * workers:
                begun = ready.take()
                if begun is None:
                    break
                reference = task.remote(folder, held_folders(), work, items[begun])
                waiting[reference] = begun
            finished, _ = as_raised(
                ray.wait,
                list(waiting),
                num_returns=1,
                timeout=_WAIT_S,  # while Ray waits, a signal raises nothing
            )
            for reference in finished:
                index = waiting.pop(reference)
                result = self._result_of(reference, len(items) - done)
                done += 1
                ready.finish(index)
                yield index, result

    def _result_of(
        self,
        reference: Any,
        unfinished: int,
    ) -> Any:
        try:
            return as_raised(self._ray.get, reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:  # of a worker, its node or its results
            what = f"Ray lost a worker, a node or a result ({_reason_of(error)})"
            raise WorkerLost(what, unfinished, "Look at the nodes with `ray status`.") from error

    def _connect(self) -> None:
        try:
            self._ray.init(
                address=self.address,
                num_cpus=None if self.address else self.workers,
                include_dashboard=False if not self.address else None,
                log_to_driver=False,
                logging_level="ERROR",
                ignore_reinit_error=True,
            )
        except (
            ConnectionError,
            ValueError,
            RuntimeError,
            self._ray.exceptions.RayError,  # no token, where one is asked for
        ) as error:
            raise InputError(
                f"No Ray cluster lets this verb in at {self.address or 'this machine'} "
                f"({_reason_of(error)}).",
                "Check --address with `ray status`, and export the cluster's RAY_AUTH_TOKEN if it "
                "has one.",
            ) from error

    def _check_address(self) -> None:
        """Refuse an address at which nothing answers: Ray itself would try for minutes."""
        if self.address in _NAMED:
            return
        host, _, port = (self.address or "").removeprefix("ray://").rpartition(":")
        if not host or not port.isdigit():
            raise BadOption("--address", self.address, "a host and a port, e.g. head:6379")
        try:
            connection = socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S)
            connection.close()
        except (OSError, OverflowError) as error:
            wanted = f"that of a running Ray cluster ({error})"
            raise BadOption("--address", self.address, wanted) from error


def _work_in_folder(
    folder: str,
    held: Sequence[Path],
    work: Callable[[WorkItem], WorkResult],
    item: WorkItem,
) -> WorkResult:
    """Do a piece of work on a node, in the folder of the verb: relative paths start there.

    Raises:
        InputError: the node has no such folder.
    """
    try:
        os.chdir(folder)
    except OSError as error:
        raise InputError(
            f"The node {socket.gethostname()} cannot work in {folder}, where the verb was called: "
            f"{error.strerror or error}.",
            "Call it in a folder that every node has, e.g. that of the results.",
        ) from error
    return work_in_held(held, work, item)


def _reason_of(error: BaseException) -> str:
    """The name of Ray's exception and the first sentence of its text, if that says more."""
    name = type(error).__name__
    text = first_line(error).partition(". ")[0]
    return name if text == name else f"{name}: {text}"
