"""Inpainting: how well are masks filled, inside and at their boundary, and is the rest
unchanged?
"""

from __future__ import annotations

from ..finding import Section
from ..metric import Metric, Need, Settings, Sides, TileInput, Tool, Tools
from ..sample import Values


def _measure(tile: TileInput, tools: Tools) -> dict[str, Values]:
    from .measure import measure_inpainting

    if tile.original is None or tile.mask is None:
        return {}
    values = measure_inpainting(
        tile.original,
        tile.pixels,
        tile.mask,
        perceptual=tools.perceptual,
    )
    return dict(values)


def _conclude(sides: Sides, settings: Settings) -> Section:
    from .conclude import conclude_inpainting

    return conclude_inpainting(
        sides.synthetic.measured("inpainting/"),
        perceptual=settings.perceptual,
        about=settings.perceptual_facts,
    )


def _verdict(section: Section) -> str:
    from .words import inpainting_verdict

    return inpainting_verdict(section)


INPAINTING = Metric(
    "inpainting",
    _measure,
    _conclude,
    needs=frozenset({Need.MASKS}),
    tools=frozenset({Tool.PERCEPTUAL}),
    headline=("ssim_inside", "outside_largest"),
    verdict=_verdict,
)
