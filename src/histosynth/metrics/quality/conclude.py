"""Picture quality of synthetic tiles compared with that of real ones.

No measure shows by itself that a tile is good: each is read as its distance from real tiles, next
to the real baseline.
"""

from __future__ import annotations

from ..finding import Section
from ..marginals import Quantity, compare_marginals
from ..sample import Sample

QUALITY_QUANTITIES = (
    Quantity(
        "quality_focus",
        "Sharpness of the focus",
        "log10",
        "quality/focus",
    ),
    Quantity(
        "quality_fine_power",
        "Fine detail: share of power above 0.4 cycles per micrometre",
        "",
        "quality/spectrum",
        0,
    ),
    Quantity(
        "quality_slope",
        "Slope of the power spectrum",
        "",
        "quality/spectrum",
        1,
    ),
    Quantity(
        "quality_noise",
        "Noise",
        "grey levels",
        "quality/noise",
    ),
    Quantity(
        "quality_blocks",
        "Blocks of 8 pixels, as JPEG leaves them",
        "",
        "quality/blocks",
    ),
    Quantity(
        "quality_burnt",
        "Share of burnt-out pixels",
        "",
        "quality/clipped",
        0,
    ),
    Quantity(
        "quality_black",
        "Share of pixels black in a channel",
        "",
        "quality/clipped",
        1,
    ),
)

NIMA_QUANTITY = Quantity(
    "quality_nima",
    "Rating by people, as NIMA predicts it",
    "",
    "quality/nima",
)
"""Compared where it was measured (see `nima.open_nima`)."""


def conclude_quality(
    real: Sample,
    synthetic: Sample,
    reference: Sample | None = None,
    *,
    seed: int = 0,
) -> Section:
    """How far synthetic tiles are from real ones in focus, noise, JPEG blocks and exposure.

    Args:
        real: held-out tiles with the values of `measure_quality`, and `quality/nima` (1,) where
            rated.
        synthetic: synthetic tiles with the same.
        reference: real tiles of other patients, for the baseline; None: halves of `real` against
            each other.
        seed: of the halves.

    Returns:
        `quality_W1` over all, then `<quantity>_difference` and `<quantity>_W1` of each.
    """
    sides = [real, synthetic]
    if reference is not None and len(reference):
        sides.append(reference)
    quantities: tuple[Quantity, ...] = QUALITY_QUANTITIES
    if all(side.has(NIMA_QUANTITY.key) for side in sides):
        quantities = (*QUALITY_QUANTITIES, NIMA_QUANTITY)
    findings, plots = compare_marginals(
        quantities,
        real,
        synthetic,
        reference,
        name="quality",
        seed=seed,
    )
    about = (
        "Focus, share and slope of fine detail, noise (Immerkaer 1996), JPEG blocks and clipped "
        "pixels. Good is what real tiles have, not what is sharpest."
    )
    return Section(
        "quality",
        "Picture quality",
        about,
        findings,
        plots=plots,
    )
