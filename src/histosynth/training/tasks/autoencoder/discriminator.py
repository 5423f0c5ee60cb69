"""A discriminator of texture: what the decoder makes is told from tissue crop by crop.

Scores are compared in pairs (Jolicoeur-Martineau 2018, relativistic GAN), and slopes are penalised
on both sides (Mescheder et al. 2018, R1; Roth et al. 2017, R2), which is what Huang et al. (2024,
R3GAN) found to be enough for training without other tricks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

EDGE_PX = 16
"""Pixels along the edges of a crop that are not compared: the decoder lacks what is beside them."""
PENALTY_WEIGHT = 1.0
"""Weight of the squared slopes, relative to the loss of the scores."""
RATE = 5.0
"""Steps of its weights over those of the decoder's: its convolutions learn from nothing."""
JITTER = 0.1
"""Spread of the brightness and contrast of each channel: colour is not what it is to learn."""
_LAYERS = ((32, 1), (48, 2), (64, 2), (96, 2), (128, 2))
_SLOPE_BELOW_ZERO = 0.2


class _FastConvolution(nn.Conv2d):
    """Its weights are stored smaller by `RATE`, so that a step of them is longer (Karras et al.
    2018, equalised learning rate).
    """

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__(
            before,
            channels,
            3,
            stride=stride,
            padding=1,
        )
        with torch.no_grad():
            self.weight.div_(RATE)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) => maps of the convolution."""
        weight = RATE * self.weight
        return F.conv2d(
            maps,
            weight,
            self.bias,
            stride=self.stride,
            padding=1,
        )


class Discriminator(nn.Module):
    """Five convolutions and the mean over their last maps: (B, 3, H, W) in [-1, 1] => (B,)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for channels, stride in _LAYERS:
            convolution = _FastConvolution(before, channels, stride)
            layers += [convolution, nn.LeakyReLU(_SLOPE_BELOW_ZERO)]
            before = channels
        self.features = nn.Sequential(*layers)
        self.score = nn.Linear(before, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Scores (B,): the higher, the more like tissue."""
        maps = self.features(crops)
        scores: Tensor = self.score(maps.mean(dim=(2, 3)))
        return scores[:, 0]


def adversarial_loss(
    discriminator: Discriminator,
    real: Tensor,
    decoded: Tensor,
    *,
    weight: float | Tensor,
) -> Tensor:
    """Losses of discriminator and decoder as one sum; the gradients of each reach it alone.

    Args:
        discriminator: that learns.
        real: (B, 3, H, W) float32 in [-1, 1].
        decoded: (B, 3, H, W) float32, each item of the tile of the real one.
        weight: of the decoder's loss, one for all items or (B,).
    """
    real = _jittered(_inside(real)).requires_grad_()
    decoded = _jittered(_inside(decoded))
    shown = decoded.detach().requires_grad_()
    real_scores = discriminator(real)
    shown_scores = discriminator(shown)
    critic_loss = F.softplus(shown_scores - real_scores).mean()
    real_slope = _squared_slope(real_scores, real)
    shown_slope = _squared_slope(shown_scores, shown)
    penalty = PENALTY_WEIGHT * (real_slope + shown_slope) / 2
    # its own loss alone is to teach the discriminator
    fixed = {}
    for name, value in discriminator.named_parameters():
        fixed[name] = value.detach()
    scores = functional_call(discriminator, fixed, (decoded,))
    decoder_losses = F.softplus(real_scores.detach() - scores)
    decoder_loss = (weight * decoder_losses).mean()
    loss: Tensor = critic_loss + penalty + decoder_loss
    return loss


def _inside(crops: Tensor) -> Tensor:
    rows = crops[..., EDGE_PX:-EDGE_PX, :]
    return rows[..., EDGE_PX:-EDGE_PX]


def _jittered(crops: Tensor) -> Tensor:
    """Crops of other brightness and contrast, by channel and item."""
    by_channel = (*crops.shape[:2], 1, 1)
    contrast = torch.randn(by_channel, device=crops.device)
    brightness = torch.randn(by_channel, device=crops.device)
    return crops * (1 + JITTER * contrast) + JITTER * brightness


def _squared_slope(scores: Tensor, crops: Tensor) -> Tensor:
    """Mean squared norm of the scores' gradient by the pixels."""
    (gradient,) = torch.autograd.grad(
        scores.sum(),
        crops,
        create_graph=True,
    )
    return gradient.square().sum(dim=(1, 2, 3)).mean()
