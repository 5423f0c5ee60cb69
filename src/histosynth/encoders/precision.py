"""Networks in bfloat16: half the time where a processor supports it, with other rounding.

Convolutions and products run in bfloat16, norms, sums and all later steps in float32. How much this
changes results is measured in `benchmarks/evaluation_bf16.py`; a report states the number type.
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager
from typing import TypeVar

import torch

_BFLOAT16 = "bfloat16, sums in float32"
EncoderType = TypeVar("EncoderType")


def autocast(bf16: bool) -> AbstractContextManager[object]:
    """Around a network's call."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bf16)


def in_bfloat16(encoder: EncoderType) -> EncoderType:
    """The same encoder and weights, its network in bfloat16; its `about` states this."""
    other = copy.copy(encoder)
    about = {**vars(encoder)["about"], "numbers": _BFLOAT16}
    vars(other).update(bf16=True, about=about)
    return other
