"""`encoder.json`: the card of a small encoder. It is read without torch and before the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.units import check_mpp
from ..core.weights_folder import read_card

SHIPPED_ENCODER = Path(__file__).parent / "weights"
"""The encoder inside the package."""
ENCODER_CARD = "encoder.json"
_MAX_LEVELS = 8
_MAX_WIDTH = 2048
_MAX_BLOCKS = 32


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
        levels = len(self.widths)
        if levels != len(self.blocks) or not 1 <= levels <= _MAX_LEVELS:
            raise ValueError(f"widths and blocks must be as many, from 1 to {_MAX_LEVELS}")
        widths_are_valid = all(0 < width <= _MAX_WIDTH for width in self.widths)
        blocks_are_valid = all(0 <= count <= _MAX_BLOCKS for count in self.blocks)
        if not widths_are_valid or not blocks_are_valid:
            raise ValueError(f"widths must lie in 1..{_MAX_WIDTH} and blocks in 0..{_MAX_BLOCKS}")


def read_encoder_info(folder: Path) -> EncoderInfo:
    """Read the card of an encoder's folder.

    Raises:
        BadWeights: it is absent, or not what it should be.
    """
    return read_card(folder / ENCODER_CARD, EncoderInfo)
