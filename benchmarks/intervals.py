"""Intervals of the package (`histosynth.metrics.intervals`) as rows for JSON.

Patients are resampled, never crops, because crops of one patient are alike.
"""

import numpy as np

from histosynth.metrics.intervals import mean_over, ratio_over, statistic_over


def as_row(estimate):
    """An estimate as a plain dict."""
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "patients": estimate.groups,
    }


def interval(values, patients):
    """Mean."""
    return as_row(mean_over(values, patients))


def ratio(above, below, patients):
    """Ratio of two means over the same items."""
    return as_row(ratio_over(above, below, patients))


def fifth(values, patients):
    """5th percentile."""

    def percentile(sample):
        return np.percentile(sample, 5)

    return as_row(statistic_over(percentile, (values, list(patients))))


def share_below(
    values,
    patients,
    real,
    real_patients,
):
    """Share of `values` below the 5th percentile of `real`."""

    def share(sample, real_sample):
        return (sample < np.percentile(real_sample, 5)).mean()

    return as_row(statistic_over(share, (values, list(patients)), (real, list(real_patients))))
