"""Stable Diffusion 1 and 2 and their inpainting versions (Rombach et al. 2022).

The U-Net takes the structure as residuals of its down blocks (T2I-Adapter, Mou et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from ..structure import StructureFeatures
from .family import ResidualShapes
from .text import Text, embed_clip
from .text_family import PromptStates, TextFamily
from .unet import UNET_BLOCKS, unet_grid_px, unet_residual_shapes

_INPAINTING_CHANNELS = 9
"""Noisy latents (4), the mask (1) and the latents of the known tissue (4), in this order."""


class StableDiffusion(TextFamily):
    """See `TextFamily`."""

    name = "stable-diffusion"
    adapter_prefix = "unet."
    kohya_blocks = UNET_BLOCKS
    adapter_use = (
        "The adapters load in diffusers (`pipe.load_lora_weights`), and under kohya's names in\n"
        "ComfyUI and A1111 (`histosynth bundle convert`). There they generate from text alone;\n"
        "with nuclei too after `histosynth bundle export`: docs/diffusers.md of histosynth."
    )
    network_folder = "unet"
    network_class = UNet2DConditionModel
    weight_files = "unet/diffusion_pytorch_model.safetensors"

    def takes_known_latents(self, network: Any) -> bool:
        """See `TextFamily.takes_known_latents`."""
        return int(network.config.in_channels) == _INPAINTING_CHANNELS

    def residual_shapes(self, network: Any) -> ResidualShapes:
        """See `Family.residual_shapes`."""
        return unet_residual_shapes(network)

    def grid_px(self, network: Any) -> int:
        """See `Family.grid_px`."""
        return unet_grid_px(network)

    def embed(
        self,
        folder: Path,
        prompts: Sequence[str],
    ) -> Text:
        """See `TextFamily.embed`: through CLIP or OpenCLIP."""
        return embed_clip(folder, prompts)

    def call_network(
        self,
        network: Any,
        noisy: Tensor,
        step: Tensor,
        features: StructureFeatures,
        prompts: PromptStates,
    ) -> Tensor:
        """See `TextFamily.call_network`."""
        latents = torch.cat([noisy, features.fine.to(noisy)], dim=1)
        # each forward pass takes the residuals out of its own list
        residuals = [scale.to(noisy) for scale in features.scales]
        output: Tensor = network(
            latents,
            step,
            encoder_hidden_states=prompts.states,
            down_intrablock_additional_residuals=residuals,
            return_dict=False,
        )[0]
        return output


STABLE_DIFFUSION = StableDiffusion()
