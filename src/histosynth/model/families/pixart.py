"""PixArt (Chen et al. 2024): a transformer that takes the structure added to its patches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusers import PixArtTransformer2DModel
from diffusers.loaders import PeftAdapterMixin
from torch import Tensor

from ..autoencoder import FACTOR
from ..structure import StructureFeatures
from .family import ResidualShapes
from .text import Text, embed_t5
from .text_family import PromptStates, TextFamily


class PixArtNetwork(PixArtTransformer2DModel, PeftAdapterMixin):  # type: ignore[misc]
    """diffusers' `PixArtTransformer2DModel` with `add_adapter` and the like.

    diffusers gives these methods to its other networks only.
    """


class PixArt(TextFamily):
    """See `TextFamily`."""

    name = "pixart"
    adapter_prefix = "transformer."
    adapter_use = (
        "diffusers' PixArt pipelines have no `load_lora_weights`, and kohya's programs no names\n"
        "for these adapters. peft loads them on the transformer: docs/stable.md of histosynth."
    )
    network_folder = "transformer"
    network_class = PixArtNetwork
    weight_files = "transformer/diffusion_pytorch_model*.safetensors"

    def takes_known_latents(self, network: Any) -> bool:
        """See `TextFamily.takes_known_latents`: there is no such version."""
        return False

    def residual_shapes(self, network: Any) -> ResidualShapes:
        """See `Family.residual_shapes`: one residual, on the grid of the patches."""
        return ResidualShapes((network.inner_dim,), (int(network.config.patch_size),))

    def grid_px(self, network: Any) -> int:
        """See `Family.grid_px`."""
        return FACTOR * int(network.config["patch_size"])

    def embed(
        self,
        folder: Path,
        prompts: Sequence[str],
    ) -> Text:
        """See `TextFamily.embed`: through T5."""
        return embed_t5(folder, prompts)

    def call_network(
        self,
        network: Any,
        noisy: Tensor,
        step: Tensor,
        features: StructureFeatures,
        prompts: PromptStates,
    ) -> Tensor:
        """See `TextFamily.call_network`; the variance that it predicts too is left out."""
        (scale,) = features.scales
        # patches are numbered row by row
        residual = scale.flatten(2).transpose(1, 2).to(noisy)

        def add_residual(
            module: Any,
            inputs: Any,
            patches: Tensor,
        ) -> Tensor:
            return patches + residual

        hook = network.pos_embed.register_forward_hook(add_residual)
        try:
            output: Tensor = network(
                noisy,
                encoder_hidden_states=prompts.states,
                encoder_attention_mask=prompts.mask,
                timestep=step,
                added_cond_kwargs={"resolution": None, "aspect_ratio": None},
                return_dict=False,
            )[0]
        finally:
            hook.remove()
        return output[:, : noisy.shape[1]]


PIXART = PixArt()
