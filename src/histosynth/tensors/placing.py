"""Networks that measure, on another device or in bfloat16: tensors come from the CPU and return."""

from __future__ import annotations

import copy
from collections.abc import MutableMapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..core.errors import BadOption
from ..core.place import ComputePlace
from .device import pick_device

MEASURING_DTYPES = ("fp32", "bf16")
"""Number types of networks that measure: sums stay in float32 in both."""
_NETWORK_NAMES = ("network", "model", "forward")
"""Where encoders, detectors and classifiers keep their network."""
_Tool = TypeVar("_Tool")


class PlacedNetwork:
    """A network on a device, called with tensors of the CPU; its results are float32 on the CPU.

    Args:
        network: a module, or a function whose first argument is one.
        place: where it runs. Its weights are copied there; the network itself stays.
    """

    def __init__(self, network: Any, place: ComputePlace) -> None:
        self._device = pick_device(place.device)
        self._bf16 = place.bf16
        self._network = _moved(network, self._device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The network's results."""
        moved = [self._to_device(value) for value in args]
        for name, value in options.items():
            options[name] = self._to_device(value)
        with ExitStack() as stack:
            for context in self._contexts():
                stack.enter_context(context)
            found = self._network(*moved, **options)
        return _returned(found)

    def _to_device(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(self._device)
        return value

    def _contexts(self) -> list[AbstractContextManager[object]]:
        contexts: list[AbstractContextManager[object]] = []
        if self._device.type == "cuda":
            # else cuDNN rounds float32 to 10 bits
            exact = torch.backends.cudnn.flags(
                enabled=True,
                allow_tf32=False,
            )
            contexts.append(exact)
        if self._bf16:
            autocast = torch.autocast(
                self._device.type,
                torch.bfloat16,
            )
            contexts.append(autocast)
        return contexts


def _moved(network: Any, device: torch.device) -> Any:
    """A copy of a network on a device; of a function, one whose first argument is moved."""
    if isinstance(network, partial):
        module, *others = network.args
        return partial(
            network.func,
            _moved(module, device),
            *others,
            **network.keywords,
        )
    return copy.deepcopy(network).to(device)


def _returned(found: Any) -> Any:
    """Results on the CPU: a tensor, several, or an output of transformers."""
    if isinstance(found, Tensor):
        on_cpu = found.cpu()
        if on_cpu.is_floating_point():
            return on_cpu.float()
        return on_cpu
    if isinstance(found, list | tuple):
        return type(found)(_returned(each) for each in found)
    if isinstance(found, MutableMapping):
        for name in list(found):
            found[name] = _returned(found[name])
    return found


def placed(tool: _Tool, place: ComputePlace) -> _Tool:
    """A copy of an encoder, detector or classifier whose network runs elsewhere.

    Raises:
        BadOption: the device is not there, or the tool's package chooses its device itself.
    """
    if place == ComputePlace():
        return tool
    other = copy.copy(tool)
    values = vars(other)
    names = [name for name in _NETWORK_NAMES if name in values]
    if not names:
        name = getattr(tool, "name", type(tool).__name__)
        wanted = f"{place.device}{place.suffix}"
        raise BadOption("the device", wanted, f"left out: {name} takes none")
    for name in names:
        values[name] = PlacedNetwork(values[name], place)
    return other


def measuring_place(device: str | None, dtype: str | None) -> ComputePlace:
    """The place that two options name; None: the CPU, float32.

    Raises:
        BadOption: the device is not there, or another number type.
    """
    if dtype is not None and dtype not in MEASURING_DTYPES:
        names = " or ".join(MEASURING_DTYPES)
        raise BadOption("the number type", dtype, f"{names}, where tiles are measured")
    if device is not None:
        pick_device(device)
    return ComputePlace(device or "cpu", dtype == "bf16")
