"""PixArt's transformer, able to wear adapters: diffusers gives that to its other networks only."""

from __future__ import annotations

from diffusers import PixArtTransformer2DModel
from diffusers.loaders import PeftAdapterMixin


class PixArt(PixArtTransformer2DModel, PeftAdapterMixin):  # type: ignore[misc]
    """diffusers' `PixArtTransformer2DModel` with `add_adapter` and its kin (Chen et al. 2024)."""
