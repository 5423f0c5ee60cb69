"""Crops of latent views with their conditions, and batches of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...core.geometry import Box
from ...model.autoencoder import FACTOR
from ...model.conditioning import ItemConditions
from ...model.structure import StructureMaps
from .views import LatentView


@dataclass(frozen=True, eq=False)
class CropItem:
    """One crop with its conditions.

    Attributes:
        view: the latent view it is cut from.
        box: place of the crop in the view, px.
        conditions: of the crop, without its known pixels.
    """

    view: LatentView
    box: Box
    conditions: ItemConditions

    def latents(self) -> Tensor:
        """The crop's latents (C, h, w)."""
        cells = Box(
            self.box.x // FACTOR,
            self.box.y // FACTOR,
            self.box.width // FACTOR,
            self.box.height // FACTOR,
        )
        rows, columns = cells.slices
        return self.view.latents[:, rows, columns]

    def pixels(self) -> Tensor:
        """The crop's pixels (H, W, 3) uint8."""
        return self.view.pixels[self.box.slices]


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops of one size with their conditions.

    Attributes:
        latents: (B, C, h, w), standardised.
        maps: nuclei, known pixels and masks.
        style: (B, S).
        pixels: (B, H, W, 3) uint8.
    """

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
