"""What recipes of training may hold: frozen dataclasses, one a table, with their limits.

Nothing here imports torch, so that a recipe is refused before anything that takes time is loaded.
`RECIPES` names the recipe of each task in `training.tasks.TASKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.errors import BadRecipe
from ...core.recipe_names import nearest_name
from ...core.recipe_values import shown_value, suggested
from .artefact import ArtefactRecipe
from .autoencoder import AutoencoderRecipe
from .detector import DetectorRecipe
from .diffusion import BaseRecipe, CompactAdapterRecipe
from .encoder import EncoderRecipe
from .text_adapter import TextAdapterRecipe

TEXT_ADAPTER_TASK = "text adapter"
DEFAULT_TASK = "global"
"""Of a recipe without `task`."""
RECIPES: dict[str, Any] = {
    "detector": DetectorRecipe,
    "autoencoder": AutoencoderRecipe,
    "base": BaseRecipe,
    "adapter": CompactAdapterRecipe,
    TEXT_ADAPTER_TASK: TextAdapterRecipe,
    "artefact": ArtefactRecipe,
    "encoder": EncoderRecipe,
}
TASK_OF_LABEL = {
    "detector": "detector",
    "autoencoder": "autoencoder",
    "base": "base",
    "global": "adapter",
    "local": "adapter",
    "artefact": "artefact",
    "encoder": "encoder",
}
"""Values of `task` in a recipe file without a text-conditioned base, and their tasks."""


def find_task_name(values: Mapping[str, Any], name: str) -> str:
    """Name of the task, a key of `RECIPES`, that the values of a recipe file are for.

    Args:
        values: of the file.
        name: of the file, as the message shows it.

    Raises:
        BadRecipe: naming the tasks that exist.
    """
    if isinstance(values.get("base"), str):
        return TEXT_ADAPTER_TASK
    label = values.get("task", DEFAULT_TASK)
    if isinstance(label, str) and label in TASK_OF_LABEL:
        return TASK_OF_LABEL[label]
    meant = nearest_name(label, list(TASK_OF_LABEL)) if isinstance(label, str) else ""
    problem = f"task is {shown_value(label)}, not one of {', '.join(TASK_OF_LABEL)}"
    raise BadRecipe(name, [problem + suggested(repr(meant) if meant else "")])
