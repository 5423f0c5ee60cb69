"""The stain of synthetic tiles compared with that of real ones."""

from __future__ import annotations

from ..dyes import LIGHT_SMOOTH_UM
from ..finding import Section
from ..marginals import Quantity, compare_marginals
from ..sample import Sample

STAIN_QUANTITIES = (
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
        synthetic: synthetic tiles with the same.
        reference: real tiles of other patients, for the baseline; None: halves of `real` against
            each other.
        seed: of the halves.

    Returns:
        `stain_W1` over all, then `<quantity>_difference` and `<quantity>_W1` of each.
    """
    findings, plots = compare_marginals(
        STAIN_QUANTITIES,
        real,
        synthetic,
        reference,
        name="stain",
        seed=seed,
    )
    about = (
        "Optical density of tissue, direction and full dose of both dyes (Macenko et al. 2009), "
        f"of light averaged over {LIGHT_SMOOTH_UM:g} micrometres, so that blur, noise and JPEG "
        "hardly count. Distances are 1-D Wasserstein; a ratio of 1 is as far as real tissue of "
        "other patients is."
    )
    return Section(
        "stain",
        "Stain",
        about,
        findings,
        plots=plots,
    )
