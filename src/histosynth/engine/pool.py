"""On processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from ..core.errors import WorkerLost
from .engine import MAX_LOST_POOLS, WorkItem, WorkResult


class PoolEngine:
    """See `Engine`.

    Args:
        workers: processes, each with one thread.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.name = f"pool of {workers}"

    def map(
        self,
        work: Callable[[WorkItem], WorkResult],
        items: Sequence[WorkItem],
    ) -> Iterator[tuple[int, WorkResult]]:
        """See `Engine.map`.

        A process that dies takes the pool with it. Items that are not done begin again in a new
        pool.
        """
        todo = dict(enumerate(items))
        lost_pools = 0
        while todo:
            try:
                for index, result in self._map_in_one_pool(work, todo):
                    del todo[index]
                    lost_pools = 0
                    yield index, result
            except BrokenProcessPool as error:
                lost_pools += 1
                if lost_pools == MAX_LOST_POOLS:
                    raise WorkerLost(MAX_LOST_POOLS, len(todo)) from error

    def _map_in_one_pool(
        self,
        work: Callable[[WorkItem], WorkResult],
        todo: dict[int, WorkItem],
    ) -> Iterator[tuple[int, WorkResult]]:
        """Results of one pool of processes, until all is done or the pool breaks."""
        # spawned, not forked: a fork would share open slides and held locks
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            min(self.workers, len(todo)),
            context,
            _use_one_thread,
        ) as pool:
            waiting: dict[Future[WorkResult], int] = {}
            queue = deque(todo)
            try:
                while queue or waiting:
                    # two a worker at a time: the queue of a pool would hold every item twice
                    while queue and len(waiting) < 2 * self.workers:
                        index = queue.popleft()
                        waiting[pool.submit(work, todo[index])] = index
                    finished = wait(waiting, return_when=FIRST_COMPLETED).done
                    for future in finished:
                        index = waiting.pop(future)
                        yield index, future.result()
            except BrokenProcessPool:
                raise
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _use_one_thread() -> None:
    """One thread a process: libraries that start more would fight over the cores."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
