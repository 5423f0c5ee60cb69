"""Tiles of few nuclei, and samples of tiles, for the metric on layout."""

import numpy as np

from histosynth.core.nuclei import ANY, Nuclei
from histosynth.metrics.layout.measure import (
    measure_layout,
)
from histosynth.metrics.sample import Sample, TileMeasurements

CLASSES = ("a", "b")
RADII = np.arange(2, 61, 2)


def nuclei(xy_um, names, size_um=(128, 128), mpp=0.5, classes=CLASSES):
    """Nuclei at coordinates in um from the corner of the tile."""
    width, height = size_um
    px = np.asarray(xy_um, float).reshape(-1, 2) / mpp - 0.5
    size = (round(width / mpp), round(height / mpp))
    return Nuclei.of(px, names, size=size, mpp=mpp, classes=classes)


def tissue(seed, number=60, share=0.5, size_um=(128, 128)):
    random = np.random.default_rng(seed)
    xy = random.uniform(0.5, np.array(size_um) - 1, (number, 2))
    names = np.where(random.random(number) < share, "a", "b").tolist()
    names[-1] = ANY
    return nuclei(xy, names, size_um)


def sample(seed, patients=("p1", "p2", "p2", "p3"), **how):
    tiles = []
    for number, patient in enumerate(patients):
        values = measure_layout(tissue([seed, number], **how))
        tiles.append(TileMeasurements(f"t{number}", patient, "", values))
    return Sample(tuple(tiles))


def by_name(section):
    return {finding.name: finding for finding in section.findings}
