"""On processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ..core.errors import WorkerLost
from . import MAX_LOST_POOLS

Item = TypeVar("Item")
Result = TypeVar("Result")


class PoolEngine:
    """See `Engine`.

    Args:
        workers: processes, each with one thread.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.name = f"pool of {workers}"

    def map(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """See `Engine.map`. A process that dies takes the pool with it; what was not done begins
        anew.
        """
        left = dict(enumerate(items))
        lost = 0
        while left:
            # spawned, not forked: a fork would share open slides and held locks
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(min(self.workers, len(left)), context, _quiet) as pool:
                waiting: dict[Future[Result], int] = {}
                queue = iter(list(left))
                try:
                    while True:
                        # a few at a time: the queue of a pool would hold every item twice
                        while (
                            len(waiting) < 2 * self.workers
                            and (index := next(queue, None)) is not None
                        ):
                            waiting[pool.submit(work, left[index])] = index
                        if not waiting:
                            break
                        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                            index = waiting.pop(future)
                            result = future.result()
                            del left[index]
                            lost = 0
                            yield index, result
                except BrokenProcessPool as error:
                    lost += 1
                    if lost == MAX_LOST_POOLS:
                        raise WorkerLost(MAX_LOST_POOLS, len(left)) from error
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise


def _quiet() -> None:
    """One thread a process: libraries that start more would fight over the cores."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
