"""AdamW (Loshchilov & Hutter 2019) three ways, and its state as plain tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ...core.errors import NeedsExtra
from .plan import LoopPlan

COUNT = "count"
"""Prefix of what an optimiser keeps as a plain number; a checkpoint holds tensors."""


def build_optimiser(masters: Iterable[Tensor], plan: LoopPlan) -> torch.optim.Optimizer:
    """The plan's optimiser over fp32 parameters; vectors (biases, gains of norms) do not decay.

    Raises:
        NeedsExtra: bitsandbytes is not installed.
    """
    every = list(masters)
    groups = [
        {"params": [value for value in every if value.ndim > 1], "weight_decay": plan.weight_decay},
        {"params": [value for value in every if value.ndim <= 1], "weight_decay": 0.0},
    ]
    rate = plan.learning_rate
    betas = plan.betas
    match plan.optimiser:
        case "adamw":
            return torch.optim.AdamW(
                groups,
                lr=rate,
                betas=betas,
                foreach=True,
            )
        case "fused":
            return torch.optim.AdamW(
                groups,
                lr=rate,
                betas=betas,
                fused=True,
            )
        case "adamw8bit":
            try:
                from bitsandbytes.optim import AdamW8bit
            except ImportError as error:
                raise NeedsExtra(
                    "bitsandbytes, which loop.optimiser adamw8bit needs,", "adamw8bit"
                ) from error
            made: torch.optim.Optimizer = AdamW8bit(groups, lr=rate, betas=betas)
            return made


def stored_moments(optimiser: torch.optim.Optimizer, master: Tensor) -> dict[str, Tensor]:
    """What the optimiser remembers of one parameter; nothing before its first update."""
    found = {}
    for name, value in optimiser.state[master].items():
        if isinstance(value, Tensor):
            # 8-bit moments of all parameters share one table, and a file holds each tensor once
            found[name] = value.detach().clone(memory_format=torch.contiguous_format)
        elif value is not None:
            found[f"{COUNT}.{name}"] = torch.tensor(value)
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
        if name.startswith(f"{COUNT}."):
            state[name.removeprefix(f"{COUNT}.")] = value.item()
        elif name == "step" and plan.optimiser == "adamw":
            state[name] = value  # it counts on the CPU, wherever the moments are
        else:
            state[name] = value.to(master.device)
    optimiser.state[master] = state
