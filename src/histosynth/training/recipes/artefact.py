"""What a recipe of the artefact classifier may hold, and the usual one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from ...core.recipe import PathText
from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    AtLeastOne,
    Limits,
    NotNegative,
    PartOfAll,
)
from ...core.seeds import Seed
from ...detectors.artefact_info import ARTEFACT_LIMITS
from .loop import LearningRate, LoopPlan
from .tiles import Mpp, check_patient_pattern

MIN_BATCH = 4


@dataclass(frozen=True)
class ArtefactData:
    """Which tiles, at which scale."""

    root: Path
    """Folder that holds `good` and folders of artefacts; relative to the recipe file."""
    patient: str
    """Pattern on the file stem; its first group is the patient. Sides are split by patient."""
    mpp: Mpp
    """Scale that the classifier works at, um/px."""
    tile_mpp: Mpp | None = None
    """Scale of the files, um/px; None: `mpp`."""
    crop: Annotated[int, Limits(least=32, most=4096)] = 224
    """Side of the crops, px. Every crop of a larger tile has the tile's class: label tiles of about
    this size."""
    held_out: PartOfAll = 0.25
    """Share of patients that are held out for validation."""
    stain_jitter: NotNegative = 0.1
    """Spread of the stains of the training crops."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_patient(self) -> None:
        check_patient_pattern(self.patient)


@dataclass(frozen=True)
class ArtefactPlan:
    """Shape of the classifier; the defaults are ResNet-18."""

    widths: tuple[AtLeastOne, ...] = (64, 128, 256, 512)
    """Channels of each stage."""
    depths: tuple[AtLeastOne, ...] = (2, 2, 2, 2)
    """Basic blocks of each width."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_scales(self) -> None:
        ARTEFACT_LIMITS.check(self.widths, self.depths)


@dataclass(frozen=True)
class ArtefactLoop(LoopPlan):
    """How long, how fast, how often to validate: an artefact classifier."""

    steps: AtLeastOne = 2000
    batch: AtLeastOne = 32
    learning_rate: LearningRate = 1e-3


@dataclass(frozen=True)
class ArtefactRecipe:
    """`task = "artefact"`."""

    task: Literal["artefact"]
    """What is trained."""
    loop: ArtefactLoop = field(default_factory=ArtefactLoop)
    data: ArtefactData = field(kw_only=True)
    model: ArtefactPlan = field(default_factory=ArtefactPlan)
    start: PathText = ""
    """Folder of a published ResNet of the same layout to continue from; empty: from scratch."""
    name: str = "artefact"
    """Name of the classifier that is written."""
    seed: Seed = 0
    """Another seed, other crops."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_batch(self) -> None:
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
    loop = ArtefactLoop(
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
        data=data,
        start=start,
    )
