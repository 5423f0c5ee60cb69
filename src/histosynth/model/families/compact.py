"""The compact family: a small U-Net of this package, conditioned on a style vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from ..device import place_of
from ..prediction import NoiseLevel, PredictionType, flow_level, x0_from
from ..structure import StructureFeatures
from .family import Family, ResidualShapes
from .unet import UNET_BLOCKS, unet_grid_px, unet_residual_shapes


def build_unet(
    *,
    latent_channels: int,
    fine: int,
    style: int,
    widths: Sequence[int] = (96, 160, 192),
    layers: int = 2,
    head: int = 32,
) -> UNet2DConditionModel:
    """A new compact base: convolutions at the fine scales, self-attention at the coarsest only.

    Args:
        latent_channels: channels of the autoencoder's latents.
        fine: channels of the structure features concatenated to them.
        style: length of the vector added to the time embedding (style, its flag, label).
        widths: channels at each scale; each scale but the last halves the grid.
        layers: residual blocks per scale.
        head: channels per attention head.
    """
    plain = len(widths) - 1
    return UNet2DConditionModel(
        in_channels=latent_channels + fine,
        out_channels=latent_channels,
        block_out_channels=tuple(widths),
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * plain + ("AttnDownBlock2D",),
        mid_block_type="UNetMidBlock2D",
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * plain,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=style,
        attention_head_dim=head,
        cross_attention_dim=head,  # diffusers requires it for all bases; this one has no such layer
        resnet_time_scale_shift="scale_shift",
    )


class CompactDenoiser:
    """A compact base behind `Denoiser`.

    Args:
        unet: the base, with or without an active adapter.
        prediction_type: what the base predicts.
        time_scale: the base's number for level noise = 1 (1000 for the flow bases of this package).
    """

    steps: int | None = None

    def __init__(
        self,
        unet: UNet2DConditionModel,
        *,
        prediction_type: PredictionType = "flow",
        time_scale: float = 1000.0,
    ) -> None:
        self.unet = unet
        self.prediction_type = prediction_type
        self.time_scale = time_scale

    def level(self, time: Tensor) -> NoiseLevel:
        """See `Denoiser.level`."""
        return flow_level(time)

    def predict(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """See `Denoiser.predict`."""
        _, dtype = place_of(self.unet)
        latents = torch.cat([noisy.to(dtype), features.fine.to(dtype)], dim=1)
        # each forward pass takes the residuals out of its own list
        residuals = [scale.to(dtype) for scale in features.scales]
        output: Tensor = self.unet(
            latents,
            time * self.time_scale,
            encoder_hidden_states=None,
            class_labels=style.to(dtype),
            down_intrablock_additional_residuals=residuals,
            return_dict=False,
        )[0]
        return output.float()

    def predict_x0(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """See `Denoiser.predict_x0`."""
        output = self.predict(noisy, time, features, style)
        return x0_from(
            self.prediction_type,
            output,
            noisy,
            self.level(time),
        )

    def unconditional(self, style: Tensor) -> Tensor:
        """See `Denoiser.unconditional`: the same style; guidance acts on the nuclei alone."""
        return style


class CompactFamily(Family):
    """See `Family`."""

    name = "compact"
    held_parts = ("autoencoder", "unet", "structure")
    predictions: tuple[PredictionType, ...] = ("flow",)
    adapter_prefix = "unet."
    kohya_blocks = UNET_BLOCKS
    adapter_use = ""
    default_steps = 20
    default_batch_px: int | None = 256
    trained_on_structure = True
    trains_channels_last = True
    fuses_lora = False

    def residual_shapes(self, network: Any) -> ResidualShapes:
        """See `Family.residual_shapes`."""
        return unet_residual_shapes(network)

    def grid_px(self, network: Any) -> int:
        """See `Family.grid_px`."""
        return unet_grid_px(network)


COMPACT_FAMILY = CompactFamily()


@dataclass(frozen=True)
class CompactBase:
    """See `Base`: a compact base is its network alone."""

    family: Family = COMPACT_FAMILY
    inpainting: bool = False

    def make_denoiser(self, network: Any) -> CompactDenoiser:
        """See `Base.make_denoiser`."""
        return CompactDenoiser(network)

    def save(self, folder: Path) -> list[Path]:
        """See `Base.save`: nothing."""
        return []
