"""The structure encoder: a condition becomes feature maps at each U-Net scale, once per image.

Its input lies on the latent grid without loss: nuclei are splatted at 2 px and folded into channels
(Shi et al. 2016, pixel unshuffle), mask and known pixels at 1 px. Known tissue is given as pixels,
not as latents: the receptive field of a latent crosses the boundary of the mask, where it would
contain real tissue in training and generated tissue in use.

Features are added after each U-Net block, as in T2I-Adapter (Mou et al. 2023); those of the finest
scale are concatenated to the noisy latents, because diffusers adds nothing above its first
downsampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ..core.nuclei import SHAPE_MAPS
from .device import place_of

NUCLEI_CELL = 2
"""Pixels per cell of the splat maps."""


@dataclass(frozen=True)
class StructureMaps:
    """A batch of conditions as maps.

    Attributes:
        nuclei: (B, K, H / 2, W / 2) in [0, 1]; zeros where they are not specified.
        has_nuclei: (B,) 1 where nuclei are specified, 0 where not.
        known: (B, 3, H, W) canonical pixels in [-1, 1], zeros inside the mask.
        mask: (B, 1, H, W), 1 inside the mask.
        shapes: (B, 2, H / 2, W / 2) in [0, 1] from `Nuclei.rasterize_shapes`; None: none is known.
    """

    nuclei: Tensor
    has_nuclei: Tensor
    known: Tensor
    mask: Tensor
    shapes: Tensor | None = None

    def without_nuclei(self) -> StructureMaps:
        """The same without nuclei: the unconditional branch of guidance."""
        return replace(
            self,
            nuclei=torch.zeros_like(self.nuclei),
            has_nuclei=torch.zeros_like(self.has_nuclei),
            shapes=None,
        )

    def without_classes(self) -> StructureMaps:
        """The same nuclei without their classes: each has the same value in all channels."""
        mean = self.nuclei.mean(
            dim=1,
            keepdim=True,
        )
        alike = mean.expand_as(self.nuclei)
        return replace(
            self,
            nuclei=alike,
        )

    def picked(
        self,
        rows: Tensor | slice,
    ) -> StructureMaps:
        """The items at `rows`."""
        return StructureMaps(
            self.nuclei[rows],
            self.has_nuclei[rows],
            self.known[rows],
            self.mask[rows],
            None if self.shapes is None else self.shapes[rows],
        )

    def _shapes_or_none(self) -> Tensor:
        """(B, 2, H / 2, W / 2), zeros where no shape is known."""
        if self.shapes is not None:
            return self.shapes
        count, _, rows, columns = self.nuclei.shape
        return self.nuclei.new_zeros(
            count,
            SHAPE_MAPS,
            rows,
            columns,
        )

    def stacked(
        self,
        cell: int,
        *,
        shapes: bool = False,
    ) -> Tensor:
        """All as channels on a grid of `cell` px: (B, channels, H / cell, W / cell).

        Args:
            cell: side of a cell, px.
            shapes: whether those of nuclei come last.
        """
        rows = self.mask.shape[-2] // cell
        columns = self.mask.shape[-1] // cell
        flags = self.has_nuclei.reshape(
            -1,
            1,
            1,
            1,
        )
        flags = flags.expand(
            -1,
            1,
            rows,
            columns,
        )
        parts = [
            F.pixel_unshuffle(
                self.nuclei,
                cell // NUCLEI_CELL,
            ),
            F.pixel_unshuffle(
                self.known,
                cell,
            ),
            F.pixel_unshuffle(
                self.mask,
                cell,
            ),
            flags.to(self.mask),
        ]
        if shapes:
            parts.append(
                F.pixel_unshuffle(
                    self._shapes_or_none(),
                    cell // NUCLEI_CELL,
                )
            )
        return torch.cat(
            parts,
            dim=1,
        )


@dataclass(frozen=True)
class StructureFeatures:
    """What the network is given at every step; it is computed once.

    Attributes:
        fine: (B, F, h, w) on the latent grid, concatenated to the latents; F may be 0.
        scales: one residual per down block of a U-Net.
    """

    fine: Tensor
    scales: tuple[Tensor, ...]

    def to(self, device: torch.device) -> StructureFeatures:
        """The same features on a device."""
        return StructureFeatures(
            self.fine.to(device),
            tuple(scale.to(device) for scale in self.scales),
        )

    def joined(
        self,
        other: StructureFeatures,
    ) -> StructureFeatures:
        """This batch followed by another."""
        fine = torch.cat([self.fine, other.fine])
        scales = []
        for pair in zip(
            self.scales,
            other.scales,
            strict=True,
        ):
            scales.append(torch.cat(pair))
        return StructureFeatures(
            fine,
            tuple(scales),
        )


def _convolution(
    channels: int,
    out_channels: int,
    stride: int = 1,
) -> nn.Conv2d:
    return nn.Conv2d(
        channels,
        out_channels,
        kernel_size=3,
        stride=stride,
        padding=1,
    )


class _Residual(nn.Module):
    def __init__(
        self,
        width: int,
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(
            8,
            width,
        )
        self.first = _convolution(
            width,
            width,
        )
        self.second = _convolution(
            width,
            width,
        )

    def forward(
        self,
        x: Tensor,
    ) -> Tensor:
        hidden = F.silu(self.norm(x))
        hidden = F.silu(self.first(hidden))
        change: Tensor = self.second(hidden)
        return x + change


class StructureEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Convolutions over the stacked maps, on the grids of the base's residuals.

    Args:
        classes: number of nucleus classes.
        cell: pixels per latent cell.
        fine: channels concatenated to the latents (0 for a base without room for them).
        widths: own width at each scale.
        outputs: channels of the residual of each U-Net down block.
        strides: how much smaller each residual's grid is than the latent grid.
        shapes: whether it sees sizes and shapes of nuclei.
    """

    old_settings = ("kinds",)
    """Names of settings in files of earlier versions."""

    @classmethod
    def from_config(
        cls,
        config: Any = None,
        return_unused_kwargs: bool = False,
        **kwargs: Any,
    ) -> Any:
        """See diffusers. In configs of earlier versions the key of the classes is `kinds`."""
        if (
            isinstance(
                config,
                dict,
            )
            and "kinds" in config
        ):
            config = dict(config)
            config["classes"] = config.pop("kinds")
        return super().from_config(
            config,
            return_unused_kwargs,
            **kwargs,
        )

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
        shapes: bool = False,
    ) -> None:
        super().__init__()
        nuclei_channels = classes * (cell // NUCLEI_CELL) ** 2
        pixel_channels = 4 * cell**2  # known tissue and mask
        channels = nuclei_channels + pixel_channels + 1
        if shapes:
            channels += SHAPE_MAPS * (cell // NUCLEI_CELL) ** 2
        self.enter = nn.Sequential(
            nn.Conv2d(
                channels,
                widths[0],
                1,
            ),
            _Residual(widths[0]),
            _Residual(widths[0]),
        )
        self.to_fine = (
            nn.Conv2d(
                widths[0],
                fine,
                1,
            )
            if fine
            else None
        )
        self.stages = nn.ModuleList(
            _build_stages(
                widths,
                strides,
            )
        )
        self.leave = nn.ModuleList()
        for width, output in zip(
            widths,
            outputs,
            strict=True,
        ):
            self.leave.append(
                nn.Conv2d(
                    width,
                    output,
                    1,
                )
            )
        for parameter in self.leave.parameters():  # the base starts as if there were no structure
            nn.init.zeros_(parameter)

    def forward(
        self,
        maps: StructureMaps,
    ) -> StructureFeatures:
        """Features of a batch of conditions."""
        stacked = maps.stacked(
            self.config.cell,
            shapes=self.config.shapes,
        )
        stacked = stacked.to(*place_of(self))
        x = self.enter(stacked)
        fine = x[:, :0] if self.to_fine is None else self.to_fine(x)
        scales = []
        layers = zip(
            self.stages,
            self.leave,
            strict=True,
        )
        for stage, leave in layers:
            x = stage(x)
            scales.append(leave(x))
        return StructureFeatures(
            fine,
            tuple(scales),
        )


def with_shapes(encoder: StructureEncoder) -> StructureEncoder:
    """A copy, in float32 on the CPU, that also sees shapes of nuclei: at first without effect."""
    settings = {}
    for key, value in encoder.config.items():
        if not key.startswith("_"):  # diffusers' notes on which values were left at defaults
            settings[key] = value
    wider: StructureEncoder = StructureEncoder(**{**settings, "shapes": True})
    weights = encoder.state_dict()
    first = "enter.0.weight"
    weight = torch.zeros_like(wider.state_dict()[first])
    weight[:, : weights[first].shape[1]] = weights[first]
    wider.load_state_dict({**weights, first: weight})
    return wider


def _build_stages(
    widths: Sequence[int],
    strides: Sequence[int],
) -> list[nn.Module]:
    """One stage a scale: it halves the grid where its stride grows, and changes the width."""
    stages: list[nn.Module] = []
    last_stride = 1
    last_width = widths[0]
    for width, stride in zip(
        widths,
        strides,
        strict=True,
    ):
        layers: list[nn.Module] = []
        if stride > last_stride:
            layers.append(
                _convolution(
                    last_width,
                    width,
                    stride=2,
                )
            )
        elif width != last_width:
            layers.append(
                nn.Conv2d(
                    last_width,
                    width,
                    1,
                )
            )
        stages.append(nn.Sequential(*layers, _Residual(width)))
        last_stride = stride
        last_width = width
    return stages
