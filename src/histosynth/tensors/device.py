"""The device and the number type to compute in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from ..core.errors import BadOption

DTYPES = {
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "fp16": torch.float16,
}
_BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")
"""CPUs with one of them compute faster in bf16; others would convert each number."""


def pick_device(wanted: str | torch.device | None = None) -> torch.device:
    """The device to compute on: the one named (or in HISTOSYNTH_DEVICE), else a GPU if there is
    one.
    """
    default = "cuda" if torch.cuda.is_available() else "cpu"
    name = wanted or os.environ.get("HISTOSYNTH_DEVICE") or default
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # not every device holds values
    except (RuntimeError, AssertionError) as error:
        raise BadOption(
            "the device",
            name,
            "one that torch can use here, e.g. cpu",
        ) from error
    return device


def pick_dtype(
    device: torch.device,
    wanted: str | torch.dtype | None = None,
) -> torch.dtype:
    """The working type: the one named (or in HISTOSYNTH_DTYPE), else bf16 where it is faster.

    Names are those of `DTYPES`, or torch's: `bfloat16`.

    On a CPU its instructions decide and no clock: the same command gives the same bytes however
    busy the machine is.
    """
    name = wanted or os.environ.get("HISTOSYNTH_DTYPE")
    if name is not None:
        return DTYPES[dtype_name(name)]
    is_faster = has_bf16_instructions()
    if device.type == "cuda":
        is_faster = torch.cuda.is_bf16_supported()
    return torch.bfloat16 if is_faster else torch.float32


def dtype_name(wanted: str | torch.dtype) -> str:
    """The name in `DTYPES` of a number type that is named in another way.

    Raises:
        BadOption: none of them.
    """
    name = str(wanted).removeprefix("torch.")
    for short_name, dtype in DTYPES.items():
        if name in (short_name, str(dtype).removeprefix("torch.")):
            return short_name
    names = ", ".join(DTYPES)
    raise BadOption("the number type", name, f"one of {names}")


@cache
def has_bf16_instructions() -> bool:
    """Whether this CPU multiplies bf16 numbers itself."""
    found = _cpu_capabilities()
    return any(found.get(name) for name in _BF16_INSTRUCTIONS)


def _cpu_capabilities() -> Mapping[str, Any]:
    """What torch knows of the CPU; earlier versions know fewer, under other names."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        found: Mapping[str, Any] = capabilities()
        return found
    older = {
        "amx_bf16": "_is_amx_tile_supported",
        "avx512_bf16": "_is_avx512_bf16_supported",
    }
    return {name: getattr(torch.cpu, test, bool)() for name, test in older.items()}
