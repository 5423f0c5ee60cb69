"""Types of weights on disk: quantised ones are refused, as their scales would not be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import BadWeights
from ..tensors.header import read_tensor_header

_WHOLE_TYPES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "I64",
    "I32",
    "I16",
    "U64",
    "U32",
    "U16",
    "BOOL",
)
"""Types that keep a weight or an index as it is; all others are of 8 bits or fewer."""
_REMEDY = "Give the weights in float16, bfloat16 or float32, as their authors publish them."


def refuse_quantised(files: Sequence[Path]) -> None:
    """Refuse safetensors files with weights of 8 bits or fewer, such as fp8.

    Raises:
        BadWeights: naming the type and how many weights of a file are of it; or one is no
            safetensors file.
    """
    for path in files:
        types = [each.type for each in read_tensor_header(path).tensors.values()]
        quantised = [each for each in types if each not in _WHOLE_TYPES]
        if quantised:
            counts = f"{len(quantised):,} of its {len(types):,} weights"
            reason = f"{counts} are of the type {quantised[0]}, too coarse to train or sample with"
            raise BadWeights(path, reason, _REMEDY)
