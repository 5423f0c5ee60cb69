"""`prepare quality train`: tiles that a person sorted in, an artefact classifier out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.paths import real_path
from ..core.plain_files import read_plain_text
from ..detectors.artefact_info import ARTEFACT_CARD
from ..tensors.device import dtype_name
from ..training.recipes.artefact import artefact_recipe
from ..training.run import run_task
from ..training.tasks.artefact import ARTEFACT
from .train_context import run_context


def train_quality(
    folder: Path,
    run: Path,
    *,
    patient: str,
    mpp: float,
    start: str = "",
    steps: int = 2000,
    on_step: Callable[[int, Mapping[str, float]], None] | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> dict[str, Any]:
    """Train an artefact classifier on a folder of sorted tiles with the usual recipe.

    Args:
        folder: holds `good` and folders of artefacts.
        run: as for `train`.
        patient: pattern on file stems whose first group is the patient.
        mpp: scale of the files, um/px, and of the classifier.
        start: folder of a published ResNet-18 to continue from; empty: from scratch.
        steps: how long.
        on_step: called after each step with its numbers.
        device: where to compute.
        dtype: number type; None: fp32.

    Returns:
        The weights' folder, and `artefact.json` with the area under the ROC curve.
    """
    recipe = artefact_recipe(
        real_path(folder),
        patient,
        mpp,
        start=start,
        steps=steps,
    )
    if dtype is not None:
        loop = replace(recipe.loop, precision=dtype_name(dtype))  # type: ignore[arg-type]
        recipe = replace(recipe, loop=loop)
    context = run_context(run, Path(), device=device)
    state = run_task(
        ARTEFACT,
        recipe,
        context,
        on_step=on_step,
    )
    weights = run / "weights"
    card = json.loads(read_plain_text(weights / ARTEFACT_CARD))
    return {
        "task": recipe.task,
        "steps": state.step,
        "weights": str(weights),
        "card": card,
    }
