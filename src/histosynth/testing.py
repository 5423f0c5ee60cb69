"""Test doubles with known results, for histosynth's tests and for yours.

`GaussianBase` is a denoiser whose data are normal, so that every solver can be compared with the
exact result. `tiny_bundle` is a complete bundle of random weights, of a few hundred kB, that runs
every code path in milliseconds (its pictures do not resemble tissue).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .model.bundle import Bundle


@dataclass(frozen=True)
class GaussianBase:
    """Data x0 ~ N(mean, std^2) per element, under flow matching x = (1 - t) x0 + t e."""

    mean: float = 0.0
    std: float = 1.0

    def denoise(self, noisy: Tensor, time: Tensor) -> Tensor:
        """The exact clean estimate E[x0 | x], (B, ...) for time (B,) in [0, 1].

        For a joint Gaussian: mean + a v / (a^2 v + s^2) (x - a mean), with a = 1 - t, s = t and
        v = std^2.
        """
        trailing = [1] * (noisy.ndim - 1)
        noise = time.reshape(-1, *trailing)
        signal = 1 - noise
        variance = self.std**2
        total_variance = signal**2 * variance + noise**2
        gain = signal * variance / total_variance
        deviation = noisy - signal * self.mean
        return self.mean + gain * deviation

    def exact(self, noise: Tensor) -> Tensor:
        """Result of the probability-flow ODE for unit noise e: mean + std e.

        Each marginal is normal.
        """
        return self.mean + self.std * noise


def tiny_bundle(
    seed: int = 0,
    *,
    classes: tuple[str, ...] = ("epithelial", "lymphocyte", "stromal"),
) -> Bundle:
    """A bundle of random weights in float32, without adapters."""
    import torch

    from .model.autoencoder import build_autoencoder
    from .model.bundle import Bundle
    from .model.conditioning import style_length
    from .model.families.compact import build_unet
    from .model.info import BundleInfo, PaletteEntry
    from .model.structure import StructureEncoder
    from .tissue.appearance import STYLE_NAMES

    styles = len(STYLE_NAMES)
    labels = ("breast",)
    channels = 4
    widths = (32, 32, 64)
    palette = []
    for index in range(1, 5):
        stain = (1.0, 1.0 + 0.1 * index, 1.0)
        style = (0.1 * index,) * styles
        palette.append(PaletteEntry(f"stain-{index}", stain, style))
    info = BundleInfo(
        name="tiny",
        mpp=0.5,
        classes=classes,
        labels=labels,
        latent_mean=(0.0,) * channels,
        latent_std=(1.0,) * channels,
        style_mean=(0.0,) * styles,
        style_std=(1.0,) * styles,
        steps=2,
        palette=tuple(palette),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = build_autoencoder(
            latent_channels=channels,
            widths=(16, 16, 32, 32),
            encoder_layers=(0, 1, 1, 1),
            decoder_layers=(0, 1, 1, 1),
        )
        unet = build_unet(
            latent_channels=channels,
            fine=8,
            style=style_length(styles, len(labels)),
            widths=widths,
            layers=1,
            head=32,
        )
        structure = StructureEncoder(
            classes=len(classes),
            fine=8,
            widths=(16, 16, 16),
            outputs=widths,
        )
        # its output layers are initialised to zero; random weights make its output matter
        for parameter in structure.leave.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    for part in (autoencoder, unet, structure):
        part.eval().requires_grad_(False)
    return Bundle(info, autoencoder, unet, structure)
