"""`detector.json`: what a detector is. Read without torch, so that its name is known before it is
loaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..core import recipe as recipes
from ..core.errors import BadRecipe, BadWeights, first_line
from ..core.units import is_mpp

SHIPPED_DETECTOR = Path(__file__).parent / "weights"
"""The detector inside the package."""
WEIGHTS = "model.safetensors"


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

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1 or not is_mpp(self.mpp):
            raise ValueError("threshold must lie in (0, 1) and mpp in [0.05, 20]")
        if len(self.widths) != len(self.blocks) or not self.classes or len(self.widths) > 8:
            raise ValueError("widths and blocks must be as many, and kinds at least one")
        if not all(0 < width <= 1024 for width in self.widths) or not all(
            0 <= n <= 16 for n in self.blocks
        ):
            raise ValueError("widths must lie in 1..1024 and blocks in 0..16")

    @property
    def full_name(self) -> str:
        """Name and weights."""
        return f"{self.name} {self.sha256[:12]}"


def read_detector_info(folder: Path) -> DetectorInfo:
    """Read a detector's folder.

    Raises:
        BadWeights: it is absent, or not what it should be.
    """
    path = folder / "detector.json"
    try:
        return recipes.build(
            json.loads(path.read_text(encoding="utf-8")),
            DetectorInfo,
            name=str(path),
        )
    except (OSError, ValueError, BadRecipe) as error:
        raise BadWeights(path, first_line(error)) from error
