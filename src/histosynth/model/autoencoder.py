"""The compact autoencoder: from 8 x 8 px of tissue to one latent vector, and back.

diffusers' `AutoencoderDC` (Chen et al. 2025, deep-compression autoencoder) with residual
blocks only. Its first and last layers fold pixels into channels, so that no convolution runs
at full resolution: this makes it fast on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from diffusers import AutoencoderDC, AutoencoderKL
from torch import Tensor

from .device import place_of

FACTOR = 8
"""Pixels per latent cell, each way."""
Autoencoder: TypeAlias = AutoencoderDC | AutoencoderKL
"""The compact one, or Stable Diffusion's (Rombach et al. 2022)."""


def build_autoencoder(
    *,
    latent_channels: int,
    widths: Sequence[int],
    encoder_layers: Sequence[int],
    decoder_layers: Sequence[int],
) -> AutoencoderDC:
    """A new autoencoder. `widths[0]` is not used where `*_layers[0]` is 0 (the usual case)."""
    levels = len(widths)
    return AutoencoderDC(
        in_channels=3,
        latent_channels=latent_channels,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=tuple(widths),
        decoder_block_out_channels=tuple(widths),
        encoder_layers_per_block=tuple(encoder_layers),
        decoder_layers_per_block=tuple(decoder_layers),
        encoder_qkv_multiscales=((),) * levels,
        decoder_qkv_multiscales=((),) * levels,
        downsample_block_type="pixel_unshuffle",
        upsample_block_type="pixel_shuffle",
    )


def with_new_decoder(
    autoencoder: AutoencoderDC,
    *,
    widths: Sequence[int],
    layers: Sequence[int],
) -> AutoencoderDC:
    """The same encoder before another decoder, on the CPU.

    Weights of the old decoder are kept where name and shape agree: training goes on from them.

    Args:
        autoencoder: the compact one; it is not changed.
        widths: channels of each of the four scales, the full one first.
        layers: residual blocks of each scale.
    """
    settings = {name: value for name, value in autoencoder.config.items() if name[0] != "_"}
    settings["decoder_block_out_channels"] = tuple(widths)
    settings["decoder_layers_per_block"] = tuple(layers)
    changed = AutoencoderDC(**settings)
    own = changed.state_dict()
    for name, value in autoencoder.state_dict().items():
        if name in own and own[name].shape == value.shape:
            own[name] = value
    changed.load_state_dict(own)
    return changed


def check_factor(autoencoder: Autoencoder) -> None:
    """Refuse an autoencoder that would give larger pictures than 8 x 8 px a latent cell.

    Raises:
        ValueError: naming both factors.
    """
    config = autoencoder.config
    names = ("block_out_channels", "encoder_block_out_channels", "decoder_block_out_channels")
    levels = max(len(config[name]) for name in names if name in config)
    most = 2 ** (levels - 1)
    if most > FACTOR:
        raise ValueError(f"its autoencoder has cells of {most} px in place of {FACTOR}")


def encode(autoencoder: Autoencoder, pixels: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] => raw latents (B, C, H / 8, W / 8), not yet standardised."""
    signal = pixels.to(*place_of(autoencoder))
    latents: Tensor
    if isinstance(autoencoder, AutoencoderKL):
        # the most likely latents, without sampling
        latents = autoencoder.encode(signal).latent_dist.mode()
    else:
        latents = autoencoder.encoder(signal)
    return latents


def decode(autoencoder: Autoencoder, latents: Tensor) -> Tensor:
    """Raw latents (B, C, h, w) => (B, 3, 8 h, 8 w) float32, about [-1, 1]."""
    raw = latents.to(*place_of(autoencoder))
    signal: Tensor
    if isinstance(autoencoder, AutoencoderKL):
        signal = autoencoder.decode(raw, return_dict=False)[0]
    else:
        signal = autoencoder.decoder(raw)
    return signal.float()


def to_signal(pixels: Tensor) -> Tensor:
    """(..., H, W, 3) in [0, 255] => (..., 3, H, W) float32 in [-1, 1]."""
    return pixels.movedim(-1, -3).float() / 127.5 - 1


def to_float_pixels(signal: Tensor) -> Tensor:
    """(..., 3, H, W) about [-1, 1] => (..., H, W, 3) float32 in [0, 255], not rounded."""
    return ((signal.movedim(-3, -1) + 1) * 127.5).clamp(0, 255)


def to_pixels(signal: Tensor) -> Tensor:
    """(..., 3, H, W) about [-1, 1] => (..., H, W, 3) uint8."""
    return to_float_pixels(signal).round().to(torch.uint8)
