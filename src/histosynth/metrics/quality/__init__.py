"""Picture quality: focus, grain, JPEG blocks and exposure, measured without a second picture."""

from __future__ import annotations

import numpy as np

from ..finding import Section
from ..metric import Metric, Settings, Sides, TileInput, Tool, Tools
from ..sample import Values


def _measure(tile: TileInput, tools: Tools) -> dict[str, Values]:
    from .measure import measure_quality

    values: dict[str, Values] = dict(measure_quality(tile.pixels, tile.mpp))
    if tools.nima is not None:
        values["quality/nima"] = np.array([tools.nima(tile.pixels)])
    return values


def _conclude(sides: Sides, settings: Settings) -> Section:
    from .conclude import conclude_quality

    return conclude_quality(
        sides.real,
        sides.synthetic,
        sides.reference,
        seed=settings.seed,
    )


def _verdict(section: Section) -> str:
    from .words import quality_verdict

    return quality_verdict(section)


QUALITY = Metric(
    "quality",
    _measure,
    _conclude,
    tools=frozenset({Tool.NIMA}),
    verdict=_verdict,
)
