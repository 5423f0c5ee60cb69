"""Adapters on text-conditioned bases: Stable Diffusion and PixArt."""

from .task import TEXT_ADAPTER as TEXT_ADAPTER
