"""Realism in one section."""

from __future__ import annotations

import numpy as np

from ...core.arrays import Float64Array
from ..finding import Plot, Section, Series
from ..sample import Sample
from .coverage import neighbourhood
from .distance import all_distances, frechet, kernel
from .sides import Sides, sides_of

ABOUT = (
    "Distances between sets of tiles in the encoder's features, beside the floor: as many "
    "real tiles of "
    "other patients against the same held-out tiles. A ratio of 1 is real tissue; below 1 the "
    "made tiles are "
    "nearer to the held-out tiles than other patients' real ones, as they may be where they "
    "were made from "
    "the nuclei and stain of those very tiles."
)


def conclude_realism(
    real: Sample,
    synthetic: Sample,
    other: Sample | None,
    *,
    encoder: str,
    seed: int = 0,
) -> Section:
    """FD, KID, spatial FD and precision, recall, density, coverage, each beside its floor; per
    label too.

    Args:
        real: held-out real tiles, with `embed/features` (D) and, where the encoder has them,
            `embed/spatial` (S).
        synthetic: synthetic tiles.
        other: real tiles of other patients (the training set); None: floors are taken between
            halves of the real patients, whose n is smaller; the made tiles are then cut to the same
            n.
        encoder: for the names.
        seed: of all draws.
    """
    sides = sides_of(real, synthetic, other, "embed/features")
    findings = all_distances(sides, encoder, seed=seed)
    if real.has("embed/spatial") and synthetic.has("embed/spatial"):
        spatial = sides_of(real, synthetic, other, "embed/spatial")
        findings.append(frechet(spatial, f"spatial_FD_{encoder}", seed=seed))
    findings += neighbourhood(sides, encoder, seed=seed)
    labels = sorted((set(real.labels) & set(synthetic.labels)) - {""})
    if len(labels) > 1:
        for label in labels:
            rows = None if other is None else _labelled(other, label)
            part = sides_of(
                _labelled(real, label),
                _labelled(synthetic, label),
                rows,
                "embed/features",
            )
            findings += [
                frechet(part, f"FD_{encoder}", label=label, seed=seed),
                kernel(part, f"KID_{encoder}", label=label, seed=seed),
            ]
    return Section(
        "realism",
        "Realism",
        ABOUT,
        tuple(findings),
        {
            "encoder": encoder,
            "floor": _floor_words(sides),
            "drawn_together": sides.paired,
        },
        (_map_plot(sides, encoder),),
    )


def _labelled(sample: Sample, label: str) -> Sample:
    return sample.where(lambda tile: tile.label == label)


def _floor_words(sides: Sides) -> str:
    patients, tiles = sides.shape
    of = f"{patients} patients with {tiles} tiles each"
    if sides.other is None:
        return f"{of}, of halves of the {len(set(sides.patients[0]))} real patients"
    return f"{of}, of the {len(set(sides.patients[2]))} in the reference, against the real tiles"


def _map_plot(sides: Sides, encoder: str) -> Plot:
    """Both sides on the two main directions of real tissue."""
    base = sides.real if len(sides.real) > 2 else sides.synthetic
    mean = base.mean(0) if len(base) else np.zeros(base.shape[1])
    _, _, directions = np.linalg.svd(base - mean, full_matrices=False)
    series = []
    shown: list[tuple[str, Float64Array | None]] = [
        ("reference", sides.other),
        ("real", sides.real),
        ("synthetic", sides.synthetic),
    ]
    for role, features in shown:
        if features is not None and len(features) and len(directions) > 1:
            at = (features[:2000] - mean) @ directions[:2].T
            series.append(Series(role, role, at[:, 0].tolist(), at[:, 1].tolist()))  # type: ignore[arg-type]
    title = f"Tiles in the features of {encoder}"
    return Plot(
        title,
        "first direction of real tissue",
        "second",
        tuple(series),
        "scatter",
    )
