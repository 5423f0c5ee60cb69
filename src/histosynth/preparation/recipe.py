"""What a preparation recipe may contain. `slides = ["…"]` alone is one: the rest has defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from ..core import recipe as recipes
from ..core.recipe_checks import check_table
from ..core.recipe_limits import (
    Limits,
    NotNegative,
)
from ..core.recipe_names import nearest_name
from ..core.recipe_values import suggested
from .grid import GridPlan
from .quality import complete_limits, default_limits
from .stain import STAIN_METHODS
from .tissue_mask import TissuePlan

MAX_SAMPLE_TILES = 1000


@dataclass(frozen=True)
class RegionPlan:
    """Annotations that define where tiles may lie."""

    folder: recipes.PathText = ""
    """Folder of `<slide>.geojson`; empty: none. A slide without a file has no regions."""
    include: tuple[str, ...] = ()
    """Classes whose inside counts; empty: the whole slide. Slides without such a region give no
    tile."""
    exclude: tuple[str, ...] = ()
    """Classes whose inside does not."""


@dataclass(frozen=True)
class StainPlan:
    """How colours are unified."""

    method: str = "macenko"
    """`none`, or a key of `preparation.stain.STAIN_METHODS`."""
    target: recipes.PathText = "medoid"
    """`medoid`: the most usual slide of the set; else a picture of tissue whose stain all get."""
    fit: Literal["slide", "tile"] = "slide"
    """One fit a slide, or one a tile. Tiles with few nuclei are better fitted with their slide."""
    sample_tiles: Annotated[int, Limits(least=1, most=MAX_SAMPLE_TILES)] = 24
    """Tiles, spread over the tissue, whose pixels are used for the slide's fit."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_method(self) -> None:
        methods = ("none", *STAIN_METHODS)
        if self.method not in methods:
            known = ", ".join(map(repr, methods))
            meant = nearest_name(self.method, methods)
            hint = suggested(repr(meant) if meant else "")
            raise ValueError(f"method is {self.method!r}, not one of {known}{hint}")


@dataclass(frozen=True)
class NucleiPlan:
    """Where nuclei come from, and how many a tile must have."""

    source: Literal[
        "centroids",
        "centroids-fast",
        "blobs",
        "instanseg",
        "files",
        "none",
    ] = "centroids"
    """A detector, or files of what another tool found."""
    folder: recipes.PathText = ""
    """`files`: folder of `<slide>.csv`, `.geojson` or `.json`, in level-0 px."""
    classes: dict[str, str] = field(default_factory=dict)
    """`files`: the files' class names to yours; a class that is not in it is refused."""
    least_per_mm2: NotNegative = 0.0
    """Tiles with fewer nuclei are refused."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_folder(self) -> None:
        if self.source == "files" and not self.folder:
            raise ValueError('source = "files" needs folder')


@dataclass(frozen=True)
class SplitPlan:
    """Shares of patients."""

    train: NotNegative = 0.7
    """Share of the patients to train on."""
    validation: NotNegative = 0.1
    """Share of the patients to validate on."""
    test: NotNegative = 0.2
    """Share of the patients that results are measured on."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_sum(self) -> None:
        shares = (self.train, self.validation, self.test)
        if not abs(sum(shares) - 1) <= 1e-6:
            raise ValueError(
                f"train, validation and test must be shares that sum to 1, not {shares}"
            )

    def as_dict(self) -> dict[str, float]:
        """Shares by name, without the empty ones."""
        shares = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        return {name: share for name, share in shares.items() if share}


@dataclass(frozen=True)
class PrepareRecipe:
    """A preparation recipe."""

    slides: tuple[recipes.PathText, ...]
    """Files or patterns such as `slides/*.svs`, relative to the recipe."""
    mpp: float | None = None
    """Scale of level 0, for files that state none, or a wrong one."""
    patient: str = ""
    """Pattern on a slide's name, its first group the patient; empty: the TCGA barcode in the name,
    else every slide is a patient of its own."""
    table: recipes.PathText = ""
    """CSV with the columns slide, patient and label (the last two may be left out)."""
    label: str = ""
    """Label of all slides that the table does not name."""
    tiles: GridPlan = field(default_factory=GridPlan)
    tissue: TissuePlan = field(default_factory=TissuePlan)
    regions: RegionPlan = field(default_factory=RegionPlan)
    stain: StainPlan = field(default_factory=StainPlan)
    quality: dict[str, float] = field(default_factory=default_limits)
    """Limit of each gate by its name; a gate that is not named keeps its default. See
    `preparation.quality.QUALITY_GATES`."""
    quality_model: recipes.PathText = ""
    """Folder of a trained artefact classifier (`weights` of `prepare quality train`): one more
    gate."""
    nuclei: NucleiPlan = field(default_factory=NucleiPlan)
    split: SplitPlan = field(default_factory=SplitPlan)
    seed: int = 0
    """Another seed, another assignment of patients to splits."""

    def __post_init__(self) -> None:
        check_table(self)
        object.__setattr__(
            self,
            "quality",
            complete_limits(self.quality),
        )

    def _check_slides(self) -> None:
        if not self.slides:
            raise ValueError("slides must name at least one file")

    def _check_quality(self) -> None:
        complete_limits(self.quality)


def read_prepare_recipe(path: Path) -> PrepareRecipe:
    """Read a preparation recipe.

    Raises:
        BadRecipe: with all its problems.
    """
    return recipes.load(path, PrepareRecipe)
