"""The training tasks. A new one is one new file or folder here, and one line in `TASKS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..recipes import find_task_name
from .adapter import ADAPTER
from .artefact import ARTEFACT
from .autoencoder import AUTOENCODER
from .base import BASE
from .detector import DETECTOR
from .encoder import ENCODER
from .task import Task
from .text_adapter import TEXT_ADAPTER

TASKS: dict[str, Task[Any, Any]] = {
    "detector": DETECTOR,
    "autoencoder": AUTOENCODER,
    "base": BASE,
    "adapter": ADAPTER,
    "text adapter": TEXT_ADAPTER,
    "artefact": ARTEFACT,
    "encoder": ENCODER,
}


def find_task(values: Mapping[str, Any], name: str) -> Task[Any, Any]:
    """The task that the values of a recipe file are for.

    Args:
        values: of the file.
        name: of the file, as the message shows it.

    Raises:
        BadRecipe: naming the tasks that exist.
    """
    return TASKS[find_task_name(values, name)]
