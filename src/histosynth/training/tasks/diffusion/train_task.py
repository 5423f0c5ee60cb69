"""What the loop trains for the base and for adapters: one task with other modules and masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ....core.tile import Pixels
from ....model.autoencoder import FACTOR
from ....model.bundle import Bundle
from ....model.prediction import target_for
from ....model.structure import StructureMaps
from ...data.crops import Batch
from ...data.views import LatentView
from ...loop.microbatches import WHOLE_BATCH, Part
from ...recipes.adapter_options import GuidedPlan
from ...recipes.diffusion import DiffusionPlan
from ...recipes.loop import LoopPlan
from ..painting import Paint
from ..sheets import stack_rows
from .batches import CropBatches
from .guidance_distillation import guidance_change, guided_answer
from .losses import class_weights, diffusion_loss, draw_steps, draw_times, place_weights

MAX_SHEET_CROPS = 16
"""Held-out crops on a validation sheet, at most."""
PROBE_TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Noise levels of the validation loss."""
DISCRETE_STEPS = 1000
"""Steps that uniform times fall on where the base itself has none."""

Save = Callable[[Path, Mapping[str, Tensor]], None]
"""Writes averaged weights, by module and name, into a folder."""


@dataclass(frozen=True, eq=False)
class PreparedCrops:
    """A part of a batch, ready for the networks.

    Attributes:
        batch: of crops.
        times: (B,) noise levels.
        noise: (B, C, h, w).
        share: weight of its mean loss in that of the whole batch, times the number of parts.
    """

    batch: Batch
    times: Tensor
    noise: Tensor
    share: float


