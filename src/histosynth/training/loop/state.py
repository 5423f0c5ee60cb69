"""Everything a run needs to go on exactly: fp32 masters, optimiser moments, EMA, loss scale, step.

Modules compute in bf16 or fp16; their parameters are rounded copies of fp32 masters kept here. On
disk it is one safetensors file, so that a checkpoint can hold numbers and nothing that runs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...core.errors import BadWeights, Diverged
from ...core.store import atomic_write
from .optimisers import build_optimiser, restore_moments, stored_moments
from .plan import LoopPlan
from .processes import Topology
from .scaler import LossScaler

Named = dict[str, Tensor]


class TrainState:
    """AdamW over fp32 masters of the parameters that require gradients, with their EMA.

    Attributes:
        step: steps taken; one whose gradients overflowed counts, so that the next draws another
            batch.
        stopped: why the run ended before its last step; empty: it did not.
        stopped_of: how many steps it was to take then. A longer run goes on.
        scaler: of the loss, in fp16 only.
    """

    def __init__(self, modules: Mapping[str, nn.Module], plan: LoopPlan) -> None:
        self.plan = plan
        self.step = 0
        self.stopped = ""
        self.stopped_of = 0
        self.scaler = LossScaler() if plan.precision == "fp16" else None
        self.live = {
            f"{name}.{key}": parameter
            for name, module in modules.items()
            for key, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        # one order of numbers for masters, gradients and moments: torch's fused update looks at no
        # strides
        self.masters: Named = {
            key: value.detach()
            .float()
            .clone(memory_format=torch.contiguous_format)
            .requires_grad_()
            for key, value in self.live.items()
        }
        self.ema: Named = {key: value.detach().clone() for key, value in self.masters.items()}
        self.optimiser = build_optimiser(self.masters.values(), plan)

    def backward(self, loss: Tensor) -> None:
        """Add a loss' gradients to the masters', in fp32 whatever the modules compute in."""
        scale = self.scaler.scale if self.scaler else 1.0
        (loss * scale if self.scaler else loss).backward()  # type: ignore[no-untyped-call]
        for key, master in self.masters.items():
            gradient = self.live[key].grad
            self.live[key].grad = None
            if gradient is None:
                continue
            gradient = gradient.float().contiguous()
            gradient = gradient / scale if self.scaler else gradient
            master.grad = gradient if master.grad is None else master.grad.add_(gradient)

    def share(self, place: Topology, loss: float) -> float:
        """Put the mean over all processes in place of this one's gradients; returns that of the
        loss.

        One message a step: gradients, which of the parameters have any, and the loss.
        """
        if place.processes == 1:
            return loss
        masters = list(self.masters.values())
        has = [float(master.grad is not None) for master in masters]
        flat = [
            (torch.zeros_like(each) if each.grad is None else each.grad).flatten()
            for each in masters
        ]
        values = torch.cat([*flat, torch.tensor([*has, loss]).to(flat[0])])
        place.mean_(values)
        gradients = torch.split(values[: -len(has) - 1], [len(each) for each in flat])
        anyone, (mean,) = values[-len(has) - 1 : -1].tolist(), values[-1:].tolist()
        for master, gradient, known in zip(masters, gradients, anyone, strict=True):
            master.grad = gradient.view(master.shape) if known else None
        return float(mean)

    def apply_gradients(self) -> float:
        """One update from the masters' gradients. Returns their norm before clipping.

        In fp16 a norm that is no number leaves the update out, halves the loss scale, and is
        counted.

        Raises:
            Diverged: the norm is no number; no weight was changed.
        """
        norm = float(nn.utils.clip_grad_norm_(list(self.masters.values()), self.plan.clip_norm))
        if self.scaler is None:
            refuse_divergence(self.step, {"gradient norm": norm})
            self._update()
        elif math.isfinite(norm):
            self.scaler.went_well()
            self._update()
        else:
            self.scaler.overflowed(self.step, norm)
            self.step += 1
        self.optimiser.zero_grad()
        return norm

    def _update(self) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.plan)
        self.optimiser.step()
        self.step += 1
        # a young average forgets its random start faster than an old one
        decay = min(self.plan.ema, (1 + self.step) / (10 + self.step))
        masters = [value.detach() for value in self.masters.values()]
        torch._foreach_lerp_(list(self.ema.values()), masters, 1 - decay)
        self._show(self.masters)

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

    def digest(self) -> str:
        """Of step and weights: the same in all processes."""
        found = hashlib.sha256(str(self.step).encode())
        for master in self.masters.values():
            found.update(master.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    def stop(self, reason: str) -> None:
        """End the run here; empty: go on."""
        self.stopped = reason
        self.stopped_of = self.plan.steps if reason else 0

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
            for moment, value in stored_moments(self.optimiser, master).items():
                tensors[f"{moment}/{key}"] = value
        facts = {"step": str(self.step), **(self.scaler.facts() if self.scaler else {})}
        if self.stopped:
            facts |= {"stopped": self.stopped, "stopped_of": str(self.stopped_of)}
        with atomic_write(path) as temporary:
            contiguous = {key: value.contiguous() for key, value in tensors.items()}
            save_file(contiguous, temporary, metadata=facts)

    def load(self, path: Path) -> None:
        """Go on from a saved state.

        Raises:
            BadWeights: the file is cut off, lacks a part, or is of another model.
        """
        try:
            with safe_open(path, framework="pt") as file:
                stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                facts = file.metadata()
                step = int(facts["step"])
                stopped_of = int(facts.get("stopped_of", "0"))
            if self.scaler:
                self.scaler.restore(facts)
        except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadWeights(path, str(error)) from error
        wanted = {f"master/{key}" for key in self.masters}
        if {key for key in stored if key.startswith("master/")} != wanted:
            raise BadWeights(path, "its parameters are those of another model")
        for key, master in self.masters.items():
            for name in (f"master/{key}", f"ema/{key}"):
                if name not in stored or stored[name].shape != master.shape:
                    raise BadWeights(path, f"{name} is absent or of another shape")
        self.step = step
        self.stopped_of = stopped_of
        self.stopped = facts.get("stopped", "") if self.plan.steps <= stopped_of else ""
        moments: dict[str, Named] = {key: {} for key in self.masters}
        for name, value in stored.items():
            kind, _, key = name.partition("/")
            if kind not in ("master", "ema") and key in moments:
                moments[key][kind] = value
        for key, master in self.masters.items():
            master.detach().copy_(stored[f"master/{key}"])
            self.ema[key].copy_(stored[f"ema/{key}"])
            restore_moments(
                self.optimiser,
                master,
                moments[key],
                self.plan,
            )
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
    """Linear warm-up, a plateau, and a cosine fall over the last `cooldown` of the steps.

    It falls to `min_learning_rate_share` of the plan's rate.
    """
    rise = min(1.0, (step + 1) / max(plan.warmup, 1))
    start = max(plan.steps * (1 - plan.cooldown), min(plan.warmup, plan.steps))
    through = min(max((step - start) / max(plan.steps - start, 1), 0.0), 1.0)
    lowest = plan.min_learning_rate_share
    fall = lowest + (1 - lowest) * (1 + float(torch.cos(torch.tensor(torch.pi * through)))) / 2
    return plan.learning_rate * rise * fall
