"""What a recipe of the compact autoencoder may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ....core.recipe import PathText
from ....core.seeds import check_recipe_seed
from ...data.plan import DataPlan
from ...loop.plan import LoopPlan


@dataclass(frozen=True)
class AutoencoderPlan:
    """Shape and losses of the compact autoencoder (diffusers' AutoencoderDC)."""

    latent_channels: int = 16
    widths: tuple[int, ...] = (16, 64, 128, 256)
    encoder_layers: tuple[int, ...] = (0, 1, 2, 1)
    decoder_layers: tuple[int, ...] = (0, 2, 3, 1)
    gradient_weight: float = 0.5
    """Weight of the L1 distance of image gradients, relative to that of the image."""
    anchored: int = 8
    """So many latent channels follow the principal components of 8 x 8 px blocks. Left alone, an
    encoder whitens its latents, and white latents cannot be diffused (docs/log.md)."""
    anchor_weight: float = 1.0
    free_std: float = 0.3
    """Standard deviation of the other channels; the first anchored one has 1."""
    latent_noise: float = 0.04
    """Noise on latents in training: neighbours in latent space decode alike."""
    halved: float = 0.2
    """Chance that a step decodes latents at half size against the image at half size, which
    keeps latents smooth enough to be diffused (Skorokhodov et al. 2025; EQ-VAE, 2025)."""
    decoder_only: bool = False
    """Leave the encoder as it is, so that a base trained on its latents stays good."""

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.encoder_layers) == len(self.decoder_layers) == 4:
            raise ValueError("widths, encoder_layers and decoder_layers must hold 4 values each")
        if self.latent_channels < 1 or min(self.widths) < 1:
            raise ValueError("latent_channels and widths must be at least 1")
        if not 0 <= self.anchored <= self.latent_channels:
            raise ValueError(f"anchored must lie in 0..{self.latent_channels}, not {self.anchored}")


@dataclass(frozen=True)
class AutoencoderRecipe:
    """`task = "autoencoder"`."""

    task: Literal["autoencoder"]
    loop: LoopPlan
    data: DataPlan
    model: AutoencoderPlan = field(default_factory=AutoencoderPlan)
    start: PathText = ""
    """Folder of an autoencoder to go on from, or `compact` for the shipped one; empty: from
    scratch."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_recipe_seed(self.seed)
