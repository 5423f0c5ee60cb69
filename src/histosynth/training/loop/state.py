"""The state of a run: fp32 masters, optimiser moments, EMA, loss scale, step.

Modules compute in bf16 or fp16; their parameters are rounded copies of fp32 masters kept here. On
disk it is one safetensors file, so that a checkpoint can hold numbers and nothing that runs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ...core.errors import BadWeights, Diverged
from ...tensors.files import read_all_tensors, write_tensors
from ..recipes.loop import LoopPlan
from .optimisers import build_optimiser, restore_moments, stored_moments
from .processes import Topology
from .scaler import LossScaler
from .schedule import learning_rate

TensorsByName = dict[str, Tensor]
_MASTER = "master"
_EMA = "ema"


class TrainState:
    """AdamW over fp32 masters of the parameters that require gradients, with their EMA.

    Attributes:
        step: steps taken; one whose gradients overflowed counts, so that the next draws another
            batch.
        stopped: why the run ended before its last step; "": it did not.
        stopped_of: number of steps that the run was to take when it was stopped. A longer run goes
            on.
        scaler: of the loss, in fp16 only.
        masters: fp32 parameters, by module and name.
        ema: their exponential moving average.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        plan: LoopPlan,
    ) -> None:
        self.plan = plan
        self.step = 0
        self.stopped = ""
        self.stopped_of = 0
        self.scaler = LossScaler() if plan.precision == "fp16" else None
        self._parameters = _trained_parameters(modules)
        self.masters: TensorsByName = {}
        self.ema: TensorsByName = {}
        for key, parameter in self._parameters.items():
            # one order of numbers for masters, gradients and moments: torch's fused update ignores
            # strides
            values = parameter.detach().float()
            master = values.clone(memory_format=torch.contiguous_format)
            self.masters[key] = master.requires_grad_()
            self.ema[key] = master.detach().clone()
        self.optimiser = build_optimiser(self.masters.values(), plan)

    @property
    def overflowed(self) -> bool:
        """Whether the gradients of the last step overflowed; in fp16 only."""
        return self.scaler is not None and self.scaler.consecutive_overflows > 0

    def backward(self, loss: Tensor) -> None:
        """Add a loss' gradients to the masters', in fp32 whatever the modules compute in."""
        scale = 1.0
        if self.scaler:
            scale = self.scaler.scale
            loss = loss * scale
        loss.backward()  # type: ignore[no-untyped-call]
        masters = []
        gradients = []
        for key, master in self.masters.items():
            parameter = self._parameters[key]
            if parameter.grad is None:
                continue
            masters.append(master)
            gradients.append(parameter.grad)
            parameter.grad = None
        wide = _as_float32(gradients, masters)
        if self.scaler:
            torch._foreach_div_(wide, scale)
        for master, gradient in zip(masters, wide, strict=True):
            if master.grad is None:
                master.grad = gradient
            else:
                master.grad.add_(gradient)

    def average_gradients(
        self,
        topology: Topology,
        loss: float,
    ) -> float:
        """Replace this process' gradients by their mean over all; returns the mean of the loss.

        One message a step: gradients, which of the parameters have any, and the loss.
        """
        if topology.processes == 1:
            return loss
        masters = list(self.masters.values())
        gradients = []
        has_gradient = []
        for master in masters:
            if master.grad is None:
                values = torch.zeros_like(master)
                has_gradient.append(0.0)
            else:
                values = master.grad
                has_gradient.append(1.0)
            gradients.append(values.flatten())
        facts = torch.tensor([*has_gradient, loss]).to(gradients[0])
        message = torch.cat([*gradients, facts])
        topology.mean_(message)
        sizes = [len(each) for each in gradients]
        means = torch.split(
            message[: -len(facts)],
            sizes,
        )
        *shares, mean_loss = message[-len(facts) :].tolist()
        for master, mean, share in zip(masters, means, shares, strict=True):
            master.grad = mean.view(master.shape) if share else None
        return float(mean_loss)

    def apply_gradients(self) -> float:
        """One update from the masters' gradients. Returns their norm before clipping.

        In fp16 a norm that is not finite leaves the update out, halves the loss scale, and is
        counted.

        Raises:
            Diverged: the norm is not finite; no weight was changed.
        """
        masters = list(self.masters.values())
        norm = float(
            nn.utils.clip_grad_norm_(
                masters,
                self.plan.clip_norm,
            )
        )
        if self.scaler is None:
            refuse_divergence(self.step, {"gradient norm": norm})
            self._update()
        elif math.isfinite(norm):
            self.scaler.record_update()
            self._update()
        else:
            self.scaler.record_overflow(self.step, norm)
            self.step += 1
        self.optimiser.zero_grad()
        return norm

    def _update(self) -> None:
        rate = learning_rate(self.step, self.plan)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.step += 1
        # a young average forgets its random start faster than an old one
        decay = min(self.plan.ema, (1 + self.step) / (10 + self.step))
        masters = [value.detach() for value in self.masters.values()]
        torch._foreach_lerp_(
            list(self.ema.values()),
            masters,
            1 - decay,
        )
        self._copy_to_modules(self.masters)

    @contextmanager
    def ema_weights(self) -> Iterator[None]:
        """Inside the block the modules hold the EMA weights."""
        self._copy_to_modules(self.ema)
        try:
            yield
        finally:
            self._copy_to_modules(self.masters)

    @torch.no_grad()
    def _copy_to_modules(self, source: TensorsByName) -> None:
        parameters: list[Tensor] = list(self._parameters.values())
        values = [source[key] for key in self._parameters]
        torch._foreach_copy_(parameters, values)

    def digest(self) -> str:
        """Sha256 of step and weights: the same in all processes."""
        found = hashlib.sha256(str(self.step).encode())
        for master in self.masters.values():
            values = master.detach().cpu().contiguous()
            found.update(values.numpy().tobytes())
        return found.hexdigest()

    def stop(self, reason: str) -> None:
        """End the run after this step; "": go on."""
        self.stopped = reason
        self.stopped_of = self.plan.steps if reason else 0

    def save(self, path: Path) -> None:
        """Write all of it, whole or not at all.

        Raises:
            Diverged: a weight is not finite.
        """
        maxima = [value.detach().abs().max() for value in self.masters.values()]
        largest = float(torch.stack(maxima).max())
        refuse_divergence(self.step, {"largest weight": largest})
        tensors: TensorsByName = {}
        for key, master in self.masters.items():
            tensors[f"{_MASTER}/{key}"] = master.detach()
            tensors[f"{_EMA}/{key}"] = self.ema[key]
            for moment, value in stored_moments(
                self.optimiser,
                master,
            ).items():
                tensors[f"{moment}/{key}"] = value
        contiguous = {key: value.contiguous() for key, value in tensors.items()}
        write_tensors(path, contiguous, self._facts())

    def _facts(self) -> dict[str, str]:
        """What is no tensor, as text."""
        facts = {"step": str(self.step)}
        if self.scaler:
            facts.update(self.scaler.facts())
        if self.stopped:
            facts["stopped"] = self.stopped
            facts["stopped_of"] = str(self.stopped_of)
        return facts

    def load(self, path: Path) -> None:
        """Go on from a saved state.

        Raises:
            BadWeights: the file is cut off, lacks a part, or is of another model.
        """
        try:
            stored, facts = read_all_tensors(path)
            step = int(facts["step"])
            stopped_of = int(facts.get("stopped_of", "0"))
            if self.scaler:
                self.scaler.restore(facts)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadWeights(path, str(error)) from error
        self._check_tensors(stored, path)
        self.step = step
        self.stopped_of = stopped_of
        is_longer = self.plan.steps > stopped_of
        self.stopped = "" if is_longer else facts.get("stopped", "")
        self._restore_tensors(stored)

    def _check_tensors(
        self,
        stored: TensorsByName,
        path: Path,
    ) -> None:
        """Refuse stored tensors that are not those of this model."""
        wanted = {f"{_MASTER}/{key}" for key in self.masters}
        found = {key for key in stored if key.startswith(f"{_MASTER}/")}
        if found != wanted:
            raise BadWeights(path, "its parameters are those of another model")
        for key, master in self.masters.items():
            for name in (f"{_MASTER}/{key}", f"{_EMA}/{key}"):
                if name not in stored or stored[name].shape != master.shape:
                    raise BadWeights(path, f"{name} is absent or of another shape")

    def _restore_tensors(self, stored: TensorsByName) -> None:
        moments: dict[str, TensorsByName] = {key: {} for key in self.masters}
        for name, value in stored.items():
            part, _, key = name.partition("/")
            if part not in (_MASTER, _EMA) and key in moments:
                moments[key][part] = value
        for key, master in self.masters.items():
            master.detach().copy_(stored[f"{_MASTER}/{key}"])
            self.ema[key].copy_(stored[f"{_EMA}/{key}"])
            restore_moments(
                self.optimiser,
                master,
                moments[key],
                self.plan,
            )
        self._copy_to_modules(self.masters)


def _as_float32(
    gradients: Sequence[Tensor],
    masters: Sequence[Tensor],
) -> list[Tensor]:
    """Gradients in float32 and in the masters' order of numbers, by few calls for all of them."""
    wide = [
        gradient
        if gradient.dtype == torch.float32 and gradient.is_contiguous()
        else torch.empty_like(master)
        for gradient, master in zip(gradients, masters, strict=True)
    ]
    pairs = [pair for pair in zip(wide, gradients, strict=True) if pair[0] is not pair[1]]
    if pairs:
        own, theirs = zip(*pairs, strict=True)
        torch._foreach_copy_(list(own), list(theirs))
    return wide


def _trained_parameters(modules: Mapping[str, nn.Module]) -> dict[str, nn.Parameter]:
    """Parameters that require gradients, by module and name."""
    parameters = {}
    for name, module in modules.items():
        for key, parameter in module.named_parameters():
            if parameter.requires_grad:
                parameters[f"{name}.{key}"] = parameter
    return parameters


def refuse_divergence(
    step: int,
    numbers: Mapping[str, float],
) -> None:
    """Stop before numbers of a step that are not finite reach weights, state or log.

    Raises:
        Diverged: naming the first of them.
    """
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise Diverged(step, name, value)
