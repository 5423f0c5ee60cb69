"""All that decides the pixels of a slide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.geometry import Size
from ..core.slide_layout import SlideLayout
from ..core.store import digest
from ..sampling.painter import SamplingSettings
from ..tissue.appearance import Appearance

FORMAT = 1
"""Of the way in which slides are painted: another one gives other pixels."""


@dataclass(frozen=True)
class BundlePlace:
    """Where a process finds the networks.

    Attributes:
        folder: of the bundle.
        sha256: of the bundle, so that no worker uses another one.
        adapter: that is merged into it; None: its base alone.
        device: where to compute.
        dtype: number type, "bf16", "fp32" or "fp16".
    """

    folder: Path
    sha256: str
    adapter: str | None
    device: str
    dtype: str


@dataclass(frozen=True, eq=False)
class Scene:
    """A slide to paint. Other processes receive it.

    Attributes:
        bundle: the networks.
        settings: how to sample.
        seed: of noise, sizes of nuclei, fibres and grain.
        size: of the slide, px.
        layout: nuclei of the slide, and where there is no tissue; its mpp is the slide's.
        appearance: of the slide.
        label: one of the bundle's, or None.
        recipe: plain values that say all of this, for the slide's metadata.
    """

    bundle: BundlePlace
    settings: SamplingSettings
    seed: int
    size: Size
    layout: SlideLayout
    appearance: Appearance
    label: str | None
    recipe: dict[str, Any]

    @property
    def key(self) -> str:
        """Hex digest of all that decides the pixels."""
        return digest({"format": FORMAT, "recipe": self.recipe})
