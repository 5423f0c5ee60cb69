"""AdamW (Loshchilov & Hutter 2019) in three implementations, and its state as plain tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ...core.errors import NeedsExtra
from ..recipes.loop import LoopPlan

_NUMBER_PREFIX = "count."
"""Of what an optimiser keeps as a plain number; a checkpoint holds tensors."""


def build_optimiser(masters: Iterable[Tensor], plan: LoopPlan) -> torch.optim.Optimizer:
    """The plan's optimiser over fp32 parameters; vectors (biases, gains of norms) do not decay.

    Raises:
        NeedsExtra: bitsandbytes is not installed.
    """
    parameters = list(masters)
    matrices = [value for value in parameters if value.ndim > 1]
    vectors = [value for value in parameters if value.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    match plan.optimiser:
        case "adamw":
            return torch.optim.AdamW(
                groups,
                lr=plan.learning_rate,
                betas=plan.betas,
                foreach=True,
            )
        case "fused":
            return torch.optim.AdamW(
                groups,
                lr=plan.learning_rate,
                betas=plan.betas,
                fused=True,
            )
        case "adamw8bit":
            try:
                from bitsandbytes.optim import AdamW8bit
            except ImportError as error:
                needed = "bitsandbytes, which loop.optimiser adamw8bit needs,"
                raise NeedsExtra(needed, "adamw8bit") from error
            optimiser: torch.optim.Optimizer = AdamW8bit(
                groups,
                lr=plan.learning_rate,
                betas=plan.betas,
            )
            return optimiser


def stored_moments(optimiser: torch.optim.Optimizer, master: Tensor) -> dict[str, Tensor]:
    """The optimiser's state of one parameter, as tensors; empty before its first update."""
    found = {}
    for name, value in optimiser.state[master].items():
        if isinstance(value, Tensor):
            # 8-bit moments of all parameters share one table, and a file holds each tensor once
            copy = value.detach().clone(memory_format=torch.contiguous_format)
            found[name] = copy
        elif value is not None:
            found[_NUMBER_PREFIX + name] = torch.tensor(value)
    return found


def restore_moments(
    optimiser: torch.optim.Optimizer,
    master: Tensor,
    moments: Mapping[str, Tensor],
    plan: LoopPlan,
) -> None:
    """The inverse of `stored_moments`."""
    state: dict[str, Tensor | int | float] = {}
    for name, value in moments.items():
        if name.startswith(_NUMBER_PREFIX):
            state[name.removeprefix(_NUMBER_PREFIX)] = value.item()
        elif name == "step" and plan.optimiser == "adamw":
            state[name] = value  # it counts on the CPU, wherever the moments are
        else:
            state[name] = value.to(master.device)
    optimiser.state[master] = state
