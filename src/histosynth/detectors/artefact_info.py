"""`artefact.json`: the card of an artefact classifier. It is read without torch."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.units import is_mpp

GOOD_CLASS = "good"
"""Name of the folder, and class, of tiles without artefacts."""
ARTEFACT_CARD = "artefact.json"
_MAX_STAGES = 6
_MAX_WIDTH = 2048
_MAX_DEPTH = 64


@dataclass(frozen=True)
class TileCounts:
    """Number of patients, and of tiles of either class."""

    patients: int
    good: int
    artefact: int


@dataclass(frozen=True)
class AucInterval:
    """Area under the ROC curve on held-out patients, with its 95 % interval over them."""

    value: float
    low: float
    high: float
    n: int
    """Held-out patients."""


@dataclass(frozen=True)
class ArtefactInfo:
    """`artefact.json`: what a classifier is, in plain values."""

    name: str
    mpp: float
    """Scale it works at, um/px."""
    size_px: int
    """Side of the crops it was trained on."""
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    classes: tuple[str, ...]
    """Folders it learned from: `good`, then those that count as artefact."""
    trained: TileCounts | None = None
    held_out: TileCounts | None = None
    auc: AucInterval | None = None
    sha256: str = ""
    """Of the weights file."""

    def __post_init__(self) -> None:
        if not is_mpp(self.mpp) or not 32 <= self.size_px <= 4096:
            raise ValueError("mpp must lie in [0.05, 20] and size_px in 32..4096")
        check_network_layout(self.widths, self.depths)


def check_network_layout(widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
    """Refuse a network that cannot be built, or not in memory.

    Raises:
        ValueError: naming the limits.
    """
    if len(widths) != len(depths) or not 1 <= len(widths) <= _MAX_STAGES:
        raise ValueError(f"widths and depths must be as many, 1 to {_MAX_STAGES}")
    widths_are_valid = all(0 < width <= _MAX_WIDTH for width in widths)
    depths_are_valid = all(0 < depth <= _MAX_DEPTH for depth in depths)
    if not widths_are_valid or not depths_are_valid:
        raise ValueError(f"widths must lie in 1..{_MAX_WIDTH} and depths in 1..{_MAX_DEPTH}")
