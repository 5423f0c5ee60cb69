"""What is sampled: a picture's condition, its appearance, and its own randomness."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..core.condition import Condition
from ..tissue.appearance import Appearance


@dataclass(frozen=True, eq=False)
class SampleItem:
    """One picture to sample.

    Attributes:
        condition: what the picture follows; its size a multiple of the latent cell.
        appearance: stain and style of the picture.
        generator: the item's own randomness.
    """

    condition: Condition
    appearance: Appearance
    generator: torch.Generator
