"""What a training task is: one object that checks a recipe and builds what the loop trains.

A new task is one new file or folder next to this one, and one line in `tasks.TASKS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ...core.progress import ProgressCallback
from ..data.sources import Example
from ..loop.fit import StopRule, TrainTask
from ..recipes.loop import LoopPlan
from .painting import FollowPath, GuardFactory, Paint
from .run_cost import Cost


class TrainRecipe(Protocol):
    """What the recipes of all tasks have: frozen dataclasses, read from TOML."""

    @property
    def task(self) -> str:
        """The value of `task` in the recipe file."""

    @property
    def loop(self) -> LoopPlan:
        """The `[loop]` table."""

    @property
    def seed(self) -> int:
        """Source of all randomness, with the step number."""


@dataclass(frozen=True)
class OpenedTiles:
    """The tiles that a recipe names, opened and checked. Tasks add what else they open."""

    train: list[Example]
    held_out: list[Example]
    """Tiles of other patients, for validation."""


@dataclass(frozen=True)
class RunContext:
    """Where a run happens, and what the caller hands in.

    Attributes:
        run: the run folder.
        base_folder: folder that the recipe's paths start from.
        device: where to compute.
        paint: samples validation pictures; training itself does not sample.
        guard_factory: builds a painter that replaces `paint` and may stop the run early.
        paint_in_steps: the same in so many steps of Euler's.
        follow_path: samples what an adapter of few steps learns from.
        on_encoded: called with the tiles encoded so far and in all.
    """

    run: Path
    base_folder: Path
    device: str
    paint: Paint
    guard_factory: GuardFactory
    paint_in_steps: Callable[[int], Paint]
    follow_path: FollowPath
    on_encoded: ProgressCallback | None = None


@dataclass(frozen=True)
class Training:
    """What the loop is started with."""

    train_task: TrainTask
    stop: StopRule | None = None
    """Called after each validation; a sentence ends the run."""


_Recipe = TypeVar("_Recipe", bound=TrainRecipe)
Opened = TypeVar("Opened", bound=OpenedTiles)


def _no_prompts(opened: OpenedTiles) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Task(Generic[_Recipe, Opened]):
    """A training task.

    Attributes:
        labels: values of `task` in a recipe file.
        recipe: the frozen dataclass of its recipes.
        check: opens everything that a recipe names, and refuses what cannot be trained; called with
            the recipe and the folder that its paths start from, before anything is written.
        build: networks and losses from what `check` opened.
        writes: what a run writes besides `RUN_FILES`, for the dry run.
        takes_base: its recipes name a text-conditioned `base`, in place of `start`.
        cost: cost of a run, for the dry run; called with recipe, opened data and device.
        prompts: text prompts of the opened base, for the dry run.
    """

    labels: tuple[str, ...]
    recipe: type[_Recipe]
    check: Callable[[_Recipe, Path], Opened]
    build: Callable[[_Recipe, Opened, RunContext], Training]
    writes: tuple[str, ...] = field(default=(), kw_only=True)
    takes_base: bool = field(default=False, kw_only=True)
    cost: Callable[[_Recipe, Opened, str], Cost | None] | None = field(
        default=None,
        kw_only=True,
    )
    prompts: Callable[[Opened], tuple[str, ...]] = field(
        default=_no_prompts,
        kw_only=True,
    )
