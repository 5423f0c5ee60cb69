"""The autoencoder's task: give back the tissue, with latents that diffusion can learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC
from torch import Tensor, nn

from ....core.tile import Pixels
from ....model import autoencoder as ae
from ....model.parts import save_part
from ....tissue.augment import pose, restain, stain_matrix
from ...data.plan import DataPlan
from ...data.sources import Example
from ...loop.fit import module_weights
from ..tile_checks import probe_side
from .recipe import AutoencoderPlan


class AutoencoderTrainTask:
    """Random crops in random poses and stains; L1 on the image and on its gradients.

    Args:
        model: the network, on its device and in its working type.
        train: tiles to cut crops from.
        held_out: tiles of other patients; their central crops are measured.
        batch, data, plan: of the recipe.
        stored: the model's weights before they were rounded; what is frozen is written from them.
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
    ) -> None:
        self.stored = stored
        self.model = model
        self.batch = batch
        self.data = data
        self.plan = plan
        self.train = [example.tile.pixels for example in train]
        areas = np.array([tile.shape[0] * tile.shape[1] for tile in self.train], dtype=np.float64)
        # the root keeps a few large tiles from crowding out many small ones
        weights = np.sqrt(areas) * [example.share for example in train]
        self.weights = weights / weights.sum()
        self.basis = block_basis(self.train, plan.anchored)
        side = probe_side([min(tile.shape[:2]) for tile in held_out], ae.FACTOR)
        self.held_out = torch.stack(
            [ae.to_signal(torch.from_numpy(centre(tile, side).copy())) for tile in held_out]
        )

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The autoencoder."""
        return {"autoencoder": self.model}

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        """Loss of one batch of crops."""
        images = self._crops(np.random.default_rng(generator.initial_seed())).to(self.model.device)
        latents = ae.encode(self.model, images)
        anchored = latents[:, : len(self.basis)].float()
        free = latents[:, len(self.basis) :].float()
        targets = F.conv2d(images, self.basis.to(images), stride=ae.FACTOR)
        anchor_loss = (anchored - targets).abs().sum() / max(targets.numel(), 1)
        spread = free.var(dim=(0, 2, 3)) + free.mean(dim=(0, 2, 3)) ** 2
        power_loss = ((spread / self.plan.free_std**2 - 1) ** 2).sum() / max(len(spread), 1)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        latents = latents + self.plan.latent_noise * noise
        if torch.rand((), generator=generator) < self.plan.halved:
            latents = F.avg_pool2d(latents, 2)
            images = F.avg_pool2d(images, 2)
        decoded = ae.decode(self.model, latents)
        image_loss = (decoded - images).abs().mean()
        gradient_loss = sum(_gradient_distance(decoded, images, reach) for reach in (1, 2)) / 2
        latent_loss = self.plan.anchor_weight * anchor_loss + 0.01 * power_loss
        loss: Tensor = image_loss + self.plan.gradient_weight * gradient_loss + latent_loss
        return loss

    def _crops(self, random: np.random.Generator) -> Tensor:
        side = self.data.crop
        crops = []
        for index in random.choice(len(self.train), self.batch, p=self.weights):
            tile = self.train[index]
            y, x = (random.integers(0, length - side + 1) for length in tile.shape[:2])
            crop = restain(
                tile[y : y + side, x : x + side],
                stain_matrix(random, self.data.stain_jitter),
            )
            crops.append(np.ascontiguousarray(pose(crop, int(random.integers(8)))))
        return ae.to_signal(torch.from_numpy(np.stack(crops)))

    def _rebuilt(self) -> Tensor:
        return torch.cat(
            [ae.decode(self.model, ae.encode(self.model, one[None])).cpu() for one in self.held_out]
        )

    def validate(self) -> dict[str, float]:
        """Loss and PSNR (dB, mean over tiles) of the held-out patients' central crops."""
        rebuilt = self._rebuilt().clamp(-1, 1)
        error = ((rebuilt - self.held_out) ** 2).mean(dim=(1, 2, 3)) / 4
        psnr = -10 * torch.log10(
            error.clamp_min(1e-10)
        )  # a blank tile may come back without any error
        return {
            "loss": float((rebuilt - self.held_out).abs().mean()),
            "psnr_db": float(psnr.mean()),
            "psnr_worst_db": float(psnr.min()),
        }

    def picture(self) -> Pixels:
        """Held-out crops above, their reconstructions below."""
        rows = [ae.to_pixels(images).numpy() for images in (self.held_out, self._rebuilt())]
        sheet: Pixels = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
        return sheet

    def export(self, folder: Path, averaged: Mapping[str, Tensor]) -> None:
        """Diffusers' folder layout, fp32."""
        weights = {**self.stored, **module_weights(averaged, "autoencoder")}
        save_part(
            self.model,
            folder,
            dtype=torch.float32,
            weights=weights,
        )


def centre(tile: Pixels, side: int) -> Pixels:
    """The central square of `side` px."""
    y, x = ((length - side) // 2 for length in tile.shape[:2])
    crop: Pixels = tile[y : y + side, x : x + side]
    return crop


def block_basis(tiles: Sequence[Pixels], count: int, *, sample: int = 200_000) -> Tensor:
    """The first principal components of 8 x 8 px blocks, as convolution kernels (count, 3, 8, 8).

    Responses to images in [-1, 1] have a standard deviation that falls as the fourth root of the
    component's variance does, from 1: coarse components louder than fine ones, so that noise drowns
    them last and sampling settles them first.
    """
    side = ae.FACTOR
    random = np.random.default_rng(0)
    blocks = []
    for tile in tiles:
        height, width = (length // side * side for length in tile.shape[:2])
        cut = tile[:height, :width].reshape(
            height // side,
            side,
            width // side,
            side,
            3,
        )
        rows = cut.transpose(0, 2, 4, 1, 3).reshape(-1, 3 * side * side)
        blocks.append(
            rows[
                random.choice(
                    len(rows),
                    min(len(rows), sample // len(tiles) + 1),
                    replace=False,
                )
            ]
        )
    values = np.concatenate(blocks).astype(np.float64) / 127.5 - 1
    variances, vectors = np.linalg.eigh(np.cov(values.T))
    variances = variances[::-1][:count]
    vectors = vectors[:, ::-1][:, :count]
    # eigenvectors have no sign of their own
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(count)])
    wanted_std = (variances / variances.max(initial=1e-9)) ** 0.25
    kernels = (vectors * wanted_std / np.sqrt(variances)).T.reshape(
        count,
        3,
        side,
        side,
    )
    return torch.from_numpy(kernels.astype(np.float32))


def _gradient_distance(first: Tensor, second: Tensor, reach: int) -> Tensor:
    difference = first - second
    across = difference[..., reach:] - difference[..., :-reach]
    down = difference[..., reach:, :] - difference[..., :-reach, :]
    return across.abs().mean() + down.abs().mean()
