"""The autoencoder's task: give back the tissue, with latents that diffusion can learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC
from torch import Tensor, nn

from ..core.tile import Pixels
from ..model import autoencoder as ae
from ..prepare.augment import pose, restain, stain_matrix
from .plan import AutoencoderPlan, DataPlan


class AutoencoderTask:
    """Random crops in random poses and stains; L1 on the image and on its gradients.

    Args:
        model: the network, on its device and in its working type.
        train: tiles, (H, W, 3) uint8 each.
        held_out: tiles of other patients; their central crops are measured.
    """

    def __init__(
        self,
        model: AutoencoderDC,
        train: Sequence[Pixels],
        held_out: Sequence[Pixels],
        *,
        batch: int,
        data: DataPlan,
        plan: AutoencoderPlan,
    ) -> None:
        self.model, self.train, self.batch, self.data, self.plan = (
            model,
            train,
            batch,
            data,
            plan,
        )
        areas = np.array([tile.shape[0] * tile.shape[1] for tile in train], dtype=np.float64)
        # the root keeps a few large tiles from crowding out many small ones
        self.weights = np.sqrt(areas) / np.sqrt(areas).sum()
        self.held_out = torch.stack(
            [ae.to_signal(torch.from_numpy(centre(tile, 256).copy())) for tile in held_out]
        )

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The autoencoder."""
        return {"autoencoder": self.model}

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        """Loss of one batch of crops."""
        images = self._crops(np.random.default_rng(generator.initial_seed()))
        latents = ae.encode(self.model, images)
        spread = latents.float().var(dim=(0, 2, 3)) + latents.float().mean(dim=(0, 2, 3)) ** 2
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        latents = latents + self.plan.latent_noise * noise
        if torch.rand((), generator=generator) < self.plan.halved:
            latents, images = F.avg_pool2d(latents, 2), F.avg_pool2d(images, 2)
        decoded = ae.decode(self.model, latents)
        image_loss = (decoded - images).abs().mean()
        gradient_loss = sum(_gradient_distance(decoded, images, reach) for reach in (1, 2)) / 2
        return image_loss + self.plan.gradient_weight * gradient_loss + 0.01 * ((spread - 1) ** 2).mean()

    def _crops(self, random: np.random.Generator) -> Tensor:
        side, crops = self.data.crop, []
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
        return torch.cat([ae.decode(self.model, ae.encode(self.model, one[None])) for one in self.held_out])

    def validate(self) -> dict[str, float]:
        """Loss and PSNR (dB, mean over tiles) of the held-out patients' central 256-px crops."""
        rebuilt = self._rebuilt().clamp(-1, 1)
        error = ((rebuilt - self.held_out) ** 2).mean(dim=(1, 2, 3)) / 4
        psnr = -10 * torch.log10(error)
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

    def export(self, folder: Path) -> None:
        """Diffusers' folder layout, fp32."""
        self.model.save_pretrained(folder)


def centre(tile: Pixels, side: int) -> Pixels:
    """The central square of `side` px."""
    y, x = ((length - side) // 2 for length in tile.shape[:2])
    crop: Pixels = tile[y : y + side, x : x + side]
    return crop


def _gradient_distance(first: Tensor, second: Tensor, reach: int) -> Tensor:
    difference = first - second
    across = difference[..., reach:] - difference[..., :-reach]
    down = difference[..., reach:, :] - difference[..., :-reach, :]
    return across.abs().mean() + down.abs().mean()
