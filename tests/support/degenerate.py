"""Sets of tiles that are equal, repeated or without contrast, and sections read as plain JSON."""

import json

import numpy as np

from histosynth.metrics.sample import Sample, TileMeasurements

WIDTH = 12
TILES = np.random.default_rng(0).normal(3, 1, (24, WIDTH))
SIX = np.repeat(TILES, 6, axis=0)
EQUAL = np.full((24, WIDTH), 0.1)
FAR = TILES + 1000


def noisy(rows, seed=1):
    """The same features, off by what the rounding of float32 leaves between two batches."""
    return rows * (1 + np.random.default_rng(seed).normal(0, 2e-7, rows.shape))


REFERENCE = np.random.default_rng(9).normal(3, 1, (40, WIDTH))


def sample(name, features, per_patient=2, **values):
    tiles = []
    for i, row in enumerate(features):
        measured = {"embed/features": row} | {key: each[i] for key, each in values.items()}
        tiles.append(TileMeasurements(f"{name}{i}", f"{name}{i // per_patient}", "", measured))
    return Sample(tuple(tiles))


def plain(section):
    """The section as the report writes it: strict JSON, and a reason for each missing number."""
    found = json.loads(json.dumps(section.as_dict(), allow_nan=False))
    for finding in found["findings"]:
        for part in ("value", "real", "ratio"):
            estimate = finding[part]
            if estimate and None in (estimate["value"], estimate["low"], estimate["high"]):
                assert estimate["reason"], (finding["name"], part)
    return {finding["name"]: finding for finding in found["findings"]}


def ends(estimate):
    return (estimate.value, estimate.low, estimate.high)


def ends_of(estimate):
    return (estimate["value"], estimate["low"], estimate["high"])


def by_name(section):
    return {finding.name: finding for finding in section.findings}


def flat(value=(200, 120, 180), side=64):
    return np.full((side, side, 3), value, np.uint8)
