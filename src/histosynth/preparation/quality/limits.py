"""Limits of the gates by name, and the verdicts on a tile."""

from __future__ import annotations

from collections.abc import Mapping

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
        ValueError: there is no such gate, or a limit that cannot be.
    """
    for name in given:
        if name not in QUALITY_GATES:
            raise ValueError(f"unknown key quality.{name} (known: {', '.join(QUALITY_GATES)})")
    limits = default_limits() | dict(given)
    for name, gate in QUALITY_GATES.items():
        gate.check_limit(f"quality.{name}", limits[name])
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
        if limits[name] != gate.pass_all_limit:
            verdicts[name] = gate.check(pixels, mpp, limits[name])
    return verdicts
