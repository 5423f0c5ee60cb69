"""Everything a run needs to go on exactly: fp32 masters, optimiser moments, EMA, step.

Modules compute in bf16; their parameters are rounded copies of fp32 masters kept here. On disk
it is one safetensors file, so that a checkpoint can hold numbers and nothing that runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..core.errors import BadWeights, Diverged
from ..core.store import replacing
from .plan import LoopPlan

Named = dict[str, Tensor]


class TrainState:
    """AdamW over fp32 masters of the parameters that require gradients, with their EMA."""

    def __init__(self, modules: Mapping[str, nn.Module], plan: LoopPlan) -> None:
        self.plan = plan
        self.step = 0
        self.live = {
            f"{name}.{key}": parameter
            for name, module in modules.items()
            for key, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        self.masters: Named = {
            key: value.detach().float().clone().requires_grad_() for key, value in self.live.items()
        }
        self.ema: Named = {key: value.detach().clone() for key, value in self.masters.items()}
        decayed = [value for value in self.masters.values() if value.ndim > 1]
        others = [value for value in self.masters.values() if value.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": plan.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=plan.learning_rate, betas=plan.betas, foreach=True)

    def apply_gradients(self) -> float:
        """One update from the live parameters' gradients. Returns the gradient norm before clipping.

        Raises:
            Diverged: the norm is no number; no weight was changed.
        """
        for key, master in self.masters.items():
            gradient = self.live[key].grad
            master.grad = None if gradient is None else gradient.float()
            self.live[key].grad = None
        norm = float(nn.utils.clip_grad_norm_(list(self.masters.values()), self.plan.clip_norm))
        refuse_divergence(self.step, {"gradient norm": norm})
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.plan)
        self.optimiser.step()
        self.step += 1
        # a young average forgets its random start faster than an old one
        decay = min(self.plan.ema, (1 + self.step) / (10 + self.step))
        masters = [value.detach() for value in self.masters.values()]
        torch._foreach_lerp_(list(self.ema.values()), masters, 1 - decay)
        self._show(self.masters)
        return norm

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside the block the modules hold the EMA weights."""
        self._show(self.ema)
        try:
            yield
        finally:
            self._show(self.masters)

    @torch.no_grad()
    def _show(self, source: Named) -> None:
        for key, parameter in self.live.items():
            parameter.copy_(source[key])

    def save(self, path: Path) -> None:
        """Write all of it, whole or not at all.

        Raises:
            Diverged: a weight is no number.
        """
        largest = torch.stack([value.detach().abs().max() for value in self.masters.values()]).max()
        refuse_divergence(self.step, {"largest weight": float(largest)})
        tensors: Named = {}
        for key, master in self.masters.items():
            tensors[f"master/{key}"] = master.detach()
            tensors[f"ema/{key}"] = self.ema[key]
            for moment, value in self.optimiser.state[master].items():
                tensors[f"{moment}/{key}"] = value
        with replacing(path) as temporary:
            contiguous = {key: value.contiguous() for key, value in tensors.items()}
            save_file(contiguous, temporary, metadata={"step": str(self.step)})

    def load(self, path: Path) -> None:
        """Go on from a saved state.

        Raises:
            BadWeights: the file is cut off, lacks a part, or is of another model.
        """
        try:
            with safe_open(path, framework="pt") as file:
                stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                step = int(file.metadata()["step"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise BadWeights(path, str(error)) from error
        wanted = {f"master/{key}" for key in self.masters}
        if {key for key in stored if key.startswith("master/")} != wanted:
            raise BadWeights(path, "its parameters are those of another model")
        for key, master in self.masters.items():
            for name in (f"master/{key}", f"ema/{key}"):
                if name not in stored or stored[name].shape != master.shape:
                    raise BadWeights(path, f"{name} is absent or of another shape")
        self.step = step
        for key, master in self.masters.items():
            master.detach().copy_(stored[f"master/{key}"])
            self.ema[key].copy_(stored[f"ema/{key}"])
            moments = {name: stored.get(f"{name}/{key}") for name in ("step", "exp_avg", "exp_avg_sq")}
            self.optimiser.state[master] = {  # the step counts on the CPU, wherever the moments are
                name: value if name == "step" else value.to(master.device)
                for name, value in moments.items()
                if value is not None
            }
        self._show(self.masters)


def refuse_divergence(step: int, numbers: Mapping[str, float]) -> None:
    """Stop before a step's numbers that are none reach weights, state or log.

    Raises:
        Diverged: naming the first of them.
    """
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise Diverged(step, name, value)


def learning_rate(step: int, plan: LoopPlan) -> float:
    """Linear warm-up, a plateau, and a cosine fall to 5 % over the last `cooldown` of the steps."""
    rise = min(1.0, (step + 1) / max(plan.warmup, 1))
    start = plan.steps * (1 - plan.cooldown)
    through = min(max((step - start) / max(plan.steps - start, 1), 0.0), 1.0)
    fall = 0.05 + 0.95 * (1 + float(torch.cos(torch.tensor(torch.pi * through)))) / 2
    return plan.learning_rate * rise * fall
