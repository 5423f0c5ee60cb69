"""Limits of the gates by name, and the verdicts on a tile."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.recipe_checks import RecipeProblems
from ...core.recipe_names import nearest_name
from ...core.recipe_values import suggested
from ...core.tile import Pixels
from .gates import QUALITY_GATES
from .verdict import Verdict

TILE_SET_GATES = ("tissue", *QUALITY_GATES, "artefact")
"""All gates of a tile set, in the order of its `quality_` columns: the share of tissue, the gates
of this package, and a trained classifier."""


def default_limits() -> dict[str, float]:
    """Each gate's default limit."""
    return {name: gate.default_limit for name, gate in QUALITY_GATES.items()}


def pass_all_limits() -> dict[str, float]:
    """Limits at which every tile passes: all gates are off."""
    return {name: gate.pass_all_limit for name, gate in QUALITY_GATES.items()}


def complete_limits(given: Mapping[str, float]) -> dict[str, float]:
    """A limit for every gate: the given one, else its default.

    Raises:
        RecipeProblems: there are no such gates, or limits that cannot be.
    """
    problems = []
    for name in given:
        if name not in QUALITY_GATES:
            known = f" (known: {', '.join(QUALITY_GATES)})"
            meant = nearest_name(name, list(QUALITY_GATES))
            problems.append(f"unknown key quality.{name}{suggested(meant) or known}")
    limits = default_limits()
    limits.update(given)
    for name, gate in QUALITY_GATES.items():
        try:
            gate.check_limit(f"quality.{name}", limits[name])
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise RecipeProblems(tuple(problems))
    return limits


def check_tile(
    pixels: Pixels,
    mpp: float,
    limits: Mapping[str, float],
) -> dict[str, Verdict]:
    """The verdict of every gate that is not off.

    Args:
        pixels: (H, W, 3) uint8.
        mpp: micrometres per pixel.
        limits: of every gate, by name.
    """
    verdicts: dict[str, Verdict] = {}
    for name, gate in QUALITY_GATES.items():
        limit = limits[name]
        if limit == gate.pass_all_limit:
            continue
        verdicts[name] = gate.check(pixels, mpp, limit)
    return verdicts
