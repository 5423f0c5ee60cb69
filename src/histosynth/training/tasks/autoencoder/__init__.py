"""The compact autoencoder: latents that diffusion can learn."""

from .task import AUTOENCODER as AUTOENCODER
