"""Copying: is a synthetic tile nearer to the training tissue than real tissue of unseen patients?

Measured twice: by registration (`register.py`: the same pixels, however rotated, shifted or
restained) and by features (nearer than real tiles are, as a set). Both are calibrated on real
patients outside the training set, and on training patients that are each compared with all others.
"""

from __future__ import annotations

import numpy as np

from ..finding import Section
from ..metric import Metric, Need, Settings, Sides, TileInput, Tools
from ..sample import Values


def _measure(tile: TileInput, tools: Tools) -> dict[str, Values]:
    from .register import texture

    given = tile.given_nuclei or (tile.nuclei is not None and len(tile.nuclei) > 0)
    return {
        "copy/texture": texture(tile.pixels, tile.mpp).astype(np.float16),
        "copy/given": np.array([given], np.float32),
    }


def _conclude(sides: Sides, settings: Settings) -> Section:
    from .conclude import conclude_copying

    if sides.reference is None or sides.left_out is None:
        raise ValueError("copying needs the reference and the training tiles that were left out")
    return conclude_copying(
        sides.real,
        sides.synthetic,
        sides.left_out,
        sides.reference.stack("embed/features"),
        sides.reference.patients,
        seed=settings.seed,
        sources=sides.library.patients if sides.library is not None else (),
    )


def _verdict(section: Section) -> str:
    from .words import copying_verdict

    return copying_verdict(section)


COPYING = Metric(
    "copying",
    _measure,
    _conclude,
    needs=frozenset({Need.REFERENCE}),
    reads=("realism",),
    headline=("suspected_copies",),
    verdict=_verdict,
)
