"""On processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_connections

from ..core.errors import WorkerLost
from ..core.links import held_folders, work_in_held
from .engine import MAX_LOST_POOLS, WorkItem, WorkResult
from .ready_items import ReadyItems


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
        *,
        after: Sequence[Sequence[int]] | None = None,
    ) -> Iterator[tuple[int, WorkResult]]:
        """See `Engine.map`.

        A process that dies takes the pool with it. Items that are not done begin again in a new
        pool.
        """
        todo = dict(enumerate(items))
        lost_pools = 0
        while todo:
            try:
                for index, result in self._map_in_one_pool(work, todo, after):
                    del todo[index]
                    lost_pools = 0
                    yield index, result
            except BrokenProcessPool as error:
                lost_pools += 1
                if lost_pools == MAX_LOST_POOLS:
                    what = f"Workers died {MAX_LOST_POOLS} times without finishing anything"
                    raise WorkerLost(what, len(todo)) from error

    def _map_in_one_pool(
        self,
        work: Callable[[WorkItem], WorkResult],
        todo: dict[int, WorkItem],
        after: Sequence[Sequence[int]] | None,
    ) -> Iterator[tuple[int, WorkResult]]:
        """Results of one pool of processes, until all is done or the pool breaks."""
        waiting: dict[Future[WorkResult], int] = {}
        ready = ReadyItems(todo, after)
        with _pool(min(self.workers, len(todo))) as pool:
            while True:
                # two a worker at a time: the queue of a pool would hold every item twice
                while len(waiting) < 2 * self.workers:
                    index = ready.take()
                    if index is None:
                        break
                    waiting[_submit(pool, work, todo[index])] = index
                if not waiting:
                    return
                finished = wait(waiting, return_when=FIRST_COMPLETED).done
                for future in finished:
                    done = waiting.pop(future)
                    result = future.result()
                    ready.finish(done)
                    yield done, result


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block, and with this process, however either of them ends.

    They watch a pipe of which this process alone holds the other end: it is closed where the block
    fails, and by the system where this process is killed.
    """
    # spawned, not forked: a fork would share open slides and held locks
    context = multiprocessing.get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        workers,
        context,
        _begin_worker,
        (watched,),
    )
    try:
        yield pool
    except BrokenProcessPool:
        raise
    except BaseException:
        held.close()  # workers end now, not after their piece of work
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        pool.shutdown()
        held.close()
        watched.close()


def _submit(
    pool: ProcessPoolExecutor,
    work: Callable[[WorkItem], WorkResult],
    item: WorkItem,
) -> Future[WorkResult]:
    """Submit work. Processes that this starts do not receive Ctrl-C: this process ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        return pool.submit(work_in_held, held_folders(), work, item)
    resource_tracker.ensure_running()  # its start would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return pool.submit(work_in_held, held_folders(), work, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(watched: Connection) -> None:
    """Begin to watch the pipe to the parent, and use one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(
        target=_end_with_parent,
        args=(watched,),
        daemon=True,
    ).start()
    _use_one_thread()


def _end_with_parent(watched: Connection) -> None:
    """End this process as soon as the other end of the pipe is closed."""
    wait_for_connections([watched])
    os._exit(1)


def _use_one_thread() -> None:
    """One thread a process: libraries that start more would fight over the cores."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
