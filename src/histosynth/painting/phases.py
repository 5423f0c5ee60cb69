"""A solver's calls in phases: between two of them neighbouring windows are blended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..model.onnx_info import SolverPlan
from ..sampling.painter import SamplingSettings
from ..sampling.solver_plan import solver_plan

PHASES = 2
"""More phases let each window look farther, and a region costs as many rings of windows more."""


@dataclass(frozen=True)
class Phase:
    """Calls of a solver that a window does by itself.

    Attributes:
        first: index of its first call.
        last: index after its last call.
    """

    first: int
    last: int


@dataclass(frozen=True)
class PhasedPlan:
    """A solver's calls, and the phases in which they are done.

    Attributes:
        plan: the coefficients of all calls.
        phases: in order.
    """

    plan: SolverPlan
    phases: Sequence[Phase]

    @property
    def count(self) -> int:
        """Number of phases."""
        return len(self.phases)


def phased_plan(settings: SamplingSettings) -> PhasedPlan:
    """The calls of these settings in phases of as equal length as can be.

    Raises:
        BadOption: an unknown solver, or steps out of range.
    """
    plan = solver_plan(settings)
    calls = len(plan.calls)
    parts = np.array_split(np.arange(calls), min(PHASES, calls))
    return PhasedPlan(plan, [Phase(int(part[0]), int(part[-1]) + 1) for part in parts])
