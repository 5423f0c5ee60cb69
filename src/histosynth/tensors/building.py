"""Networks without weights, built to the measure of a file that holds them.

Settings can ask for any size. A network is built on the device that stores nothing, and building
ends as soon as it asks for more numbers or more tensors than the file holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_Network = TypeVar("_Network", bound=nn.Module)
_FREE_NUMBERS = 1 << 24
"""Numbers that a network may have in buffers that no file holds, e.g. embeddings of positions."""
_FREE_CALLS = 5_000
_CALLS_PER_TENSOR = 15
"""Calls of torch in which a layer is built and initialised; 3 to 6 are usual."""
_CALLS_WITH_VALUES = 100
"""The same where a library computes with values while it builds."""
_TIED = 2
"""Times that a network may count one stored tensor: some layers share theirs."""


_TOUCHED = 50
"""Times that building a network with memory may fill its numbers."""


class TooLarge(ValueError):
    """Settings ask for a larger network than the file holds."""


class _Bounds(TorchFunctionMode):
    """Inside it torch builds at most so much.

    Args:
        numbers: of one tensor.
        calls: of torch.
        total: of the numbers of all tensors, each time that one is given.
    """

    def __init__(
        self,
        numbers: int,
        calls: int,
        total: float = math.inf,
    ) -> None:
        super().__init__()
        self.numbers = numbers
        self.calls = calls
        self.total = total

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Any = (),
        kwargs: Any = None,
    ) -> Any:
        """Count a call and measure what it gives."""
        self.calls -= 1
        result = func(*args, **(kwargs or {}))
        if not isinstance(result, Tensor):
            return result  # also what ends a block without gradients, which must not fail
        count = torch.Tensor.numel(result)
        self.total -= count
        if count > self.numbers or self.calls < 0 or self.total < 0:
            raise TooLarge("its settings ask for a larger network than its weights are")
        return result


def build_empty(
    build: Callable[[], _Network],
    *,
    numbers: int,
    tensors: int,
) -> _Network:
    """A network whose parameters take no memory; its other buffers are real.

    Args:
        build: makes the network.
        numbers: in the file of its weights.
        tensors: in that file.

    Raises:
        TooLarge: it has more numbers or more tensors than the file.
    """
    calls = _FREE_CALLS + _CALLS_PER_TENSOR * tensors
    bounds = _Bounds(numbers + _FREE_NUMBERS, calls)
    with bounds, torch.device("meta"):
        network = build()
    bounds.calls = calls
    stored = network.state_dict(keep_vars=True)
    own = sum(each.numel() for each in stored.values())
    if own > _TIED * numbers + _FREE_NUMBERS:
        raise TooLarge(f"its settings ask for {own:,} numbers, and its weights are {numbers:,}")
    buffers = [each for name, each in network.named_buffers() if name not in stored]
    if all(not each.is_meta for each in buffers):
        return network
    with bounds, init_empty_weights(include_buffers=False):
        return build()


@contextmanager
def bounded_building(*, numbers: int, tensors: int) -> Iterator[None]:
    """Inside the block networks are built without memory for their parameters, within bounds.

    For libraries that read values of tensors while they build, which `build_empty` cannot give.

    Args:
        numbers: in the file of the network's weights.
        tensors: in that file.

    Raises:
        TooLarge: the network asks for more.
    """
    bounds = _Bounds(
        numbers + _FREE_NUMBERS,
        _FREE_CALLS + _CALLS_WITH_VALUES * tensors,
        _TOUCHED * (numbers + _FREE_NUMBERS),
    )
    with bounds, init_empty_weights(include_buffers=False):
        yield
