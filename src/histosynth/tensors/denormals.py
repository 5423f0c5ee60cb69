"""Numbers too small to matter, counted as zero: a CPU computes with them a hundred times slower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Inside the block, this thread counts float32 below 1.2e-38 as zero, where the CPU can.

    Gradients of SiLU (`torch.nn.functional.silu`) fall to such numbers where a unit is far below
    zero: a step of the compact decoder took 7 times as long with them (docs/log.md). Threads that
    torch starts inside the block count so too; those it has already started do not.
    """
    before = counts_denormals_as_zero()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def counts_denormals_as_zero() -> bool:
    """Whether this thread does so now."""
    small = torch.tensor([1e-30], dtype=torch.float32)
    return float(small * 1e-10) == 0
