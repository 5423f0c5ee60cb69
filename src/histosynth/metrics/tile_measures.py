"""Names of before `METRICS`, for callers that do not loop over it yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..core.nuclei import Nuclei
from ..core.tile import Mask, Pixels
from ..detectors.detector import Detector
from .measurement import measure_tile as _measure_tile
from .metric import TileInput
from .metric import Tools as Tools
from .nuclei_classes import UNCLASSIFIED as UNCLASSIFIED
from .nuclei_classes import layout_classes as _layout_classes
from .sample import Values

WHAT = ("realism", "structure", "morphology", "layout", "mending", "copying", "quality", "stain")
NEED_NUCLEI = frozenset({"structure", "morphology", "layout"})


def measure_tile(
    pixels: Pixels,
    mpp: float,
    nuclei: Nuclei | None,
    what: Collection[str],
    tools: Tools,
) -> dict[str, Values]:
    """See `measurement.measure_tile`."""
    return _measure_tile(TileInput(pixels, mpp, nuclei), what, tools)


def measure_hole(
    original: Pixels,
    completed: Pixels,
    mask: Mask,
    tools: Tools,
) -> dict[str, Values]:
    """See `inpainting`."""
    return _measure_tile(TileInput(completed, 1.0, None, original, mask), ["inpainting"], tools)


def layout_classes(classes: tuple[str, ...], detectors: Mapping[str, Detector]) -> tuple[str, ...]:
    """See `nuclei_classes.layout_classes`."""
    return _layout_classes(classes, {name: each.classes for name, each in detectors.items()})