class DiffusionTrainTask:
    """Noisy latents of random crops, their conditions, and the error of the network's output.

    Args:
        bundle: the networks; those in `trained` learn, the others are frozen.
        trained: modules by name, e.g. `{"unet": bundle.unet, "structure": bundle.structure}`.
        train: views of each training tile.
        held_out: one view of each validation tile.
        plan: conditions and losses of the recipe.
        loop: batch size.
        paint: samples pictures of a batch, for the sheet.
        save: writes averaged weights in their final format.
        guided: an adapter's name and the guidance it learns instead of tissue.
        guide: a bundle of the same base, with the base's own structure encoder; where it is given,
            the adapter learns tissue, and what guidance of this bundle adds to it.
    """

    def __init__(
        self,
        bundle: Bundle,
        trained: Mapping[str, nn.Module],
        train: Sequence[Sequence[LatentView]],
        held_out: Sequence[LatentView],
        *,
        plan: DiffusionPlan,
        loop: LoopPlan,
        paint: Paint,
        save: Save,
        guided: tuple[str, GuidedPlan] | None = None,
        guide: Bundle | None = None,
    ) -> None:
        self.bundle = bundle
        self.trained = trained
        self.plan = plan
        self.paint = paint
        self.save = save
        self.guided = guided
        self.guide = guide
        # what fits into memory in training fits in validation
        self.validation_batch = max(loop.batch // loop.accumulate, 1)
        self.weights = class_weights(bundle.info.classes, plan.nucleus_weights)
        self.batches = CropBatches(bundle, train, plan, loop)
        self.probe = self.batches.probe(held_out)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The modules that learn."""
        return self.trained

    @property
    def max_parts(self) -> int:
        """Items of the smallest batch: the largest number of parts with an item each."""
        return self.batches.smallest

    def loss(
        self,
        step: int,
        generator: torch.Generator,
        part: Part = WHOLE_BATCH,
    ) -> Tensor:
        """Loss of one batch, with masks in all of its items or in none."""
        return self.prepared_loss(self.prepare(step, generator, part))

    def prepare(
        self,
        step: int,
        generator: torch.Generator,
        part: Part = WHOLE_BATCH,
    ) -> PreparedCrops:
        """A part of one batch on the device of the networks, which take no part in it.

        Randomness is drawn for the whole batch, so that a part's items are the same however it is
        cut; latents are read for the part's own items only. A part of fewer items has less weight:
        the mean over the parts is the loss of the whole batch.
        """
        random = np.random.default_rng(generator.initial_seed())
        items = self.batches.draw(random)
        times = self._draw_times(len(items), generator)
        first = items[0]
        channels = len(first.view.latents)
        cells = (first.box.height // FACTOR, first.box.width // FACTOR)
        noise = torch.randn((len(items), channels, *cells), generator=generator)
        device = self.bundle.device
        batch = self.batches.collate(part.take(items), device)
        return PreparedCrops(
            batch,
            part.take(times).to(device),
            part.take(noise).to(device),
            len(batch.latents) * part.count / len(items),
        )

    def prepared_loss(self, prepared: PreparedCrops) -> Tensor:
        """Loss of what `prepare` gave."""
        losses = self._losses(prepared.batch, prepared.times, prepared.noise)
        return losses.mean() * prepared.share

    def _draw_times(
        self,
        count: int,
        generator: torch.Generator,
    ) -> Tensor:
        """(count,) noise levels as the network counts them."""
        steps = self.bundle.denoiser.steps
        uniform = self.plan.times == "uniform"
        if not self.plan.times:
            uniform = steps is not None
        if uniform:
            return draw_steps(count, generator, steps=steps or DISCRETE_STEPS)
        return draw_times(
            count,
            generator,
            mean=self.plan.time_mean,
            spread=self.plan.time_spread,
        )

    def _losses(
        self,
        batch: Batch,
        times: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """(B,) losses of a batch at these noise levels."""
        device = self.bundle.device
        level = self.bundle.denoiser.level(times.to(device))
        clean = batch.latents.to(device)
        noise = noise.to(device)
        style = batch.style.to(device)
        noisy = level.mix(clean, noise)
        times = times.to(device)
        target = self._target(
            batch.maps,
            noisy,
            times,
            style,
        )
        if self.guide is not None and target is not None:
            target = target + target_for(
                self.bundle.info.prediction,
                clean,
                noise,
                level,
            )
        features = self.bundle.features(batch.maps)
        output = self.bundle.denoiser.predict(
            noisy,
            times,
            features,
            style,
        )
        places = place_weights(batch.maps, self.weights, FACTOR)
        return diffusion_loss(
            output,
            clean,
            noise,
            level,
            prediction_type=self.bundle.info.prediction,
            places=places.to(device),
            min_snr=self.plan.min_snr,
            target=target,
        )

    def _target(
        self,
        maps: StructureMaps,
        noisy: Tensor,
        times: Tensor,
        style: Tensor,
    ) -> Tensor | None:
        """What is learnt of guidance, (B, C, h, w); None: nothing is."""
        if self.guided is None:
            return None
        name, guidance = self.guided
        of_guidance = guided_answer if self.guide is None else guidance_change
        return of_guidance(
            self.guide or self.bundle,
            name,
            maps,
            noisy=noisy,
            times=times,
            style=style,
            plan=guidance,
        )

    def validate(self) -> dict[str, float]:
        """Loss on held-out patients with fixed noise: mean, per task, and at each noise level."""
        numbers: dict[str, float] = {}
        total = 0.0
        for task, share in self.validated_tasks.items():
            per_time = []
            for time in PROBE_TIMES:
                loss = self._probe_loss(self.probe[task], time)
                numbers[f"{task}_{time:g}"] = loss
                per_time.append(loss)
            numbers[task] = float(np.mean(per_time))
            total = total + share * numbers[task]
        return {"loss": total, **numbers}

    def _probe_loss(self, batch: Batch, time: float) -> float:
        """Mean loss of a held-out batch at one noise level, a few items at a time."""
        count = len(batch.latents)
        noise = self.probe_noise(batch)
        times = torch.full((count,), time)
        losses = []
        for rows in torch.split(torch.arange(count), self.validation_batch):
            picked = batch.picked(rows)
            losses.append(self._losses(picked, times[rows], noise[rows]))
        return float(torch.cat(losses).mean())

    @staticmethod
    def probe_noise(batch: Batch) -> Tensor:
        """(B, C, h, w) noise of a held-out batch, always the same."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn(batch.latents.shape, generator=generator)

    @property
    def validated_tasks(self) -> dict[str, float]:
        """Tasks that are validated, and their shares of the validation loss: those of training.

        What an adapter is not trained for must not choose its best weights.
        """
        local = self.plan.mask_share or 0.0
        shares = {"global": 1 - local, "local": local}
        return {task: share for task, share in shares.items() if share}

    def picture(self) -> Pixels:
        """Held-out crops, evenly over all, in four rows: real, sampled from their nuclei, with a
        mask, and completed.
        """
        count = len(self.probe["global"].latents)
        shown = min(count, MAX_SHEET_CROPS)
        rows = torch.linspace(0, count - 1, shown).round().long()
        whole = self.probe["global"].picked(rows)
        masked = self.probe["local"].picked(rows)
        real = [image.numpy() for image in whole.pixels]
        sampled = self.paint(self.bundle, whole)
        filled = self.paint(self.bundle, masked)
        masks = masked.maps.mask[:, 0].numpy() > 0
        damaged = []
        completed = []
        for mask, before, after in zip(masks, real, filled, strict=True):
            inside = mask[..., None]
            blank = np.where(inside, 255, before)
            damaged.append(blank.astype(np.uint8))
            completed.append(np.where(inside, after, before))
        return stack_rows([real, sampled, damaged, completed])

    def export(
        self,
        folder: Path,
        averaged: Mapping[str, Tensor],
    ) -> None:
        """Write the weights."""
        self.save(folder, averaged)
