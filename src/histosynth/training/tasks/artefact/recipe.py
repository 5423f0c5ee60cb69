"""What a recipe of the artefact classifier may hold, and the usual one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ....core.recipe import PathText
from ....core.seeds import check_recipe_seed
from ....core.units import is_mpp
from ....detectors.artefact_info import check_network_layout
from ...loop.plan import LoopPlan

MIN_BATCH = 4


@dataclass(frozen=True)
class ArtefactData:
    """Which tiles, at which scale."""

    root: Path
    """Folder that holds `good` and folders of artefacts; relative to the recipe file."""
    patient: str
    """Pattern on the file stem; its first group is the patient. Sides are split by patient."""
    mpp: float
    """Scale that the classifier works at, um/px."""
    tile_mpp: float | None = None
    """Scale of the files, um/px; None: `mpp`."""
    crop: int = 224
    """Side of the crops, px. Every crop of a larger tile has the tile's class: label tiles of about
    this size."""
    held_out: float = 0.25
    """Share of patients that are held out for validation."""
    stain_jitter: float = 0.1

    def __post_init__(self) -> None:
        if not is_mpp(self.mpp) or not is_mpp(self.tile_mpp or self.mpp):
            raise ValueError("mpp and tile_mpp must lie in [0.05, 20]")
        if not 32 <= self.crop <= 4096 or not 0 < self.held_out < 1 or self.stain_jitter < 0:
            raise ValueError(
                "crop must lie in 32..4096, held_out in (0, 1), stain_jitter must not be negative"
            )
        try:
            groups = re.compile(self.patient).groups
        except re.error as error:
            raise ValueError(f"patient pattern {self.patient!r} is no pattern: {error}") from error
        if groups < 1:
            raise ValueError(f"patient pattern {self.patient!r} needs one group in parentheses")


@dataclass(frozen=True)
class ArtefactPlan:
    """Shape of the classifier; the defaults are ResNet-18."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    """Basic blocks of each width."""

    def __post_init__(self) -> None:
        check_network_layout(self.widths, self.depths)


@dataclass(frozen=True)
class ArtefactRecipe:
    """`task = "artefact"`."""

    task: Literal["artefact"]
    loop: LoopPlan
    data: ArtefactData
    model: ArtefactPlan = field(default_factory=ArtefactPlan)
    start: PathText = ""
    """Folder of a published ResNet of the same layout to continue from; empty: from scratch."""
    name: str = "artefact"
    seed: int = 0

    def __post_init__(self) -> None:
        check_recipe_seed(self.seed)
        if self.loop.batch < MIN_BATCH:
            raise ValueError(
                f"loop.batch must be at least {MIN_BATCH} for both classes, not {self.loop.batch}"
            )


def artefact_recipe(
    root: Path,
    patient: str,
    mpp: float,
    *,
    start: PathText = "",
    steps: int = 2000,
) -> ArtefactRecipe:
    """The usual recipe for a folder of labelled tiles whose files have the scale `mpp`."""
    rate = 3e-4 if start else 1e-3
    loop = LoopPlan(
        steps,
        32,
        rate,
        warmup=steps // 20,
        validate_every=max(steps // 8, 1),
        precision="fp32",
    )
    data = ArtefactData(root, patient, mpp)
    return ArtefactRecipe(
        "artefact",
        loop,
        data,
        start=start,
    )
