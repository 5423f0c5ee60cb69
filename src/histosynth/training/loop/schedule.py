"""The learning rate of each step."""

from __future__ import annotations

import math

import torch

from ..recipes.loop import LoopPlan


def learning_rate(
    step: int,
    plan: LoopPlan,
) -> float:
    """Linear warm-up, a plateau, and a cosine fall over the last `cooldown` of the steps.

    It falls to `min_learning_rate_share` of the plan's rate.
    """
    rise = _warmup_share(step, plan)
    fall = _cooldown_share(step, plan)
    return plan.learning_rate * rise * fall


def _warmup_share(step: int, plan: LoopPlan) -> float:
    """From almost 0 to 1 in a line, over the first `warmup` steps."""
    warmup = max(plan.warmup, 1)
    share = (step + 1) / warmup
    return min(1.0, share)


def _cooldown_share(step: int, plan: LoopPlan) -> float:
    """From 1 to `min_learning_rate_share` in half a cosine, over the last steps."""
    steady_share = 1 - plan.cooldown
    cooldown_start = plan.steps * steady_share
    warmup_end = min(plan.warmup, plan.steps)
    start = max(cooldown_start, warmup_end)
    length = max(plan.steps - start, 1)
    progress = (step - start) / length
    progress = max(progress, 0.0)
    progress = min(progress, 1.0)
    angle = torch.tensor(math.pi * progress)
    cosine = float(torch.cos(angle))
    lowest = plan.min_learning_rate_share
    height = (1 + cosine) / 2
    span = 1 - lowest
    return lowest + span * height
