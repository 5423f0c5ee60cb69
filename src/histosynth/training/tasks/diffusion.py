"""The diffusion task: base and both adapters are this task with other modules and other holes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...core.geometry import Box
from ...core.tile import Mask, Pixels
from ...model.autoencoder import FACTOR
from ...model.bundle import Bundle
from ...model.conditioning import ItemConditions, encode_conditions
from ...model.families.family import Family
from ...model.structure import StructureMaps
from ...tissue.masks import draw_mask
from ..adapter_options import GuidedPlan
from ..data.batch_sampler import BatchSampler
from ..data.views import LatentView
from ..guidance_distillation import guided_answer
from ..loop.microbatches import WHOLE_BATCH, Part
from ..losses import class_weights, diffusion_loss, draw_steps, draw_times, place_weights
from ..recipes import DiffusionPlan, LoopPlan
from .autoencoder import probe_side

SHOWN = 16
"""Held-out crops on a validation sheet, at most."""
PROBE_TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Noise levels of the validation loss."""

Paint = Callable[[Bundle, "Batch"], list[Pixels]]
Item = tuple[LatentView, Box, ItemConditions]
"""A crop: its view, its box in the view, and its conditions without the known tissue."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops of one size with their conditions."""

    latents: Tensor
    maps: StructureMaps
    style: Tensor
    pixels: Tensor

    def picked(self, rows: Tensor) -> Batch:
        """The items at `rows`."""
        return Batch(
            self.latents[rows],
            self.maps.picked(rows),
            self.style[rows],
            self.pixels[rows],
        )


def items_of(
    plan: DiffusionPlan,
    loop: LoopPlan,
    side: int,
    *,
    family: Family,
) -> int:
    """Items of a batch of crops of `side` px, on a base of a family."""
    batch_px = plan.batch_px or family.default_batch_px or max(plan.crops)
    return max(round(loop.batch * (batch_px / side) ** 2), 1)


