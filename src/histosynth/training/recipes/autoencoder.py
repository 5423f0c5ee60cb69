"""What a recipe of the compact autoencoder may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...core.recipe import PathText
from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    AtLeastOne,
    ZeroOrMore,
)
from ...core.seeds import Seed
from .data import DataPlan
from .loop import LearningRate, LoopPlan


@dataclass(frozen=True)
class AutoencoderPlan:
    """Shape and losses of the compact autoencoder (diffusers' AutoencoderDC)."""

    latent_channels: AtLeastOne = 16
    """Numbers of a latent cell of 8 x 8 px."""
    widths: tuple[AtLeastOne, ...] = (16, 64, 128, 256)
    """Channels of each of the four scales."""
    encoder_layers: tuple[ZeroOrMore, ...] = (0, 1, 2, 1)
    """Residual blocks of each scale of the encoder."""
    decoder_layers: tuple[ZeroOrMore, ...] = (0, 2, 3, 1)
    """Residual blocks of each scale of the decoder."""
    gradient_weight: float = 0.5
    """Weight of the L1 distance of image gradients, relative to that of the image."""
    anchored: ZeroOrMore = 8
    """So many latent channels follow the principal components of 8 x 8 px blocks. Left alone, an
    encoder whitens its latents, and white latents cannot be diffused (docs/log.md)."""
    anchor_weight: float = 1.0
    """Weight of the loss of the anchored channels."""
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
        check_table(self)

    def _check_scales(self) -> None:
        if not len(self.widths) == len(self.encoder_layers) == len(self.decoder_layers) == 4:
            raise ValueError("widths, encoder_layers and decoder_layers must hold 4 values each")

    def _check_anchored(self) -> None:
        if self.anchored > self.latent_channels:
            raise ValueError(f"anchored must lie in 0..{self.latent_channels}, not {self.anchored}")


@dataclass(frozen=True)
class AutoencoderLoop(LoopPlan):
    """How long, how fast, how often to validate: an autoencoder."""

    steps: AtLeastOne = 15_000
    batch: AtLeastOne = 4
    learning_rate: LearningRate = 6e-4


@dataclass(frozen=True)
class AutoencoderRecipe:
    """`task = "autoencoder"`."""

    task: Literal["autoencoder"] = "autoencoder"
    """What is trained."""
    loop: AutoencoderLoop = field(default_factory=AutoencoderLoop)
    data: DataPlan = field(default_factory=DataPlan)
    model: AutoencoderPlan = field(default_factory=AutoencoderPlan)
    start: PathText = ""
    """Folder of an autoencoder to go on from, or `compact` for the shipped one; empty: from
    scratch."""
    seed: Seed = 0
    """Another seed, other weights to begin with, crops and noise."""

    def __post_init__(self) -> None:
        check_table(self)
