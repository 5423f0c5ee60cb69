"""What a recipe names must be usable before any work begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.errors import BadRecipe
from ..core.images import read_rgb
from ..core.place import ComputePlace
from ..detectors.opening import open_artefact_gate
from .recipe import PrepareRecipe
from .stain import Stain, fit_stain

_PROBE_PX = 64


def fit_given_target(recipe: PrepareRecipe, base_folder: Path) -> Stain | None:
    """The stain of the picture that the recipe names as target; None where it names none.

    Raises:
        InputError: the picture cannot be read, or its stain cannot be found.
    """
    if recipe.stain.method == "none" or recipe.stain.target == "medoid":
        return None
    path = base_folder / recipe.stain.target
    return fit_stain(
        recipe.stain.method,
        read_rgb(path),
        path.name,
    )


def check_artefact_gate(
    recipe: PrepareRecipe,
    base_folder: Path,
    place: ComputePlace,
) -> None:
    """Load the classifier once, and try it on a tile of the recipe's scale.

    Raises:
        BadWeights, NeedsExtra, BadOption: it cannot be opened, or tiles are too coarse for it.
    """
    if not recipe.quality_model:
        return
    classifier = open_artefact_gate(base_folder / recipe.quality_model, place)
    if classifier is not None:
        probe = np.full((_PROBE_PX, _PROBE_PX, 3), 255, np.uint8)
        classifier(probe, recipe.tiles.mpp)


def check_folders(recipe: PrepareRecipe, base_folder: Path) -> None:
    """Refuse a recipe that names folders which are not there.

    Raises:
        BadRecipe: naming all of them.
    """
    named = {"regions.folder": recipe.regions.folder}
    if recipe.nuclei.source == "files":
        named["nuclei.folder"] = recipe.nuclei.folder
    problems = []
    for key, name in named.items():
        folder = base_folder / name
        if name and not folder.is_dir():
            problems.append(f"{key}: there is no folder {folder}")
    if problems:
        raise BadRecipe("the recipe", problems)
