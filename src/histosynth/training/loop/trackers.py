"""Experiment trackers besides `log.jsonl`: accelerate's, offline unless configured otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import NeedsExtra
from ...core.store import ensure_folder
from ...core.tile import Pixels
from ..recipes.loop import TrackerName
from ..resume import TRACKERS


class Trackers:
    """The trackers of a run; nothing happens where there are none.

    Args:
        started: accelerate's trackers, already started.
    """

    def __init__(self, started: Sequence[Any]) -> None:
        self._started = tuple(started)

    def log(self, step: int, row: Mapping[str, float | str]) -> None:
        """Log the numbers of a step; texts are left out."""
        numbers = {key: value for key, value in row.items() if not isinstance(value, str)}
        for tracker in self._started:
            tracker.log(numbers, step=step)

    def log_picture(
        self,
        step: int,
        picture: Pixels,
        file: Path,
    ) -> None:
        """Log the validation picture, (H, W, 3) uint8, which lies in `file` too."""
        for tracker in self._started:
            match tracker.name:
                case "tensorboard":
                    images = {"validation": picture[None]}
                    tracker.log_images(images, step=step, dataformats="NHWC")
                case "mlflow":
                    tracker.log_artifact(str(file), "pictures")
                case _:
                    tracker.log_images({"validation": [picture]}, step=step)

    def close(self) -> None:
        """Write what is still held back."""
        for tracker in self._started:
            tracker.finish()


def open_trackers(names: Sequence[TrackerName], run: Path) -> Trackers:
    """Start the trackers that a recipe names; their files lie in `run/trackers`.

    Raises:
        NeedsExtra: wandb or mlflow is named and not installed. TensorBoard is then left out.
    """
    installed = _installed_trackers(names) if names else []
    if not installed:
        return Trackers(())
    from accelerate import PartialState

    PartialState()  # accelerate's trackers need it; in a single process it sets up nothing
    folder = ensure_folder(run / TRACKERS)
    started = []
    for name in installed:
        tracker = _TRACKERS[name](run.absolute().name, folder)
        tracker.start()
        started.append(tracker)
    return Trackers(started)


def _installed_trackers(names: Sequence[TrackerName]) -> list[TrackerName]:
    from accelerate import utils

    is_installed = {
        "tensorboard": utils.is_tensorboard_available,
        "wandb": utils.is_wandb_available,
        "mlflow": utils.is_mlflow_available,
    }
    found: list[TrackerName] = []
    for name in names:
        if is_installed[name]():
            found.append(name)
        elif name != "tensorboard":
            raise NeedsExtra(f"{name}, which loop.trackers names,", name)
    return found


def _tensorboard(name: str, folder: Path) -> Any:
    from accelerate.tracking import TensorBoardTracker

    return TensorBoardTracker("tensorboard", folder)


def _wandb(name: str, folder: Path) -> Any:
    from accelerate.tracking import WandBTracker

    mode = os.environ.get("WANDB_MODE", "offline")
    return WandBTracker(
        "histosynth",
        name=name,
        dir=str(folder),
        mode=mode,
    )


def _mlflow(name: str, folder: Path) -> Any:
    import mlflow
    from accelerate.tracking import MLflowTracker

    if not os.environ.get("MLFLOW_TRACKING_URI"):
        database = (folder / "mlflow.db").absolute()
        mlflow.set_tracking_uri(f"sqlite:///{database}")
    artifacts = (folder / "mlflow").absolute().as_uri()
    return MLflowTracker("histosynth", logging_dir=artifacts, run_name=name)


_TRACKERS: dict[TrackerName, Callable[[str, Path], Any]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
"""Every tracker, by the name that recipes use."""
