"""One U-Net behind one call: noisy latents, a level and structure features => clean latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from .prediction import Level, PredictionType, flow_level, x0_from
from .structure import StructureFeatures


def build_unet(
    *,
    latent_channels: int,
    fine: int,
    style: int,
    widths: Sequence[int] = (96, 160, 192),
    layers: int = 2,
    head: int = 32,
) -> UNet2DConditionModel:
    """A fresh compact base: convolutions at the fine scales, self-attention at the coarsest only.

    Args:
        latent_channels: channels of the autoencoder's latents.
        fine: channels of the structure features concatenated to them.
        style: length of the vector added to the time embedding (style, label, "not told" flags).
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
        cross_attention_dim=head,  # named by diffusers for all bases; this one has no such layer
        resnet_time_scale_shift="scale_shift",
    )


class Denoiser(Protocol):
    """What training and painting know of a network, whatever its family.

    A network has times of its own, (B,) in [0, 1], 0 clean and 1 noise; `level` says what they
    mean. Solvers know one way only, the straight one of flow matching, and `predict_x0` leads any
    network along it.
    """

    prediction_type: PredictionType
    """What the network predicts."""

    def level(self, time: Tensor) -> Level:
        """Signal and noise scales at the network's times, (B,) each."""

    def raw(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """What the network says of latents mixed at `level(time)`, in its own units, float32."""

    def predict_x0(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """Clean latents, of latents noised as x = (1 - t) x0 + t e with t = `time`."""

    def undefined(self, style: Tensor) -> Tensor:
        """The style to guide away from, (B, S)."""


class CompactDenoiser:
    """The seam of a compact base; see `Denoiser`.

    Args:
        unet: the base, with or without adapters worn.
        prediction_type: what the base predicts.
        time_scale: the base's number for level noise = 1 (1000 for flow bases here).
    """

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

    def level(self, time: Tensor) -> Level:
        """See `Denoiser.level`."""
        return flow_level(time)

    def raw(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """See `Denoiser.raw`."""
        dtype = self.unet.dtype
        # each forward pops from its own list
        residuals = [scale.to(dtype) for scale in features.scales]
        said: Tensor = self.unet(
            torch.cat([noisy.to(dtype), features.fine.to(dtype)], dim=1),
            time * self.time_scale,
            encoder_hidden_states=None,
            class_labels=style.to(dtype),
            down_intrablock_additional_residuals=residuals,
            return_dict=False,
        )[0]
        return said.float()

    def undefined(self, style: Tensor) -> Tensor:
        """See `Denoiser.undefined`: the same; a compact base is guided by nuclei alone."""
        return style

    def predict_x0(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """See `Denoiser.predict_x0`."""
        return x0_from(
            self.prediction_type,
            self.raw(noisy, time, features, style),
            noisy,
            self.level(time),
        )
