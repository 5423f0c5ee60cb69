"""Who is told of a run beside `log.jsonl`: accelerate's trackers, offline unless told otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import NeedsExtra
from ...core.store import ensure_folder
from ...core.tile import Pixels
from .plan import TrackerName

FOLDER = "trackers"


class Trackers:
    """The trackers of a run; nothing happens where there are none.

    Args:
        started: trackers as accelerate has them, ready to be told.
    """

    def __init__(self, started: Sequence[Any]) -> None:
        self.started = tuple(started)

    def add(self, step: int, numbers: Mapping[str, float | str]) -> None:
        """Tell the numbers of a step."""
        values = {key: value for key, value in numbers.items() if not isinstance(value, str)}
        for tracker in self.started:
            tracker.log(values, step=step)

    def show(
        self,
        step: int,
        sheet: Pixels,
        file: Path,
    ) -> None:
        """Show the validation sheet, (H, W, 3) uint8, which lies in `file` too."""
        for tracker in self.started:
            match tracker.name:
                case "tensorboard":
                    tracker.log_images({"validation": sheet[None]}, step=step, dataformats="NHWC")
                case "mlflow":
                    tracker.log_artifact(str(file), "pictures")
                case _:
                    tracker.log_images({"validation": [sheet]}, step=step)

    def finish(self) -> None:
        """Write what is still held back."""
        for tracker in self.started:
            tracker.finish()


def open_trackers(names: Sequence[TrackerName], run: Path) -> Trackers:
    """Start the trackers that a recipe names; their files lie in `run/trackers`.

    Raises:
        NeedsExtra: wandb or mlflow is named and not installed. TensorBoard is then passed over.
    """
    if not names:
        return Trackers(())
    from accelerate import PartialState, utils

    there = {
        "tensorboard": utils.is_tensorboard_available,
        "wandb": utils.is_wandb_available,
        "mlflow": utils.is_mlflow_available,
    }
    found = [name for name in names if there[name]()]
    if absent := [name for name in names if name not in found and name != "tensorboard"]:
        raise NeedsExtra(f"{absent[0]}, which loop.trackers names,", absent[0])
    if not found:
        return Trackers(())
    PartialState()  # accelerate's trackers ask it who is first; alone it sets up nothing
    folder = ensure_folder(run / FOLDER)
    started = [_MAKERS[name](run.absolute().name, folder) for name in found]
    for tracker in started:
        tracker.start()
    return Trackers(started)


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
        mlflow.set_tracking_uri(f"sqlite:///{(folder / 'mlflow.db').absolute()}")
    place = (folder / "mlflow").absolute().as_uri()
    return MLflowTracker("histosynth", logging_dir=place, run_name=name)


_MAKERS: dict[TrackerName, Callable[[str, Path], Any]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
