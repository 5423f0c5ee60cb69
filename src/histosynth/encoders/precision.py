"""Networks in bfloat16: half the time where a processor has it, and numbers of their own.

Convolutions and products run in bfloat16, norms, sums and whatever is done with the features in
float32. What it moves is measured in `benchmarks/judging_bf16.py`; a report says which numbers it
was made with.
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager
from typing import TypeVar

import torch

NUMBERS = "bfloat16, sums in float32"
T = TypeVar("T")


def autocast(bf16: bool) -> AbstractContextManager[object]:
    """Around a network's call."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bf16)


def in_bfloat16(encoder: T) -> T:
    """The same encoder, its network in bfloat16; it keeps the weights and says so in `about`."""
    other = copy.copy(encoder)
    vars(other).update(bf16=True, about={**vars(encoder)["about"], "numbers": NUMBERS})
    return other
