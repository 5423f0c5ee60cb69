"""Sides of features with patients, and how their baselines and intervals are computed by hand."""

from collections import Counter

import numpy as np

from histosynth.metrics.realism.feature_sides import FeatureSides
from histosynth.metrics.sample import Sample, TileMeasurements


def owners(counts, prefix):
    """A name for each tile: so many tiles of each patient."""
    return [f"{prefix}{number}" for number, count in enumerate(counts) for _ in range(count)]


def numbered(real, synthetic, other, *, paired=False):
    """Sides whose features are (row, number of the patient), so that draws can be read."""

    def rows(counts):
        numbers = np.repeat(np.arange(len(counts)), counts)
        return np.stack([np.arange(len(numbers)), numbers], axis=1).astype(float)

    return FeatureSides(
        rows(real),
        rows(synthetic),
        None if other is None else rows(other),
        owners(real, "r"),
        owners(synthetic, "r" if paired else "s"),
        [] if other is None else owners(other, "o"),
    )


def drawn(features):
    """How many tiles of each patient were drawn."""
    return Counter(features[:, 1].astype(int).tolist())


def normal_sides(seed=0, *, real=(3,) * 6, synthetic=(3,) * 6, other=(3,) * 8, shift=0.4, width=3):
    random = np.random.default_rng(seed)

    def features(counts, move):
        own = np.repeat(random.normal(0, 0.5, (len(counts), width)), counts, axis=0)
        return own + random.normal(move, 1, (sum(counts), width))

    return FeatureSides(
        features(real, 0),
        features(synthetic, shift),
        None if other is None else features(other, 0),
        owners(real, "r"),
        owners(synthetic, "s"),
        [] if other is None else owners(other, "o"),
    )


def sample(sides, role, label=""):
    """Tiles of one side of `normal_sides`."""
    features = getattr(sides, role)
    patients = getattr(sides, f"{role}_patients")
    tiles = [
        TileMeasurements(
            f"{role}{row}",
            patients[row],
            label[row] if label else "",
            {"embed/features": features[row], "embed/spatial": features[row, :2] * 2},
        )
        for row in range(len(features))
    ]
    return Sample(tuple(tiles))


def two_numbers(first, second):
    gap = first.mean() - second.mean()
    return np.array([abs(gap) + 0.1, gap])


def by_trials(sides, count, seed, with_replacement):
    trials = sides.trials(count, with_replacement=with_replacement, seed=seed)
    return np.array(
        [
            [two_numbers(trial.synthetic, trial.real), two_numbers(trial.baseline, trial.real)]
            for trial in trials
        ]
    )


def percentiles_about(value, replicates):
    """Ends of the interval of replicates that are centred on their value."""
    if value > 0 and replicates.min() > 0:
        replicates = replicates * value / np.exp(np.log(replicates).mean())
    else:
        replicates = replicates + value - replicates.mean()
    return np.percentile(replicates, [2.5, 97.5])
