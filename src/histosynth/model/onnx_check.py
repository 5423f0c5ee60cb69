"""What was exported, compared with torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import NeedsExtra
from .onnx_graphs import Graph

_TIMES = 2


def refuse_without_onnx() -> None:
    """Refuse an export, before any work, where a package is missing that it needs.

    Raises:
        NeedsExtra: onnx, onnxscript or onnxruntime is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise NeedsExtra("onnx, which an export needs,", "onnx") from error


def largest_difference(graph: Graph, data: bytes) -> float:
    """Between a graph in onnxruntime and the network in torch, on maps larger than the example.

    Args:
        graph: that was exported.
        data: the .onnx file.

    Returns:
        The largest over all outputs: latents and features in their own units, pixels in grey
        levels.
    """
    import onnxruntime

    inputs = {name: _larger(name, value, graph) for name, value in graph.inputs.items()}
    with torch.no_grad():
        expected = graph.module(*inputs.values())
    if isinstance(expected, Tensor):
        expected = (expected,)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        data,
        options,
        providers=["CPUExecutionProvider"],
    )
    feeds: dict[str, Any] = {name: value.numpy() for name, value in inputs.items()}
    largest = 0.0
    for wanted, found in zip(expected, session.run(None, feeds), strict=True):
        difference = np.abs(wanted.numpy().astype(np.float64) - found)
        largest = max(largest, float(difference.max()))
    return largest


def _larger(name: str, value: Tensor, graph: Graph) -> Tensor:
    """A map repeated to twice its height; other inputs as they are."""
    if name not in graph.cells:
        return value
    return value.repeat(1, 1, _TIMES, 1)
