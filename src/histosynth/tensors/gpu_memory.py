"""What a GPU's memory holds, and how much of some work fits into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from ..core.errors import TooLittleMemory


def runs_out_of_memory(work: Callable[[], object]) -> bool:
    """Whether some work needs more memory than a GPU has; what it reserved is given back."""
    try:
        work()
    except torch.OutOfMemoryError:
        failed = True
    else:
        failed = False
    # here the traceback, which holds the tensors, is gone
    release_memory()
    return failed


def release_memory() -> None:
    """Give back what torch has reserved on a GPU and does not use."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def first_that_fits(
    counts: Iterable[int],
    work: Callable[[int], object],
) -> int | None:
    """The first count with which some work fits into memory; None: none of them does."""
    for count in counts:
        if not runs_out_of_memory(lambda count=count: work(count)):  # type: ignore[misc]
            return count
    return None


def too_little_memory(
    device: torch.device,
    what: str,
    remedy: str,
) -> TooLittleMemory:
    """The error, with the memory of the device as it is now."""
    free = 0
    total = 0
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
    return TooLittleMemory(
        what,
        total=total,
        free=free,
        remedy=remedy,
    )
