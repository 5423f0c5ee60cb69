"""Layout: are nuclei arranged as requested, and as in real tissue? Statistics of point patterns."""

from __future__ import annotations

from ...core.nuclei import Nuclei
from ..finding import Section
from ..metric import Metric, Settings, Sides, TileInput, Tool, Tools
from ..sample import Values


def _measure(tile: TileInput, tools: Tools) -> dict[str, Values]:
    from ...detectors.finding import find_nuclei
    from ..nuclei_classes import first_detector, layout_classes

    if not tools.detectors:
        return {}
    classes_of = {}
    for name, each in tools.detectors.items():
        classes_of[name] = each.classes
    first = first_detector(classes_of, tools.classes)
    detector = tools.detectors[first]
    classes = layout_classes(tools.classes, classes_of)
    detected = find_nuclei(tile.pixels, tile.mpp, detector)
    values = _measured_as("found/", detected, classes)
    if tile.nuclei is not None:
        values |= _measured_as("requested/", tile.nuclei, classes)
    return values


def _measured_as(
    prefix: str,
    nuclei: Nuclei,
    classes: tuple[str, ...],
) -> dict[str, Values]:
    from ..nuclei_classes import with_classes
    from .measure import measure_layout

    values = measure_layout(with_classes(nuclei, classes))
    return {prefix + name: value for name, value in values.items()}


def _conclude(sides: Sides, settings: Settings) -> Section:
    from ..nuclei_classes import layout_classes
    from .conclude import conclude_layout

    reference = sides.reference
    return conclude_layout(
        sides.synthetic.under("requested/"),
        sides.synthetic.under("found/"),
        sides.real.under("found/"),
        layout_classes(settings.classes, settings.detector_classes),
        marked=sides.real.under("requested/"),
        reference=None if reference is None else reference.under("found/"),
        seed=settings.seed,
    )


def _verdict(section: Section) -> str:
    from .words import layout_verdict

    return layout_verdict(section)


LAYOUT = Metric(
    "layout",
    _measure,
    _conclude,
    tools=frozenset({Tool.DETECTORS}),
    verdict=_verdict,
)