class DiffusionTask:
    """Noisy latents of random crops, their structure, and how wrong the network is.

    Args:
        bundle: the networks; those in `trained` learn, the others are frozen.
        trained: modules by name, e.g. `{"unet": bundle.unet, "structure": bundle.structure}`.
        train: views of each training tile.
        held_out: one view of each validation tile.
        plan: what the recipe says of conditions and losses.
        loop: batch size.
        paint: makes pictures of a batch, for the sheet; handed in, because training does not
            sample.
        save: writes averaged weights in their final format.
        guided: an adapter's name and the guidance it learns instead of tissue.
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
        save: Callable[[Path, Mapping[str, Tensor]], None],
        guided: tuple[str, GuidedPlan] | None = None,
    ) -> None:
        self.bundle = bundle
        self.trained = trained
        self.plan = plan
        self.loop = loop
        self.paint = paint
        self.save = save
        self.guided = guided
        self.held_out = held_out
        self.at_a_time = max(
            loop.batch // loop.accumulate, 1
        )  # what fits in training fits in validation
        self.style_std = torch.tensor(bundle.info.style_std)
        self.weights = class_weights(bundle.info.classes, plan.nucleus_weights)
        self.sampler = BatchSampler(train, plan, grid_px=bundle.grid_px)
        self.probe = self._probe()

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """What learns."""
        return self.trained

    @property
    def max_parts(self) -> int:
        """Items of the smallest batch: so many parts have one each."""
        drawn = zip(self.plan.crops, self.plan.crop_shares, strict=True)
        return min(self._count(side) for side, share in drawn if share)

    def loss(
        self,
        step: int,
        generator: torch.Generator,
        part: Part = WHOLE_BATCH,
    ) -> Tensor:
        """Loss of one batch, all of one kind: with holes, or all hole.

        Randomness is drawn for the whole batch, so that a part's items are the same however it is
        cut; only the part's own are looked at. A part of fewer items counts as much less: the
        parts' mean is the whole.
        """
        random = np.random.default_rng(generator.initial_seed())
        items = self._draw(random)
        times = self._times(len(items), generator)
        view, box, *_ = items[0]
        cells = (box.height // FACTOR, box.width // FACTOR)
        noise = torch.randn((len(items), len(view.latents), *cells), generator=generator)
        batch = self._collate(part.take(items))
        share = len(batch.latents) * part.count / len(items)
        return self._losses(batch, part.take(times), part.take(noise)).mean() * share

    def _losses(
        self,
        batch: Batch,
        times: Tensor,
        noise: Tensor,
    ) -> Tensor:
        device = self.bundle.device
        level = self.bundle.denoiser.level(times.to(device))
        clean = batch.latents.to(device)
        noise = noise.to(device)
        style = batch.style.to(device)
        noisy = level.mix(clean, noise)
        times = times.to(device)
        target = None
        if self.guided:
            name, plan = self.guided
            target = guided_answer(
                self.bundle,
                name,
                batch.maps,
                noisy=noisy,
                times=times,
                style=style,
                plan=plan,
            )
        features = self.bundle.features(batch.maps)
        said = self.bundle.denoiser.predict(noisy, times, features, style)
        prediction_type = self.bundle.info.prediction
        places = place_weights(batch.maps, self.weights, FACTOR)
        return diffusion_loss(
            said,
            clean,
            noise,
            level,
            prediction_type=prediction_type,
            places=places.to(device),
            min_snr=self.plan.min_snr,
            target=target,
        )

    def _count(self, side: int) -> int:
        """Items of a batch of crops of `side` px: it keeps its number of pixels."""
        return items_of(
            self.plan,
            self.loop,
            side,
            family=self.bundle.family,
        )

    def _times(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) noise levels as the network counts them."""
        steps = self.bundle.denoiser.steps
        uniform = self.plan.times == "uniform" or (not self.plan.times and steps is not None)
        if uniform:
            return draw_steps(count, generator, steps=steps or 1000)
        return draw_times(
            count,
            generator,
            mean=self.plan.time_mean,
            spread=self.plan.time_spread,
        )

    def _draw(self, random: np.random.Generator) -> list[Item]:
        shape = self.sampler.sample_shape(random)
        holed = random.random() < self.plan.mask_share
        size = (shape.width, shape.height)
        items = []
        for view in self.sampler.sample_views(random, shape, self._count(shape.side)):
            x, y = (
                int(random.integers((length - side) // FACTOR + 1)) * FACTOR
                for length, side in zip(view.size, size, strict=True)
            )
            mask = draw_mask(random, size, full=self.plan.full_share) if holed else None
            items.append(self._item(view, Box(x, y, *size), mask, random))
        return items

    def _item(
        self,
        view: LatentView,
        box: Box,
        mask: Mask | None,
        random: np.random.Generator | None,
    ) -> Item:
        nuclei = None if view.nuclei is None else view.nuclei.crop(box)
        style: Tensor | None = view.styles[0]
        label = (
            self.bundle.label_index(view.label) if view.label in self.bundle.info.labels else None
        )
        if random is not None:
            nuclei = None if random.random() < self.plan.drop_nuclei else nuclei
            if (
                nuclei is not None
                and self.plan.drop_classes
                and random.random() < self.plan.drop_classes
            ):
                share = random.choice(
                    [0.3, 1.0]
                )  # as from a detector unsure of some, or without classes
                nuclei = nuclei.without_class(random.random(len(nuclei)) < share)
            label = None if random.random() < self.plan.drop_label else label
            drawn = view.styles[int(random.integers(len(view.styles)))]
            blur = torch.from_numpy(
                random.normal(0, self.plan.style_noise, len(drawn)).astype(np.float32)
            )
            style = (
                None if random.random() < self.plan.drop_style else drawn + blur * self.style_std
            )
            if self.plan.drop_all and random.random() < self.plan.drop_all:
                nuclei = None
                label = None
                style = None
        return view, box, ItemConditions(nuclei, mask=mask, style=style, label=label)

    def _collate(self, items: Sequence[Item]) -> Batch:
        cells = [
            Box(*(v // FACTOR for v in (b.x, b.y, b.width, b.height))).slices for _, b, _ in items
        ]
        latents = torch.stack(
            [
                view.latents[:, rows, cols]
                for (view, *_), (rows, cols) in zip(items, cells, strict=True)
            ]
        )
        pixels = torch.stack([view.pixels[box.slices] for view, box, *_ in items])
        conditions = []
        for (*_, each), crop in zip(items, pixels, strict=True):
            known = None if each.mask is None else crop.numpy()
            conditions.append(replace(each, known=known))
        box = items[0][1]
        conditioning = encode_conditions(
            conditions,
            self.bundle.info,
            size=(box.width, box.height),
        )
        return Batch(
            self.bundle.standardise(latents),
            conditioning.maps,
            conditioning.style,
            pixels,
        )

    def _probe(self) -> dict[str, Batch]:
        """Central crops of the held-out tiles, as whole tiles and with a fixed hole each."""
        random = np.random.default_rng(0)
        side = probe_side([min(view.size) for view in self.held_out], self.bundle.grid_px)
        whole = []
        holed = []
        for view in self.held_out:
            x, y = ((length - side) // 2 // FACTOR * FACTOR for length in view.size)
            box = Box(x, y, side, side)
            whole.append(self._item(view, box, None, None))
            holed.append(self._item(view, box, draw_mask(random, (side, side)), None))
        return {"global": self._collate(whole), "local": self._collate(holed)}

    def validate(self) -> dict[str, float]:
        """Loss on held-out patients with fixed noise: mean, per task, and at each noise level."""
        numbers: dict[str, float] = {}
        for task in self.looked_at:
            batch = self.probe[task]
            for time in PROBE_TIMES:
                noise = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(1))
                times = torch.full((len(batch.latents),), time)
                each = []
                for rows in torch.split(torch.arange(len(batch.latents)), self.at_a_time):
                    each.append(self._losses(batch.picked(rows), times[rows], noise[rows]))
                numbers[f"{task}_{time:g}"] = float(torch.cat(each).mean())
            numbers[task] = float(np.mean([numbers[f"{task}_{time:g}"] for time in PROBE_TIMES]))
        return {
            "loss": sum(share * numbers[task] for task, share in self.looked_at.items()),
            **numbers,
        }

    @property
    def looked_at(self) -> dict[str, float]:
        """Tasks that are validated, by their share of the loss.

        A base that was trained on structure does both. An adapter on another base learns one of
        them, or a mixture, and its encoder is not trained for the rest.
        """
        if self.bundle.family.trained_on_structure:
            return {"global": 0.5, "local": 0.5}
        both = {"global": 1 - self.plan.mask_share, "local": self.plan.mask_share}
        return {task: share for task, share in both.items() if share}

    def picture(self) -> Pixels:
        """Held-out crops, evenly over all: real, painted whole from their nuclei, hole, and
        completed.
        """
        count = len(self.held_out)
        rows = torch.linspace(0, count - 1, min(count, SHOWN)).round().long()
        probe = {task: batch.picked(rows) for task, batch in self.probe.items()}
        real = [image.numpy() for image in probe["global"].pixels]
        whole = self.paint(self.bundle, probe["global"])
        completed = self.paint(self.bundle, probe["local"])
        masks = probe["local"].maps.mask[:, 0].numpy() > 0
        damaged = [
            np.where(h[..., None], 255, r).astype(np.uint8)
            for h, r in zip(masks, real, strict=True)
        ]
        mended = [
            np.where(h[..., None], c, r) for h, c, r in zip(masks, completed, real, strict=True)
        ]
        sheet: Pixels = np.concatenate(
            [np.concatenate(row, axis=1) for row in (real, whole, damaged, mended)]
        )
        return sheet

    def export(self, folder: Path, averaged: Mapping[str, Tensor]) -> None:
        """Write the weights."""
        self.save(folder, averaged)
