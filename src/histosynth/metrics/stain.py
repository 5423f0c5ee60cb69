"""Is it stained as real tissue is? Density, the two dyes' directions and doses, share of tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.tile import Pixels
from ..tissue.density import optical_density
from .dyes import SMOOTH_UM, dyes_of, through, tissue_mask, told_apart
from .finding import Section
from .marginals import Quantity, compare_marginals
from .sample import Sample

QUANTITIES = (
    Quantity(
        "stain_od_red",
        "Mean optical density, red",
        "",
        "stain/od_mean",
        0,
    ),
    Quantity(
        "stain_od_green",
        "Mean optical density, green",
        "",
        "stain/od_mean",
        1,
    ),
    Quantity(
        "stain_od_blue",
        "Mean optical density, blue",
        "",
        "stain/od_mean",
        2,
    ),
    Quantity(
        "stain_haematoxylin_azimuth",
        "Haematoxylin, azimuth",
        "degrees",
        "stain/angles",
        0,
    ),
    Quantity(
        "stain_haematoxylin_elevation",
        "Haematoxylin, elevation",
        "degrees",
        "stain/angles",
        1,
    ),
    Quantity(
        "stain_eosin_azimuth",
        "Eosin, azimuth",
        "degrees",
        "stain/angles",
        2,
    ),
    Quantity(
        "stain_eosin_elevation",
        "Eosin, elevation",
        "degrees",
        "stain/angles",
        3,
    ),
    Quantity(
        "stain_angle",
        "Angle between the dyes",
        "degrees",
        "stain/angles",
        4,
    ),
    Quantity(
        "stain_haematoxylin_dose",
        "Full dose of haematoxylin",
        "",
        "stain/doses",
        0,
    ),
    Quantity(
        "stain_eosin_dose",
        "Full dose of eosin",
        "",
        "stain/doses",
        1,
    ),
    Quantity(
        "stain_tissue",
        "Share of tissue",
        "",
        "stain/tissue",
        0,
    ),
)


def measure_stain(pixels: Pixels, mpp: float) -> dict[str, NDArray[np.float64]]:
    """What a tile is stained like, whatever its sharpness, noise and packing.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        mpp: micrometres per pixel.

    Returns:
        `stain/od_mean` (3,): mean optical density of tissue, red, green, blue, in [0, 5.5].
        `stain/angles` (5,): azimuth and elevation of haematoxylin, then of eosin, and the angle
            between
        both, degrees. A dye is a direction in density space; azimuth turns from red (0) to green
        (90), elevation rises from their plane to blue (90).
        `stain/doses` (2,): length of a full dose (99th percentile) of haematoxylin and of eosin.
        `stain/tissue` (1,): share of pixels that are tissue.
        All nan but the share where there is no tissue; angles also where two dyes cannot be told
        apart.
    """
    light = through(pixels, mpp)
    density = optical_density(light)
    tissue = tissue_mask(density)
    mean = density[tissue].mean(axis=0, dtype=np.float64) if tissue.any() else np.full(3, np.nan)
    dyes = dyes_of(light)
    return {
        "stain/od_mean": np.asarray(mean, np.float64),
        "stain/angles": _angles(dyes)
        if dyes is not None and told_apart(dyes)
        else np.full(5, np.nan),
        "stain/doses": np.full(2, np.nan) if dyes is None else np.linalg.norm(dyes, axis=1),
        "stain/tissue": np.array([tissue.mean()]),
    }


def _angles(dyes: NDArray[np.float64]) -> NDArray[np.float64]:
    ways = dyes / np.linalg.norm(dyes, axis=1, keepdims=True)
    azimuth = np.degrees(np.arctan2(ways[:, 1], ways[:, 0]))
    elevation = np.degrees(np.arcsin(np.clip(ways[:, 2], -1, 1)))
    between = np.degrees(np.arccos(np.clip(ways[0] @ ways[1], -1, 1)))
    return np.array([azimuth[0], elevation[0], azimuth[1], elevation[1], between])


def conclude_stain(
    real: Sample,
    synthetic: Sample,
    reference: Sample | None = None,
    *,
    seed: int = 0,
) -> Section:
    """How far synthetic tiles are from real ones in stain.

    Args:
        real: held-out tiles with the values of `measure_stain`.
        synthetic: made tiles with the same.
        reference: real tiles of other patients, for the floor; None: halves of `real` against each
            other.
        seed: of the halves.

    Returns:
        `stain_W1` over all, then `<quantity>_difference` and `<quantity>_W1` of each.
    """
    findings, plots = compare_marginals(
        QUANTITIES,
        real,
        synthetic,
        reference,
        name="stain",
        seed=seed,
    )
    about = (
        "Optical density of tissue, direction and full dose of both dyes (Macenko et al. "
        "2009), of light "
        f"averaged over {SMOOTH_UM:g} um, so that blur, noise and JPEG hardly count. Distances "
        "are 1-D Wasserstein; a ratio of 1 is as far as real tissue of other patients is."
    )
    return Section("stain", "Stain", about, findings, plots=plots)
