"""What the loop trains for the autoencoder: it reconstructs tissue from latents that diffusion can
learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC
from torch import Tensor, nn

from ....core.arrays import Float64Array, IndexArray
from ....core.tile import Pixels
from ....model import autoencoder as ae
from ....model.parts import save_part
from ....tissue.augment import pose, restain, stain_matrix
from ...data.sources import Example
from ...loop.fit import module_weights
from ...recipes.autoencoder import AutoencoderPlan
from ...recipes.data import DataPlan
from ..sheets import stack_rows
from ..tile_checks import probe_side
from .adversary import Adversary

GRADIENT_REACHES_PX = (1, 2)
"""Distances over which image gradients are compared."""
POWER_WEIGHT = 0.01
"""Weight of the loss that keeps the spread of free channels at `free_std`."""
BASIS_SAMPLE = 200_000
"""Blocks of pixels whose principal components are computed, over all tiles."""


class AutoencoderTrainTask:
    """Random crops in random poses and stains; L1 on the image and on its gradients.

    Args:
        model: the network, on its device and in its working type.
        train: tiles to cut crops from.
        held_out: tiles of other patients; their central crops are measured.
        batch: crops per step.
        data: of the recipe.
        plan: of the recipe.
        stored: the model's weights before they were rounded; frozen ones are written from them.
        teacher: the decoder to learn from, beside the image; it is frozen here.
        adversary: what the decoder trains against, beside all that.
    """

    def __init__(
        self,
        model: AutoencoderDC,
        train: Sequence[Example],
        held_out: Sequence[Pixels],
        *,
        batch: int,
        data: DataPlan,
        plan: AutoencoderPlan,
        stored: Mapping[str, Tensor],
        teacher: nn.Module | None,
        adversary: Adversary | None = None,
    ) -> None:
        self.stored = stored
        self.model = model
        self.teacher = teacher
        self.batch = batch
        self.data = data
        self.plan = plan
        self.adversary = adversary
        self.train = [example.pixels for example in train]
        self.weights = _tile_weights(train)
        self.basis = block_basis(self.train, plan.anchored)
        self.held_out = _central_crops(held_out)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The autoencoder, and what learns beside it."""
        modules: dict[str, nn.Module] = {"autoencoder": self.model}
        if self.adversary is not None:
            modules["discriminator"] = self.adversary.discriminator
        return modules

    def loss(
        self,
        step: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Loss of one batch of crops."""
        random = np.random.default_rng(generator.initial_seed())
        drawn = random.choice(
            len(self.train),
            self.batch,
            p=self.weights,
        )
        images = self._draw_crops(random, drawn).to(self.model.device)
        latents = ae.encode(self.model, images)
        anchor_loss = self._anchor_loss(latents, images)
        power_loss = self._power_loss(latents)
        noise = torch.randn(latents.shape, generator=generator)
        noise = noise.to(latents)
        latents = latents + self.plan.latent_noise * noise
        chance = torch.rand((), generator=generator)
        is_halved = bool(chance < self.plan.halved)
        if is_halved:
            latents = F.avg_pool2d(latents, 2)
            images = F.avg_pool2d(images, 2)
        decoded = ae.decode(self.model, latents)
        image_loss = self._distance(decoded, images)
        latent_loss = self.plan.anchor_weight * anchor_loss + POWER_WEIGHT * power_loss
        loss: Tensor = image_loss + latent_loss
        if self.teacher is not None:
            with torch.no_grad():  # an encoder that learns is not to please the old decoder
                taught = self.teacher(latents).float()
            loss = loss + self.plan.teacher_weight * self._distance(decoded, taught)
        if self.adversary is not None and not is_halved:
            others = self._draw_crops(random, drawn)
            loss = loss + self.adversary.loss(
                others.to(images),
                decoded,
                drawn,
                random,
            )
        return loss

    def _distance(
        self,
        decoded: Tensor,
        images: Tensor,
    ) -> Tensor:
        """L1 of values, and of gradients with their weight."""
        gradient_losses = [
            _gradient_distance(decoded, images, reach) for reach in GRADIENT_REACHES_PX
        ]
        gradient_loss = sum(gradient_losses) / len(gradient_losses)
        sharpness_loss = self.plan.gradient_weight * gradient_loss
        distance: Tensor = (decoded - images).abs().mean() + sharpness_loss
        return distance

    def _anchor_loss(
        self,
        latents: Tensor,
        images: Tensor,
    ) -> Tensor:
        """L1 distance of the anchored channels from the principal components of the image."""
        anchored = latents[:, : len(self.basis)].float()
        targets = F.conv2d(
            images,
            self.basis.to(images),
            stride=ae.FACTOR,
        )
        differences = anchored - targets
        errors = differences.abs()
        return errors.sum() / max(targets.numel(), 1)

    def _power_loss(self, latents: Tensor) -> Tensor:
        """Distance of the free channels' mean square from `free_std` squared."""
        free = latents[:, len(self.basis) :].float()
        over_items = (0, 2, 3)
        power = free.var(dim=over_items) + free.mean(dim=over_items) ** 2
        relative = power / self.plan.free_std**2
        errors = (relative - 1) ** 2
        return errors.sum() / max(len(power), 1)

    def _draw_crops(
        self,
        random: np.random.Generator,
        drawn: IndexArray,
    ) -> Tensor:
        """Random crops (B, 3, H, W) in [-1, 1] of the tiles of these indices."""
        side = self.data.crop
        crops = []
        for index in drawn:
            tile = self.train[index]
            height, width = tile.shape[:2]
            y = random.integers(0, height - side + 1)
            x = random.integers(0, width - side + 1)
            stain = stain_matrix(random, self.data.stain_jitter)
            crop = tile[y : y + side, x : x + side]
            stained = restain(crop, stain)
            turn = int(random.integers(8))
            crops.append(np.ascontiguousarray(pose(stained, turn)))
        return ae.to_signal(torch.from_numpy(np.stack(crops)))

    def _reconstruct(self) -> Tensor:
        """Reconstructions of the held-out crops, one at a time."""
        decoded = []
        for image in self.held_out:
            latents = ae.encode(self.model, image[None])
            decoded.append(ae.decode(self.model, latents).cpu())
        return torch.cat(decoded)

    def validate(self) -> dict[str, float]:
        """Loss and PSNR (dB, mean over tiles) of the held-out patients' central crops."""
        reconstructed = self._reconstruct().clamp(-1, 1)
        difference = reconstructed - self.held_out
        error = (difference**2).mean(dim=(1, 2, 3)) / 4
        # a blank tile may come back without any error
        psnr = -10 * torch.log10(error.clamp_min(1e-10))
        return {
            "loss": float(difference.abs().mean()),
            "psnr_db": float(psnr.mean()),
            "psnr_worst_db": float(psnr.min()),
        }

    def picture(self) -> Pixels:
        """Held-out crops above, their reconstructions below."""
        originals = ae.to_pixels(self.held_out).numpy()
        reconstructed = ae.to_pixels(self._reconstruct()).numpy()
        return stack_rows([list(originals), list(reconstructed)])

    def export(
        self,
        folder: Path,
        averaged: Mapping[str, Tensor],
    ) -> None:
        """Diffusers' folder layout, fp32."""
        weights = {**self.stored, **module_weights(averaged, "autoencoder")}
        save_part(
            self.model,
            folder,
            dtype=torch.float32,
            weights=weights,
        )


def _tile_weights(train: Sequence[Example]) -> Float64Array:
    """(N,) chance of each tile: the root of its area keeps a few large tiles from crowding out many
    small ones.
    """
    shapes = [example.pixels.shape for example in train]
    areas = np.array(
        [shape[0] * shape[1] for shape in shapes],
        dtype=np.float64,
    )
    weights = np.sqrt(areas) * [example.share for example in train]
    chances: Float64Array = weights / weights.sum()
    return chances


def _central_crops(tiles: Sequence[Pixels]) -> Tensor:
    """The central squares of tiles, (N, 3, H, W) in [-1, 1]."""
    sides = [min(tile.shape[:2]) for tile in tiles]
    side = probe_side(sides, ae.FACTOR)
    signals = []
    for tile in tiles:
        y = (tile.shape[0] - side) // 2
        x = (tile.shape[1] - side) // 2
        crop = tile[y : y + side, x : x + side].copy()
        signals.append(ae.to_signal(torch.from_numpy(crop)))
    return torch.stack(signals)


def block_basis(
    tiles: Sequence[Pixels],
    count: int,
    *,
    sample: int = BASIS_SAMPLE,
) -> Tensor:
    """The first principal components of 8 x 8 px blocks, as convolution kernels (count, 3, 8, 8).

    Responses to images in [-1, 1] have a standard deviation that falls as the fourth root of the
    component's variance does, from 1: coarse components are louder than fine ones, so that noise
    hides them last and sampling settles them first.

    Args:
        tiles: (H, W, 3) uint8.
        count: of components.
        sample: of blocks, over all tiles.
    """
    random = np.random.default_rng(0)
    sampled = []
    for tile in tiles:
        blocks = _blocks(tile)
        kept = min(len(blocks), sample // len(tiles) + 1)
        sampled.append(
            blocks[
                random.choice(
                    len(blocks),
                    kept,
                    replace=False,
                )
            ]
        )
    values = np.concatenate(sampled).astype(np.float64) / 127.5 - 1
    variances, vectors = np.linalg.eigh(np.cov(values.T))
    variances = variances[::-1][:count]
    vectors = vectors[:, ::-1][:, :count]
    # eigenvectors have no sign of their own
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(count)])
    vectors = vectors * signs
    target_std = (variances / variances.max(initial=1e-9)) ** 0.25
    kernels = (vectors * target_std / np.sqrt(variances)).T
    shaped = kernels.reshape(
        count,
        3,
        ae.FACTOR,
        ae.FACTOR,
    )
    return torch.from_numpy(shaped.astype(np.float32))


def _blocks(tile: Pixels) -> Pixels:
    """(N, 3 * 8 * 8) all whole blocks of a tile."""
    side = ae.FACTOR
    rows = tile.shape[0] // side
    columns = tile.shape[1] // side
    cut = tile[: rows * side, : columns * side]
    blocks = cut.reshape(
        rows,
        side,
        columns,
        side,
        3,
    ).transpose(
        0,
        2,
        4,
        1,
        3,
    )
    return blocks.reshape(-1, 3 * side * side)


def _gradient_distance(
    first: Tensor,
    second: Tensor,
    reach: int,
) -> Tensor:
    difference = first - second
    across = difference[..., reach:] - difference[..., :-reach]
    down = difference[..., reach:, :] - difference[..., :-reach, :]
    return across.abs().mean() + down.abs().mean()
