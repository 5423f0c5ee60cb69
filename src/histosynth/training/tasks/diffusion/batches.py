"""Batches of the diffusion tasks: random crops of latent views with their conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ....core.geometry import Box, Size
from ....core.nuclei import Nuclei
from ....core.tile import Mask
from ....model.autoencoder import FACTOR
from ....model.bundle import Bundle
from ....model.conditioning import ItemConditions, encode_conditions
from ....model.families.family import Family
from ....tissue.masks import draw_mask
from ...data.batch_sampler import BatchSampler
from ...data.crops import Batch, CropItem
from ...data.views import LatentView
from ...recipes.diffusion import DiffusionPlan
from ...recipes.loop import LoopPlan
from ..tile_checks import probe_side

_CPU = torch.device("cpu")
UNDEFINED_CLASS_SHARES = (0.3, 1.0)
"""Shares of nuclei without a class, where classes are dropped: as from a detector that is unsure
of some nuclei, and from one without classes."""
UNKNOWN_SHAPE_SHARES = (0.3, 1.0)
"""Shares of nuclei without a shape, where shapes are dropped."""


def items_per_batch(
    plan: DiffusionPlan,
    loop: LoopPlan,
    side: int,
    *,
    family: Family,
) -> int:
    """Items of a batch of crops of `side` px: every batch has about the same number of pixels.

    Args:
        plan: crops of the recipe.
        loop: of the recipe; `loop.batch` counts crops of one side.
        side: of the crops, px.
        family: of the base.
    """
    counted_px = plan.batch_px or family.default_batch_px or max(plan.crops)
    return max(round(loop.batch * (counted_px / side) ** 2), 1)


def smallest_batch(
    plan: DiffusionPlan,
    loop: LoopPlan,
    *,
    family: Family,
) -> int:
    """Items of the smallest batch that a recipe draws."""
    return min(
        items_per_batch(
            plan,
            loop,
            side,
            family=family,
        )
        for side in plan.drawn_crops()
    )


class CropBatches:
    """Draws crops with their conditions, and stacks them to batches.

    Args:
        bundle: gives labels, classes and standardisation.
        views: latent views of each training tile.
        plan: crops, masks, and shares of dropped conditions.
        loop: batch size.
    """

    def __init__(
        self,
        bundle: Bundle,
        views: Sequence[Sequence[LatentView]],
        plan: DiffusionPlan,
        loop: LoopPlan,
    ) -> None:
        self.bundle = bundle
        self.plan = plan
        self.loop = loop
        self.style_std = torch.tensor(bundle.info.style_std)
        self.sampler = BatchSampler(views, plan, grid_px=bundle.grid_px)

    @property
    def smallest(self) -> int:
        """Items of the smallest batch."""
        return smallest_batch(self.plan, self.loop, family=self.bundle.family)

    def draw(self, random: np.random.Generator) -> list[CropItem]:
        """The items of one batch: all with masks, or all without."""
        shape = self.sampler.sample_shape(random)
        with_masks = random.random() < (self.plan.mask_share or 0.0)
        size = (shape.width, shape.height)
        count = items_per_batch(
            self.plan,
            self.loop,
            shape.side,
            family=self.bundle.family,
        )
        items = []
        for view in self.sampler.sample_views(random, shape, count):
            x = self._draw_offset(random, view.size[0], shape.width)
            y = self._draw_offset(random, view.size[1], shape.height)
            mask = None
            if with_masks:
                mask = draw_mask(random, size, full=self.plan.full_share)
            items.append(
                self.item(
                    view,
                    Box(x, y, *size),
                    mask,
                    random,
                )
            )
        return items

    @staticmethod
    def _draw_offset(random: np.random.Generator, length: int, side: int) -> int:
        """Where a crop begins along one axis: a whole latent cell, in px."""
        return int(random.integers((length - side) // FACTOR + 1)) * FACTOR

    def item(
        self,
        view: LatentView,
        box: Box,
        mask: Mask | None,
        random: np.random.Generator | None,
    ) -> CropItem:
        """One crop with its conditions; without `random` nothing is dropped or varied."""
        conditions = ItemConditions(
            None if view.nuclei is None else view.nuclei.crop(box),
            mask=mask,
            style=view.styles[0],
            label=self._label_index(view.label),
        )
        if random is not None:
            conditions = self._dropped(conditions, view, random)
        return CropItem(view, box, conditions)

    def _label_index(self, label: str) -> int | None:
        if label not in self.bundle.info.labels:
            return None
        return self.bundle.label_index(label)

    def _dropped(
        self,
        conditions: ItemConditions,
        view: LatentView,
        random: np.random.Generator,
    ) -> ItemConditions:
        """The conditions, some of them left out, and the style varied."""
        plan = self.plan
        nuclei = conditions.nuclei
        if random.random() < plan.drop_nuclei:
            nuclei = None
        if nuclei is not None:
            nuclei = self._without_some_classes(nuclei, random)
            if self.bundle.structure.config.shapes:  # else a run draws what it drew before
                nuclei = self._without_some_shapes(nuclei, random)
        label = conditions.label
        if random.random() < plan.drop_label:
            label = None
        style: Tensor | None = self._varied_style(view, random)
        if random.random() < plan.drop_style:
            style = None
        if plan.drop_all and random.random() < plan.drop_all:
            return replace(
                conditions,
                nuclei=None,
                label=None,
                style=None,
            )
        return replace(
            conditions,
            nuclei=nuclei,
            label=label,
            style=style,
        )

    def _without_some_classes(self, nuclei: Nuclei, random: np.random.Generator) -> Nuclei:
        drop_classes = self.plan.drop_classes
        if not drop_classes or random.random() >= drop_classes:
            return nuclei
        share = random.choice(list(UNDEFINED_CLASS_SHARES))
        return nuclei.without_class(random.random(len(nuclei)) < share)

    def _without_some_shapes(self, nuclei: Nuclei, random: np.random.Generator) -> Nuclei:
        if nuclei.shapes is None or random.random() >= self.plan.drop_shapes:
            return nuclei
        share = random.choice(list(UNKNOWN_SHAPE_SHARES))
        return nuclei.without_shape(random.random(len(nuclei)) < share)

    def _varied_style(self, view: LatentView, random: np.random.Generator) -> Tensor:
        """The style of a random stain of the view's tile, with noise."""
        style = view.styles[int(random.integers(len(view.styles)))]
        noise = random.normal(0, self.plan.style_noise, len(style)).astype(np.float32)
        return style + torch.from_numpy(noise) * self.style_std

    def collate(
        self,
        items: Sequence[CropItem],
        device: torch.device = _CPU,
    ) -> Batch:
        """Items of one size as a batch; its pixels stay on the CPU.

        Args:
            items: the crops.
            device: of all that the networks take.
        """
        latents = torch.stack([item.latents() for item in items])
        pixels = torch.stack([item.pixels() for item in items])
        conditions = []
        for item, crop in zip(items, pixels, strict=True):
            known = None if item.conditions.mask is None else crop.numpy()
            conditions.append(replace(item.conditions, known=known))
        box = items[0].box
        conditioning = encode_conditions(
            conditions,
            self.bundle.info,
            size=Size(box.width, box.height),
            device=device,
        )
        return Batch(
            self.bundle.standardise(latents.to(device)),
            conditioning.maps,
            conditioning.style.to(device),
            pixels,
        )

    def probe(self, views: Sequence[LatentView]) -> dict[str, Batch]:
        """Central crops of held-out views: `global` without masks, `local` with a fixed mask each.

        Args:
            views: one of each held-out tile.
        """
        random = np.random.default_rng(0)
        side = probe_side([min(view.size) for view in views], self.bundle.grid_px)
        whole = []
        masked = []
        for view in views:
            x = (view.size[0] - side) // 2 // FACTOR * FACTOR
            y = (view.size[1] - side) // 2 // FACTOR * FACTOR
            box = Box(x, y, side, side)
            whole.append(self.item(view, box, None, None))
            masked.append(
                self.item(
                    view,
                    box,
                    draw_mask(random, (side, side)),
                    None,
                )
            )
        return {"global": self.collate(whole), "local": self.collate(masked)}
