"""The structure encoder: a condition becomes feature maps at each U-Net scale, once per image.

Its input lies on the latent grid and loses nothing on the way there: nuclei are splatted at 2 px
and folded into channels (Shi et al. 2016, pixel unshuffle), hole and known pixels at 1 px. Known
tissue goes in as pixels, not as latents: a latent's receptive field would see across the hole's
edge in training, and see the filling there in use.

Features are added after each U-Net block, as in T2I-Adapter (Mou et al. 2023); those of the finest
scale are concatenated to the noisy latents, because diffusers adds nothing above its first
downsampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

NUCLEI_CELL = 2
"""Pixels per cell of the splat maps."""


@dataclass(frozen=True)
class StructureMaps:
    """A batch of conditions as maps.

    Attributes:
        nuclei: (B, K, H / 2, W / 2) in [0, 1]; zeros where they are not told.
        told: (B,) 1 where nuclei are told, 0 where not.
        known: (B, 3, H, W) canonical pixels in [-1, 1], zeros inside the hole.
        mask: (B, 1, H, W), 1 inside the hole.
    """

    nuclei: Tensor
    told: Tensor
    known: Tensor
    mask: Tensor

    def without_nuclei(self) -> StructureMaps:
        """The same with no nuclei told: the unconditional side of guidance."""
        return StructureMaps(
            torch.zeros_like(self.nuclei),
            torch.zeros_like(self.told),
            self.known,
            self.mask,
        )

    def without_classes(self) -> StructureMaps:
        """The same nuclei with no kind told: each stands in all channels alike."""
        alike = self.nuclei.mean(dim=1, keepdim=True).expand_as(self.nuclei)
        return StructureMaps(alike, self.told, self.known, self.mask)

    def picked(self, rows: Tensor) -> StructureMaps:
        """The items at `rows`."""
        return StructureMaps(
            self.nuclei[rows],
            self.told[rows],
            self.known[rows],
            self.mask[rows],
        )

    def stacked(self, cell: int) -> Tensor:
        """All as channels on a grid of `cell` px: (B, channels, H / cell, W / cell)."""
        told = self.told.reshape(-1, 1, 1, 1).expand(-1, 1, *_grid(self.mask, cell)).to(self.mask)
        parts = [
            F.pixel_unshuffle(self.nuclei, cell // NUCLEI_CELL),
            F.pixel_unshuffle(self.known, cell),
            F.pixel_unshuffle(self.mask, cell),
            told,
        ]
        return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class StructureFeatures:
    """What the U-Net is shown at every step, made once.

    Attributes:
        fine: (B, F, h, w) on the latent grid, concatenated to the latents; F may be 0.
        scales: one residual per U-Net down block.
    """

    fine: Tensor
    scales: tuple[Tensor, ...]

    def joined(self, other: StructureFeatures) -> StructureFeatures:
        """This batch and another below it."""
        scales = zip(self.scales, other.scales, strict=True)
        return StructureFeatures(torch.cat([self.fine, other.fine]), tuple(map(torch.cat, scales)))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.silu(self.first(F.silu(self.norm(x)))))
        return out


class StructureEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Convolutions over the stacked maps, halving as the U-Net does.

    Args:
        classes: number of nucleus classes.
        cell: pixels per latent cell.
        fine: channels concatenated to the latents (0 for a base without room for them).
        widths: own width at each scale.
        outputs: channels of the residual of each U-Net down block.
        strides: how much smaller each residual's grid is than the latent grid.
    """

    @classmethod
    def from_config(
        cls, config: Any = None, return_unused_kwargs: bool = False, **kwargs: Any
    ) -> Any:
        """See diffusers; a config of an earlier version names the classes `kinds`."""
        if isinstance(config, dict) and "kinds" in config:
            config = {**config, "classes": config["kinds"]}
            del config["kinds"]
        return super().from_config(config, return_unused_kwargs, **kwargs)

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        *,
        classes: int,
        cell: int = 8,
        fine: int = 32,
        widths: Sequence[int] = (96, 128, 128),
        outputs: Sequence[int] = (96, 160, 192),
        strides: Sequence[int] = (2, 4, 4),
    ) -> None:
        super().__init__()
        channels = classes * (cell // NUCLEI_CELL) ** 2 + 4 * cell**2 + 1
        self.enter = nn.Sequential(
            nn.Conv2d(channels, widths[0], 1),
            _Residual(widths[0]),
            _Residual(widths[0]),
        )
        self.to_fine = nn.Conv2d(widths[0], fine, 1) if fine else None
        stages = []
        stride = 1
        width = widths[0]
        for own, target in zip(widths, strides, strict=True):
            halvings = [nn.Conv2d(width, own, 3, stride=2, padding=1)] if target > stride else []
            if not halvings and own != width:
                halvings = [nn.Conv2d(width, own, 1)]
            stages.append(nn.Sequential(*halvings, _Residual(own)))
            stride = target
            width = own
        self.stages = nn.ModuleList(stages)
        self.leave = nn.ModuleList(
            nn.Conv2d(own, out, 1) for own, out in zip(widths, outputs, strict=True)
        )
        for parameter in self.leave.parameters():  # the base starts as if there were no structure
            nn.init.zeros_(parameter)

    def forward(self, maps: StructureMaps) -> StructureFeatures:
        """Features of a batch of conditions."""
        x = self.enter(maps.stacked(self.config.cell).to(self.device, self.dtype))
        fine = x[:, :0] if self.to_fine is None else self.to_fine(x)
        scales = []
        for stage, leave in zip(self.stages, self.leave, strict=True):
            x = stage(x)
            scales.append(leave(x))
        return StructureFeatures(fine, tuple(scales))


def _grid(maps: Tensor, cell: int) -> tuple[int, int]:
    return maps.shape[-2] // cell, maps.shape[-1] // cell
