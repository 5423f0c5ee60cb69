"""Structure: are the nuclei where they were requested, and of the requested class?

Detectors answer. A detector is not the truth: on real tiles it misses some of the nuclei that
people marked. So each score of synthetic tissue is reported with the score of the same detector on
real tiles, and the ratio is what counts. Two detectors of different design are used, because a
network may prefer pictures that another network generates.

Limits: a detector trained on the tissue that the generator was trained on shares its bias, the blob
detector detects no classes, and 6 um are generous where nuclei are dense. Scores of random points
are measured and reported as the level of chance.
"""

from __future__ import annotations

from ..finding import Section
from ..metric import Metric, Need, Settings, Sides, TileInput, Tool, Tools
from ..sample import Values


def _measure(tile: TileInput, tools: Tools) -> dict[str, Values]:
    from .measure import measure_structure

    if tile.nuclei is None or not tools.detectors:
        return {}
    values = measure_structure(
        tile.pixels,
        tile.nuclei,
        detectors=tools.detectors,
        rings=tools.rings,
    )
    return dict(values)


def _conclude(sides: Sides, settings: Settings) -> Section:
    from .conclude import conclude_structure

    return conclude_structure(
        sides.synthetic.measured("structure/"),
        sides.real.measured("structure/"),
        settings.classes,
        list(settings.detector_classes),
    )


def _verdict(section: Section) -> str:
    from .words import structure_verdict

    return structure_verdict(section)


STRUCTURE = Metric(
    "structure",
    _measure,
    _conclude,
    needs=frozenset({Need.NUCLEI}),
    tools=frozenset({Tool.DETECTORS}),
    headline=("f1", "F1"),
    verdict=_verdict,
)
