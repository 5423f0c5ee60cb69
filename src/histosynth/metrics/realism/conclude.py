"""The report section on realism."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ...core.arrays import Float64Array
from ..finding import Finding, Plot, Section, Series
from ..sample import Sample
from ..titles import with_titles
from .coverage import neighbourhood
from .distance import all_distances, frechet_finding, kernel_finding
from .feature_sides import FeatureSides, feature_sides
from .words import group_words, realism_titles

_MAX_PLOTTED = 2000
"""Tiles of a side in the scatter plot."""
_ABOUT = (
    "Distances between sets of tiles in the encoder's features, with the real baseline: as many "
    "real tiles of other patients against the same held-out tiles. A ratio of 1 is real tissue; "
    "below 1 the synthetic tiles are nearer to the held-out tiles than other patients' real ones, "
    "which is possible where they were generated from the nuclei and stain of those very tiles."
)


def conclude_realism(
    real: Sample,
    synthetic: Sample,
    other: Sample | None,
    *,
    encoder: str,
    seed: int = 0,
) -> Section:
    """FD, KID, spatial FD and precision, recall, density, coverage, each with its baseline.

    FD and KID are reported per label too.

    Args:
        real: held-out real tiles, with `embed/features` (D) and, where the encoder has them,
            `embed/spatial` (S).
        synthetic: synthetic tiles.
        other: real tiles of other patients (the training set); None: baselines are taken between
            halves of the real patients, whose n is smaller; the synthetic tiles are then cut to the
            same n.
        encoder: for the names.
        seed: of all replicates.
    """
    sides = feature_sides(
        real,
        synthetic,
        other,
        "embed/features",
    )
    findings = all_distances(sides, encoder, seed=seed)
    if real.has("embed/spatial") and synthetic.has("embed/spatial"):
        spatial = feature_sides(
            real,
            synthetic,
            other,
            "embed/spatial",
        )
        findings.append(
            frechet_finding(
                spatial,
                f"spatial_FD_{encoder}",
                seed=seed,
            )
        )
    findings += neighbourhood(sides, encoder, seed=seed)
    labels = sorted((set(real.labels) & set(synthetic.labels)) - {""})
    if len(labels) > 1:
        for label in labels:
            findings += _of_label(
                label,
                (real, synthetic, other),
                encoder,
                seed,
            )
    return Section(
        "realism",
        "Realism",
        _ABOUT,
        with_titles(findings, realism_titles(encoder)),
        {
            "encoder": encoder,
            "baseline": _baseline_text(sides),
            "resampled_jointly": sides.paired,
        },
        (_map_plot(sides, encoder),),
    )


def _of_label(
    label: str,
    samples: tuple[Sample, Sample, Sample | None],
    encoder: str,
    seed: int,
) -> list[Finding]:
    real, synthetic, other = samples
    sides = feature_sides(
        _labelled(real, label),
        _labelled(synthetic, label),
        None if other is None else _labelled(other, label),
        "embed/features",
    )
    return [
        frechet_finding(
            sides,
            f"FD_{encoder}",
            label=label,
            seed=seed,
        ),
        kernel_finding(
            sides,
            f"KID_{encoder}",
            label=label,
            seed=seed,
        ),
    ]


def _labelled(sample: Sample, label: str) -> Sample:
    return sample.where(lambda tile: tile.label == label)


def _baseline_text(sides: FeatureSides) -> str:
    patients, tiles = sides.shape
    group = group_words(patients, tiles)
    count = len(set(sides.baseline_patients))
    if sides.other is None:
        return f"{group}, of halves of the {count} real patients"
    return f"{group}, of the {count} in the reference, against the real tiles"


def _map_plot(sides: FeatureSides, encoder: str) -> Plot:
    """All sides on the two main directions of real tissue."""
    base = sides.real if len(sides.real) > 2 else sides.synthetic
    mean = base.mean(0) if len(base) else np.zeros(base.shape[1])
    _, _, directions = np.linalg.svd(base - mean, full_matrices=False)
    clouds: list[tuple[Literal["reference", "real", "synthetic"], Float64Array | None]] = [
        ("reference", sides.other),
        ("real", sides.real),
        ("synthetic", sides.synthetic),
    ]
    series = []
    for role, features in clouds:
        if features is None or not len(features) or len(directions) < 2:
            continue
        at = (features[:_MAX_PLOTTED] - mean) @ directions[:2].T
        series.append(
            Series(
                role,
                role,
                at[:, 0].tolist(),
                at[:, 1].tolist(),
            )
        )
    return Plot(
        f"Tiles in the features of {encoder}",
        "first direction of real tissue",
        "second",
        tuple(series),
        "scatter",
    )
