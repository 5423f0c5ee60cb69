"""Intervals: patients are drawn again, never crops, since crops of one patient are alike."""

import numpy as np

DRAWS = 1000


def by_patient(values, patients):
    """Values in groups, one a patient."""
    values = np.asarray(values, float)
    patients = np.asarray(patients)
    return [values[patients == patient] for patient in np.unique(patients)]


def over_patients(statistic, *samples, seed=0):
    """A statistic of samples, each (values (N, ...), patients (N,)), with its 95 % bootstrap
    interval.

    Patients of each sample are drawn anew, each sample for itself. `n` is that of the first sample.
    """
    groups = [by_patient(*sample) for sample in samples]
    random = np.random.default_rng(seed)

    def again(parts):
        return np.concatenate([parts[i] for i in random.integers(len(parts), size=len(parts))])

    low, high = np.percentile([statistic(*map(again, groups)) for _ in range(DRAWS)], [2.5, 97.5])
    value = statistic(*(np.asarray(values, float) for values, _ in samples))
    return {
        "value": float(value),
        "low": float(low),
        "high": float(high),
        "n": len(samples[0][0]),
        "patients": len(groups[0]),
    }


def interval(values, patients):
    """Mean."""
    return over_patients(np.mean, (values, patients))


def ratio(above, below, patients):
    """Ratio of two means over the same items."""
    return over_patients(
        lambda both: both[:, 0].sum() / both[:, 1].sum(), (np.stack([above, below], 1), patients)
    )


def fifth(values, patients):
    """5th percentile."""
    return over_patients(lambda drawn: np.percentile(drawn, 5), (values, patients))


def share_below(
    values,
    patients,
    real,
    real_patients,
):
    """Share of `values` below the 5th percentile of `real`."""
    return over_patients(
        lambda ours, bar: (ours < np.percentile(bar, 5)).mean(),
        (values, patients),
        (real, real_patients),
    )
