"""Which adapter samples, and how: few steps where an adapter has learnt them."""

from __future__ import annotations

from dataclasses import replace

from ..model.bundle import Bundle
from .painter import SamplingSettings

FEW_STEPS_SOLVER = "euler"
"""Steps of its own that an adapter learns are Euler's, along the flow."""


def with_few_steps(
    bundle: Bundle,
    adapter: str,
    settings: SamplingSettings,
) -> tuple[str, SamplingSettings]:
    """The adapter to sample with, and its settings.

    They are those given, unless the settings allow few steps and the bundle has an adapter that
    does in few what this one does: then that one, with the steps that it has learnt.
    """
    info = bundle.few_steps_of(adapter) if settings.few_steps else None
    if info is None or info.few_steps is None:
        return adapter, settings
    learnt = replace(
        settings,
        steps=info.few_steps.steps,
        solver=FEW_STEPS_SOLVER,
        shift=1.0,
        guidance=1.0,
    )
    return info.name, learnt
