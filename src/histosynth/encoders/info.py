"""`encoder.json`: the card of a small encoder. It is read without torch and before the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.network_shape import NetworkLimits
from ..core.units import check_mpp
from ..core.weights_folder import read_card

SHIPPED_ENCODER = Path(__file__).parent / "weights"
"""The encoder inside the package."""
ENCODER_CARD = "encoder.json"
ENCODER_LIMITS = NetworkLimits(scales=8, width=2048, blocks=32)
"""Of the networks that are opened."""


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
        check_mpp(self.mpp)
        ENCODER_LIMITS.check(self.widths, self.blocks)


def read_encoder_info(folder: Path) -> EncoderInfo:
    """Read the card of an encoder's folder.

    Raises:
        BadWeights: it is absent, or not what it should be.
    """
    return read_card(folder / ENCODER_CARD, EncoderInfo)
