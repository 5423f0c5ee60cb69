"""Metrics: they receive pixels, nuclei and numbers, and import nothing that generates images.

`METRICS` holds one object per metric, see `metric.Metric`. Importing it is cheap: a metric's own
code is imported when it is first used. To add a metric, add its module or folder and one line here.
"""

from __future__ import annotations

from collections.abc import Iterable

from .copying import COPYING
from .inpainting import INPAINTING
from .layout import LAYOUT
from .metric import Metric
from .morphology import MORPHOLOGY
from .quality import QUALITY
from .realism import REALISM
from .stain import STAIN
from .structure import STRUCTURE

METRICS: dict[str, Metric] = {
    "realism": REALISM,
    "structure": STRUCTURE,
    "morphology": MORPHOLOGY,
    "layout": LAYOUT,
    "inpainting": INPAINTING,
    "copying": COPYING,
    "quality": QUALITY,
    "stain": STAIN,
}
"""By name, in the order in which a report shows them."""

OLD_METRIC_NAMES = {"mending": "inpainting"}
"""Names of earlier versions that are still accepted as input, with today's name."""

MEMBERSHIP_HEADLINE = ("membership_AUC",)
"""Like `Metric.headline`, of the section that `membership` adds for a bundle."""


def with_dependencies(names: Iterable[str]) -> tuple[str, ...]:
    """These metrics and those whose measurements they read, in the order of `METRICS`."""
    wanted = set(names)
    for name in tuple(wanted):
        wanted.update(METRICS[name].reads)
    return tuple(name for name in METRICS if name in wanted)


__all__ = [
    "MEMBERSHIP_HEADLINE",
    "METRICS",
    "OLD_METRIC_NAMES",
    "Metric",
    "with_dependencies",
]
