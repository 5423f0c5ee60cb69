"""`artefact.json`: the card of an artefact classifier. It is read without torch."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.network_shape import NetworkLimits
from ..core.units import is_mpp

GOOD_CLASS = "good"
"""Name of the folder, and class, of tiles without artefacts."""
ARTEFACT_CARD = "artefact.json"
ARTEFACT_LIMITS = NetworkLimits(
    scales=6,
    width=2048,
    blocks=64,
    least_blocks=1,
    blocks_name="depths",
)
"""Of the networks that are opened."""


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
        ARTEFACT_LIMITS.check(self.widths, self.depths)
