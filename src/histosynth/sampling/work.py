"""How the work around the networks is done: in turn on a CPU, beside them on a GPU.

A GPU waits for whatever is computed elsewhere. So the next batch is prepared and the last one is
finished, by threads, while the networks work on this one; numpy and torch let other threads run
while they compute. On a CPU the networks use all cores already.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    threads = min(os.cpu_count() or 1, _MAX_THREADS)
    with ThreadPoolExecutor(threads) as pool, ExitStack() as stack:
        yield Work(
            pool.map,
            nearest,
            None if in_turn else stack,
        )


def leaves_cpu_free(device: torch.device) -> bool:
    """Whether the CPU is free while networks on this device work."""
    return device.type == "cuda"
