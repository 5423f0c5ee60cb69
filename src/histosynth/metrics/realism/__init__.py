"""Realism: distances between sets of tiles, compared with those between real patients.

A Frechet distance cannot be read alone: it falls with the number of tiles, and real tissue of other
patients is not at 0 either. So every distance is reported with its real baseline, the distance of
as many real tiles of training patients from the same held-out tiles, and the ratio is what counts.
"""

from __future__ import annotations

from ..finding import Section
from ..metric import Metric, Settings, Sides, Tool, measure_nothing


def _conclude(sides: Sides, settings: Settings) -> Section:
    from .conclude import conclude_realism

    return conclude_realism(
        sides.real,
        sides.synthetic,
        sides.reference,
        encoder=settings.encoder,
        seed=settings.seed,
    )


def _verdict(section: Section) -> str:
    from .words import realism_verdict

    return realism_verdict(section)


REALISM = Metric(
    "realism",
    measure_nothing,
    _conclude,
    tools=frozenset({Tool.ENCODER}),
    headline=("FD_", "KID_"),
    verdict=_verdict,
)
