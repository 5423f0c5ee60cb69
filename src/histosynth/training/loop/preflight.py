"""Checks of a loop's plan that need no data: made before tiles are encoded, and in a dry run."""

from __future__ import annotations

from importlib.util import find_spec

from ...core.errors import BadRecipe, NeedsExtra
from ..recipes.loop import LoopPlan


def preflight(plan: LoopPlan, *, smallest: int | None = None) -> None:
    """Check that everything a plan names is installed, and that batches can be divided.

    Args:
        plan: of the loop.
        smallest: items of the smallest batch; None: the task's batches are not divided, or not
            known yet.

    Raises:
        NeedsExtra: a tracker or the optimiser is not installed.
        BadRecipe: there are more parts than items.
    """
    for name in plan.trackers:
        if name != "tensorboard" and find_spec(name) is None:
            raise NeedsExtra(f"{name}, which loop.trackers names,", name)
    if plan.optimiser == "adamw8bit" and find_spec("bitsandbytes") is None:
        raise NeedsExtra("bitsandbytes, which loop.optimiser adamw8bit needs,", "adamw8bit")
    if smallest is not None and plan.accumulate > smallest:
        problem = (
            f"loop.accumulate is {plan.accumulate}, but batches of the largest crops hold "
            f"{smallest} item(s)"
        )
        raise BadRecipe("loop", [problem])
