"""`detector.json`: the card of a detector. It is read without torch and before the weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.network_shape import NetworkLimits
from ..core.units import is_mpp
from ..core.weights_folder import read_card

SHIPPED_DETECTOR = Path(__file__).parent / "weights"
"""The detector inside the package."""
FAST_DETECTOR = Path(__file__).parent / "fast_weights"
"""The cheaper one inside the package, which imitates the other."""
SHIPPED_CARDS: Mapping[str, Path] = {
    "centroids": SHIPPED_DETECTOR,
    "centroids-fast": FAST_DETECTOR,
}
"""Folders of the detectors inside the package, by name."""
NetworkName = Literal["centroids", "fast"]
DETECTOR_CARD = "detector.json"
DETECTOR_LIMITS = NetworkLimits(scales=8, width=1024, blocks=16)
"""Of the networks that are opened."""


@dataclass(frozen=True)
class DetectorInfo:
    """`detector.json`: what a detector is, in plain values."""

    name: str
    mpp: float
    """Scale it works at, um/px."""
    classes: tuple[str, ...]
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    threshold: float
    """Least heat of a nucleus; chosen on patients of the training list whose tiles gave no
    gradient."""
    sha256: str = ""
    """Of the weights file."""
    network: NetworkName = "centroids"
    """`fast`: begins at stride 4 and normalises nothing; `widths` begin there too."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1 or not is_mpp(self.mpp):
            raise ValueError("threshold must lie in (0, 1) and mpp in [0.05, 20]")
        if not self.classes:
            raise ValueError("classes must name at least one")
        DETECTOR_LIMITS.check(self.widths, self.blocks)

    @property
    def full_name(self) -> str:
        """Name and weights."""
        return f"{self.name} {self.sha256[:12]}"


def read_detector_info(folder: Path) -> DetectorInfo:
    """Read the card of a detector's folder.

    Raises:
        BadWeights: it is absent, or not what it should be.
    """
    return read_card(folder / DETECTOR_CARD, DetectorInfo)
