"""Stain: optical density, directions and doses of the two dyes, and the share of tissue."""

from __future__ import annotations

from ..finding import Section
from ..metric import Metric, Settings, Sides, TileInput, Tools
from ..sample import Values


def _measure(tile: TileInput, tools: Tools) -> dict[str, Values]:
    from .measure import measure_stain

    return dict(measure_stain(tile.pixels, tile.mpp))


def _conclude(sides: Sides, settings: Settings) -> Section:
    from .conclude import conclude_stain

    return conclude_stain(
        sides.real,
        sides.synthetic,
        sides.reference,
        seed=settings.seed,
    )


def _verdict(section: Section) -> str:
    from .words import stain_verdict

    return stain_verdict(section)


STAIN = Metric(
    "stain",
    _measure,
    _conclude,
    verdict=_verdict,
)
