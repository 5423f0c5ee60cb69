"""Work on a GPU beside other work of the same GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Inside the block a thread's work on a GPU does not wait for that of other threads; at its end
    it is complete. Elsewhere nothing changes.

    What is computed inside must be kept until all other work that reads it is complete, too.
    """
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        yield
    stream.synchronize()
