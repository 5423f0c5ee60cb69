"""`encoder.json`: what a small encoder is. Read without torch: its name is known before it is
loaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..core import recipe as recipes
from ..core.errors import BadRecipe, BadWeights, first_line
from ..core.units import is_mpp

SHIPPED_ENCODER = Path(__file__).parent / "weights"
"""The encoder inside the package."""
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class EncoderInfo:
    """What an encoder is, in plain values."""

    name: str
    mpp: float
    """Scale it was trained at, um/px."""
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    sha256: str = ""
    """Of the weights file."""

    def __post_init__(self) -> None:
        if not is_mpp(self.mpp):
            raise ValueError("mpp must lie in [0.05, 20]")
        if len(self.widths) != len(self.blocks) or not 1 <= len(self.widths) <= 8:
            raise ValueError("widths and blocks must be as many, from 1 to 8")
        if not all(0 < width <= 2048 for width in self.widths) or not all(
            0 <= n <= 32 for n in self.blocks
        ):
            raise ValueError("widths must lie in 1..2048 and blocks in 0..32")


def read_encoder_info(folder: Path) -> EncoderInfo:
    """Read an encoder's folder.

    Raises:
        BadWeights: it is absent, or not what it should be.
    """
    path = folder / "encoder.json"
    try:
        return recipes.build(
            json.loads(path.read_text(encoding="utf-8")),
            EncoderInfo,
            name=str(path),
        )
    except (OSError, ValueError, BadRecipe) as error:
        raise BadWeights(path, first_line(error)) from error
