"""Types of weights on disk: quantised ones are refused, as their scales would not be read."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..core.errors import BadWeights, first_line

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


def refuse_quantised_files(folder: Path) -> None:
    """`refuse_quantised` of each safetensors file of a folder; hidden files are none of its own."""
    for path in sorted(folder.glob("*.safetensors")):
        if not path.name.startswith("."):
            refuse_quantised(path)


def refuse_quantised(path: Path) -> None:
    """Refuse a safetensors file with weights of 8 bits or fewer, such as fp8.

    Raises:
        BadWeights: naming the type and how many weights are of it; or it is no safetensors file.
    """
    try:
        with safe_open(path, framework="np") as file:
            types = [file.get_slice(name).get_dtype() for name in file.keys()]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BadWeights(path, first_line(error)) from error
    quantised = [each for each in types if each not in _WHOLE_TYPES]
    if quantised:
        counts = f"{len(quantised):,} of its {len(types):,} weights"
        reason = f"{counts} are of the type {quantised[0]}, too coarse to train or sample with"
        raise BadWeights(path, reason, _REMEDY)
