"""Few steps distilled into an adapter: each of its steps ends where a teacher's path stands then.

Zhou et al. 2024, "Simple and fast distillation of diffusion models": the student takes Euler's
steps of its own, and is drawn at the end of each, by L1, to the latents of the teacher's path from
the same noise. The next step begins where the student's own has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ....model.adapters import (
    Network,
    add_adapter,
    merged,
    remove_adapters,
    set_active_adapter,
    set_adapter_weights,
)
from ....model.autoencoder import FACTOR
from ....model.bundle import Bundle
from ....model.structure import StructureFeatures
from ...data.crops import Batch
from ...recipes.adapter_options import FewStepsPlan
from ..painting import FollowPath
from .adapter_start import AdapterStart
from .losses import place_weights
from .train_task import DiffusionTrainTask

_Step: TypeAlias = tuple[Tensor, Tensor]
"""Latents (B, C, h, w) at the end of a step: the student's, and the teacher's."""


def merge_teacher(unet: Network, begun: AdapterStart) -> Network:
    """A base with the adapter that few steps are learnt from in its weights.

    Args:
        unet: the base; it has no adapter afterwards.
        begun: the teacher.
    """
    info = begun.info
    add_adapter(
        unet,
        info.name,
        rank=info.rank,
        alpha=info.alpha,
        targets=info.targets,
    )
    set_adapter_weights(unet, info.name, begun.weights)
    with_teacher = merged(unet, info.name)
    remove_adapters(unet)
    return with_teacher


class FewStepsTrainTask(DiffusionTrainTask):
    """Noise and conditions of random crops, and how far each of the student's steps ends from the
    teacher's path.

    Args:
        bundle: see `DiffusionTrainTask`; without its active adapter it is the teacher, in whose
            weights and structure encoder nothing learns.
        name: of the adapter that learns.
        few_steps: of the recipe.
        follow_path: samples with the teacher.
        arguments: of `DiffusionTrainTask`.
    """

    def __init__(
        self,
        bundle: Bundle,
        *arguments: Any,
        name: str,
        few_steps: FewStepsPlan,
        follow_path: FollowPath,
        **options: Any,
    ) -> None:
        super().__init__(bundle, *arguments, **options)
        self.name = name
        self.few_steps = few_steps
        self.follow_path = follow_path
        self.times = [1 - step / few_steps.steps for step in range(few_steps.steps + 1)]

    def _losses(
        self,
        batch: Batch,
        times: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """(B,) losses of all steps of a batch from this noise; `times` are those of the plan."""
        return self._losses_of(batch, self._steps(batch, noise))

    def _losses_of(
        self,
        batch: Batch,
        steps: Sequence[_Step],
    ) -> Tensor:
        weights = place_weights(batch.maps, self.weights, FACTOR)
        weights = weights / weights.mean(dim=(1, 2, 3), keepdim=True)
        weights = weights.to(self.bundle.device)
        losses = []
        for end, wanted in steps:
            error = (end - wanted).abs()
            losses.append((error * weights).mean(dim=(1, 2, 3)))
        return torch.stack(losses).sum(dim=0)

    def _steps(self, batch: Batch, noise: Tensor) -> list[_Step]:
        """The end of each of the student's steps, and the teacher's latents at its time."""
        device = self.bundle.device
        noise = noise.to(device).float()
        style = batch.style.to(device)
        with torch.no_grad():
            features = self.bundle.features(batch.maps)
            path = self._path(features, noise, style)
        steps = []
        noisy = noise
        for (start, end), wanted in zip(
            pairwise(self.times),
            path,
            strict=True,
        ):
            time = torch.full((len(noisy),), start, device=device)
            clean = self.bundle.denoiser.predict_x0(
                noisy,
                time,
                features,
                style,
            )
            moved = noisy + (end - start) * (noisy - clean) / start
            steps.append((moved, wanted))
            noisy = moved.detach()
        return steps

    def _path(
        self,
        features: StructureFeatures,
        noise: Tensor,
        style: Tensor,
    ) -> list[Tensor]:
        """The teacher's latents at the end of each step."""

        def denoise(noisy: Tensor, time: Tensor) -> Tensor:
            return self.bundle.denoiser.predict_x0(
                noisy,
                time,
                features,
                style,
            )

        set_active_adapter(self.bundle.unet, None)
        path = self.follow_path(
            denoise,
            noise,
            times=self.times[1:],
            steps=self.few_steps.teacher_steps,
        )
        set_active_adapter(self.bundle.unet, self.name)
        return path

    def validate(self) -> dict[str, float]:
        """Loss on held-out patients with fixed noise, and the squared error of what is sampled over
        the variance of the teacher's, per task.
        """
        numbers: dict[str, float] = {}
        total = 0.0
        for task, share in self.validated_tasks.items():
            loss, error = self._probe_numbers(self.probe[task])
            numbers[task] = loss
            numbers[f"{task}_error"] = error
            total = total + share * loss
        return {"loss": total, **numbers}

    def _probe_numbers(self, batch: Batch) -> tuple[float, float]:
        noise = self.probe_noise(batch)
        losses = []
        errors = []
        variances = []
        rows_of_all = torch.arange(len(noise))
        for rows in torch.split(rows_of_all, self.validation_batch):
            picked = batch.picked(rows)
            steps = self._steps(picked, noise[rows])
            losses.append(self._losses_of(picked, steps))
            end, wanted = steps[-1]
            errors.append((end - wanted).square().mean())
            variances.append(wanted.var())
        error = torch.stack(errors).mean() / torch.stack(variances).mean()
        return float(torch.cat(losses).mean()), float(error)
