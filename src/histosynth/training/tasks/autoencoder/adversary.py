"""What a decoder trains against: a discriminator that sees its crops with grain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ....core.arrays import BoolArray, Float32Array, IndexArray
from ....core.tile import Pixels, Tile
from ....model import autoencoder as ae
from ....tissue.appearance import fit_stain_frame, measure_appearance
from ....tissue.film_grain import add_grain
from ....tissue.grain_table import Grain
from ...data.sources import Example
from .discriminator import Discriminator, adversarial_loss

_MAX_SEED = 1 << 31


@dataclass(frozen=True, eq=False)
class TileGrain:
    """Grain of each training tile.

    Attributes:
        grain: of a bundle.
        strengths: (3,) standard deviations of each tile's grain, grey levels of canonical stain.
    """

    grain: Grain
    strengths: Sequence[Float32Array]

    @classmethod
    def of(cls, grain: Grain, tiles: Sequence[Pixels]) -> TileGrain:
        """As strong as the noise of each tile (H, W, 3) says."""
        strengths = []
        for tile in tiles:
            noise = measure_appearance(tile).noise
            strengths.append(grain.table.strength_of(noise))
        return cls(grain, strengths)

    def add(
        self,
        decoded: Tensor,
        tiles: IndexArray,
        random: np.random.Generator,
    ) -> Tensor:
        """Decoded crops as pictures show them; no gradient passes through the grain.

        Args:
            decoded: (B, 3, H, W) in [-1, 1].
            tiles: (B,) the tile of each crop.
            random: of the grain.
        """
        pixels = ae.to_float_pixels(decoded.detach())
        grains = []
        for crop, tile in zip(
            pixels.cpu().numpy(),
            tiles,
            strict=True,
        ):
            grained = add_grain(
                crop,
                self.grain.patches,
                self.strengths[tile],
                seed=int(random.integers(_MAX_SEED)),
            )
            grains.append(torch.from_numpy(grained - crop))
        signal = torch.stack(grains).movedim(-1, -3) / 127.5
        return decoded + signal.to(decoded)


@dataclass(frozen=True, eq=False)
class Adversary:
    """A discriminator, and what it sees.

    Attributes:
        discriminator: that learns.
        weight: of the decoder's loss by it.
        is_shown: (N,) whether it sees crops of a tile: not where blocks of JPEG took its texture.
        grain: that lies over decoded crops.
    """

    discriminator: Discriminator
    weight: float
    is_shown: BoolArray
    grain: TileGrain | None = None

    def loss(
        self,
        real: Tensor,
        decoded: Tensor,
        tiles: IndexArray,
        random: np.random.Generator,
    ) -> Tensor:
        """Loss of both sides: see `adversarial_loss`, and `TileGrain.add`.

        Args:
            real: (B, 3, H, W) other crops of the tiles.
            decoded: (B, 3, H, W) decoded crops of the tiles.
            tiles: (B,) their indices.
            random: of the grain.
        """
        shown = np.flatnonzero(self.is_shown[tiles])
        if not len(shown):
            return decoded.new_zeros(())
        real = real[shown]
        decoded = decoded[shown]
        if self.grain is not None:
            decoded = self.grain.add(decoded, tiles[shown], random)
        return adversarial_loss(
            self.discriminator,
            real,
            decoded,
            weight=self.weight,
        )


def in_canonical_stain(example: Example) -> Example:
    """The same tissue in canonical stain, where grain is added."""
    pixels = example.pixels
    canonical = fit_stain_frame(pixels).to_canonical(pixels)
    rounded = np.rint(canonical).clip(0, 255)
    tile = Tile(
        example.tile.ref,
        rounded.astype(np.uint8),
    )
    return replace(example, tile=tile)
