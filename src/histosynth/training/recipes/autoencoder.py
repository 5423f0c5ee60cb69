"""What a recipe of the compact autoencoder may hold."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Literal

from ...core.recipe import PathText
from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    AtLeastOne,
    NotNegative,
    ZeroOrMore,
)
from ...core.seeds import Seed
from .data import DataPlan
from .loop import LearningRate, LoopPlan

MIN_DISCRIMINATED_PX = 96
"""Side of the smallest crops that a discriminator learns from; their edges do not count."""


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
    decoder_widths: tuple[AtLeastOne, ...] = ()
    """Channels of each scale of a new decoder behind the encoder of `start`, with `decoder_layers`;
    empty: the decoder of `start` is trained further."""
    teacher_weight: NotNegative = 0.0
    """Weight of the distance from what the decoder of `start` makes of the same latents, beside
    that from the image (Hinton et al. 2015, distillation)."""
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
    adversarial_weight: NotNegative = 0.0
    """Weight of the loss by a discriminator, which learns beside the decoder to tell decoded crops
    from real ones (Huang et al. 2024, R3GAN), relative to the distance from the image."""
    grain_of: PathText = ""
    """Bundle whose grain lies over decoded crops before the discriminator sees them, `compact` for
    the shipped one or a folder; tiles are in canonical stain then. Empty: no grain."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_scales(self) -> None:
        if not len(self.widths) == len(self.encoder_layers) == len(self.decoder_layers) == 4:
            raise ValueError("widths, encoder_layers and decoder_layers must hold 4 values each")
        # diffusers leaves out the resampling of such a scale too
        for name, layers in (
            ("encoder_layers", self.encoder_layers),
            ("decoder_layers", self.decoder_layers),
        ):
            if 0 in layers[1:]:
                raise ValueError(f"{name} must be at least 1 at each scale but the first")

    def _check_new_decoder(self) -> None:
        if not self.decoder_widths:
            return
        if len(self.decoder_widths) != 4:
            raise ValueError("decoder_widths must hold 4 values, or none")
        for fine, coarse in itertools.pairwise(self.decoder_widths[1:]):
            if 4 * fine % coarse:
                raise ValueError(f"decoder_widths: 4 x {fine} must be a multiple of {coarse}")
        if not self.decoder_only:
            raise ValueError("decoder_widths needs decoder_only = true")

    def _check_grain(self) -> None:
        if self.grain_of and not self.adversarial_weight:
            raise ValueError("grain_of needs an adversarial_weight above 0")

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

    def _check_crop(self) -> None:
        if self.model.adversarial_weight and self.data.crop < MIN_DISCRIMINATED_PX:
            raise ValueError(
                f"model.adversarial_weight needs a data.crop of at least {MIN_DISCRIMINATED_PX} "
                f"px, not {self.data.crop}"
            )

    def _check_start(self) -> None:
        needs_start = bool(self.model.decoder_widths or self.model.teacher_weight)
        if needs_start and not self.start:
            raise ValueError("model.decoder_widths and model.teacher_weight need a start")
