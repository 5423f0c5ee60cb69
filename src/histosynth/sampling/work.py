"""How the work around the networks is done: in turn on a CPU, beside them on a GPU.

A GPU waits for whatever is computed elsewhere. So the next batch is prepared and the last one is
finished, by threads, while the networks work on this one; numpy and torch let other threads run
while they compute. On a CPU the networks use all cores already.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from ..core.ahead import ahead
from ..model.bundle import Bundle
from ..tissue.grain_patches import NearestLooks
from .grain_search import DeviceGrainSearch
from .groups import MapItems

_Item = TypeVar("_Item")
_MAX_THREADS = 16


@dataclass(frozen=True, eq=False)
class Work:
    """How it is done.

    Attributes:
        map: goes through the items of a batch.
        nearest: what searches patches of grain; None: the CPU.
    """

    map: MapItems
    nearest: NearestLooks | None
    _threads: ExitStack | None

    def ahead(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """The same items; where threads may work, found by one while the last is used."""
        if self._threads is None:
            return iter(items)
        return self._threads.enter_context(ahead(items))


@contextmanager
def work_around(bundle: Bundle, *, in_turn: bool = False) -> Iterator[Work]:
    """Inside the block: how to work around the networks of a bundle.

    Args:
        bundle: whose device decides.
        in_turn: one batch after another, in the caller's thread, wherever the networks are.
    """
    if not leaves_cpu_free(bundle.device):
        yield Work(map, None, None)
        return
    nearest = None
    if bundle.grain is not None:
        nearest = DeviceGrainSearch(bundle.grain.patches, bundle.device)
    with ThreadPoolExecutor(_threads()) as pool, ExitStack() as stack:
        yield Work(
            pool.map,
            nearest,
            None if in_turn else stack,
        )


def encode_pictures(
    pictures: Iterator[_Item],
    encode: Callable[[_Item], bytes],
    device: torch.device,
) -> Iterator[tuple[_Item, bytes]]:
    """Pictures in their order, each with its file's bytes; encoded by threads beside a GPU.

    Those that are complete come even where an error ends the pictures; it is raised after them.

    Args:
        pictures: in any form.
        encode: one of them.
        device: of the networks.
    """
    if not leaves_cpu_free(device):
        for picture in pictures:
            yield picture, encode(picture)
        return
    threads = _threads()
    waiting: deque[tuple[_Item, Future[bytes]]] = deque()
    failure: BaseException | None = None
    with ThreadPoolExecutor(threads) as pool:
        while failure is None:
            try:
                picture = next(pictures)
            except StopIteration:
                break
            except BaseException as error:  # noqa: BLE001 - raised again after what is complete
                failure = error
            else:
                waiting.append((picture, pool.submit(encode, picture)))
                if len(waiting) > 2 * threads:
                    yield _finished(waiting)
        while waiting:
            yield _finished(waiting)
    if failure is not None:
        raise failure


def _finished(waiting: deque[tuple[_Item, Future[bytes]]]) -> tuple[_Item, bytes]:
    picture, encoded = waiting.popleft()
    return picture, encoded.result()


def _threads() -> int:
    return min(os.cpu_count() or 1, _MAX_THREADS)


def leaves_cpu_free(device: torch.device) -> bool:
    """Whether the CPU is free while networks on this device work."""
    return device.type == "cuda"
