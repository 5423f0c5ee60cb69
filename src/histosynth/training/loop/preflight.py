"""What the loop would refuse once it runs, refused before tiles are encoded and in a dry run."""

from __future__ import annotations

from importlib.util import find_spec

from ...core.errors import BadRecipe, NeedsExtra
from .plan import LoopPlan


def preflight(plan: LoopPlan, *, smallest: int | None = None) -> None:
    """Look whether what a plan names is installed, and whether its batches can be cut as it asks.

    Args:
        plan: of the loop.
        smallest: items of the smallest batch; None: the task's batches are not cut, or told later.

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
        asked = f"loop.accumulate is {plan.accumulate}"
        raise BadRecipe(
            "loop", [f"{asked}, but batches of the largest crops hold {smallest} item(s)"]
        )
