"""Comparisons of quantities of tiles: every finding of a summary, its limits and its sentences."""

import numpy as np
import pytest
from scipy import stats

from histosynth.metrics.comparison import (
    PatientSums,
    compare,
    halves,
    mean_difference,
    wasserstein,
)
from histosynth.metrics.finding import Plot, Series
from histosynth.metrics.marginals import (
    GRID_POINTS,
    Quantity,
    compare_marginals,
    grid_of,
)
from histosynth.metrics.sample import Sample, TileMeasurements

SIZE = Quantity("size", "Size of nuclei", "um", "pair")
SHARE = Quantity("share", "Share of tissue", "", "pair", 1)
EVEN = Quantity("even", "Always 2", "", "even")
OTHER_PATIENTS = "baseline: real tiles of other patients against these"
HALVES = "baseline: one half of the real patients against the other, which overstates it a little"


def sample(prefix, sizes, shares=None, patients=4):
    shares = np.linspace(0, 1, len(sizes)) if shares is None else shares
    tiles = []
    for i, (size, share) in enumerate(zip(sizes, shares, strict=True)):
        values = {"pair": np.array([[size, share]]), "even": np.array([2.0])}
        tiles.append(TileMeasurements(f"{prefix}{i}", f"{prefix}p{i % patients}", "", values))
    return Sample(tuple(tiles))


def three_sides():
    random = np.random.default_rng(0)
    real = sample("r", random.normal(5, 1, 20), random.uniform(0, 1, 20), patients=10)
    synthetic = sample("s", random.normal(6, 1, 24), random.uniform(0, 1, 24), patients=5)
    reference = sample("o", random.normal(5, 1, 28), random.uniform(0, 1, 28), patients=6)
    return real, synthetic, reference


def column(side, number):
    return side.stack("pair")[:, 0, number]


def compared(number, sides):
    """Both comparisons of a column of the sides (synthetic, real, baseline ...)."""
    values = [column(side, number) for side in sides]
    grid = np.unique(np.concatenate(values))
    sums = []
    histograms = []
    for side, x in zip(sides, values, strict=True):
        sums.append(PatientSums.of(np.stack([x, np.ones(len(x))], axis=1), side.patients))
        histograms.append(
            PatientSums.histograms(list(x), side.patients, grid, [1.0] * len(x)),
        )
    return [
        compare(statistic, tuple(each[:2]), tuple(each[2:]) or None)
        for statistic, each in ((mean_difference, sums), (wasserstein(grid), histograms))
    ]


def test_a_quantity_is_one_column_of_a_value_and_nan_where_it_is_not_finite():
    side = sample("a", [1.0, np.inf, np.nan], [0.1, 0.2, 0.3])
    found = SIZE.of(side)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [1.0, np.nan, np.nan])
    np.testing.assert_array_equal(SHARE.of(side), [0.1, 0.2, 0.3])
    assert SIZE.of(Sample(())).shape == (0,)


@pytest.mark.parametrize("with_reference", [True, False])
def test_each_quantity_has_a_difference_and_a_distance_with_baseline_and_ratio(with_reference):
    real, synthetic, reference = three_sides()
    note = OTHER_PATIENTS if with_reference else HALVES
    pair = (reference, real) if with_reference else halves(real, 3)
    findings, _ = compare_marginals(
        (SIZE, SHARE),
        real,
        synthetic,
        reference if with_reference else None,
        name="all",
        seed=3,
    )
    assert [each.name for each in findings] == [
        "all_W1",
        "size_difference",
        "size_W1",
        "share_difference",
        "share_W1",
    ]
    for number, quantity in enumerate((SIZE, SHARE)):
        difference, distance = findings[1 + 2 * number : 3 + 2 * number]
        means, gaps = compared(number, (synthetic, real, *pair))
        unit = quantity.unit
        assert difference.value == means.estimate(unit=unit, distance=False)
        assert difference.value.value == pytest.approx(
            column(synthetic, number).mean() - column(real, number).mean()
        )
        assert difference.real == means.real(unit=unit, distance=False)
        assert difference.ratio is None
        assert difference.better == "real"
        assert difference.note == "mean of synthetic tiles - mean of real ones; " + note
        assert distance.value == gaps.estimate(unit=unit)
        assert distance.value.value == pytest.approx(
            stats.wasserstein_distance(column(synthetic, number), column(real, number))
        )
        assert distance.real == gaps.real(unit=unit)
        assert distance.real.value == pytest.approx(
            stats.wasserstein_distance(column(pair[0], number), column(pair[1], number))
        )
        assert distance.ratio == gaps.ratio()
        assert distance.better == "low"
        assert distance.note == note


def test_the_summary_is_the_mean_of_distances_in_standard_deviations_of_real_tiles():
    real, synthetic, reference = three_sides()
    # what never varies in real tissue cannot be scaled, and does not end the list
    findings, _ = compare_marginals(
        (EVEN, SIZE, SHARE), real, synthetic, reference, name="all", seed=0
    )
    summary = findings[0]
    values = []
    baselines = []
    for number in (0, 1):
        spread = column(real, number).std()
        distance = findings[4 + 2 * number]
        values.append(distance.value.value / spread)
        baselines.append(distance.real.value / spread)
    assert summary.name == "all_W1"
    assert summary.better == "low"
    assert summary.value.value == pytest.approx(np.mean(values))
    assert summary.value.unit == summary.real.unit == "sd"
    assert summary.real.value == pytest.approx(np.mean(baselines))
    assert summary.ratio.value == pytest.approx(np.mean(values) / np.mean(baselines))
    assert (summary.value.n, summary.value.groups) == (24, 5)
    assert summary.note == (
        "mean of 2 of 3 distances, each in standard deviations of real tiles; " + OTHER_PATIENTS
    )


def test_halves_are_drawn_with_seed_0_unless_stated():
    real, synthetic, _ = three_sides()

    def baselines(**seed):
        findings, _ = compare_marginals((SIZE,), real, synthetic, None, name="all", **seed)
        return findings[2].real

    assert baselines() == baselines(seed=0)
    assert baselines() != baselines(seed=1)


@pytest.mark.parametrize(("synthetic_tiles", "real_tiles"), [(7, 12), (12, 7)])
def test_a_distance_takes_eight_tiles_a_side(synthetic_tiles, real_tiles):
    synthetic = sample("s", np.arange(synthetic_tiles) + 0.5)
    real = sample("r", np.arange(real_tiles) * 1.0)
    reference = sample("o", np.arange(12) * 1.0)
    (summary, difference, distance), plots = compare_marginals(
        (SIZE,), real, synthetic, reference, name="all"
    )
    assert difference.value.is_defined
    assert distance.name == "size_W1"
    assert distance.better == "low"
    assert distance.real is None
    assert distance.value.reason == "7 tiles of one side; give at least 8"
    assert (distance.value.n, distance.value.unit) == (synthetic_tiles, "um")
    assert summary.name == "all_W1"
    assert summary.better == "low"
    assert summary.value.reason == "no quantity could be compared; give at least 8 tiles a side"
    assert summary.value.n == synthetic_tiles
    assert len(plots) == 1
    eight = compare_marginals(
        (SIZE,),
        sample("r", np.arange(8.0)),
        sample("s", np.arange(8.0) + 1),
        reference,
        name="all",
    )[0]
    assert eight[2].value.value == pytest.approx(1.0)


@pytest.mark.parametrize("side", ["real", "synthetic"])
def test_a_side_without_any_measured_tile_is_stated(side):
    measured = sample("a", np.arange(10.0))
    unmeasured = sample("b", np.full(10, np.nan))
    real, synthetic = (unmeasured, measured) if side == "real" else (measured, unmeasured)
    findings, plots = compare_marginals((SIZE, SHARE), real, synthetic, None, name="all")
    summary, difference, distance, *_ = findings
    assert (difference.name, difference.better) == ("size_difference", "real")
    assert (distance.name, distance.better) == ("size_W1", "low")
    for each in (difference, distance):
        assert each.value.reason == "no tile of one side could be measured; it takes 1"
        assert each.value.unit == "um"
        assert each.real is None
    assert summary.note.startswith("mean of 1 of 2 distances")
    role = "synthetic" if side == "real" else "real"
    assert plots[0] == Plot(
        "Size of nuclei",
        "Size of nuclei (micrometres)",
        "",
        (Series(role, role, list(np.arange(10.0))),),
        "density",
    )
    assert plots[1].x == "Share of tissue"
    assert [series.role for series in plots[1].series] == ["real", "synthetic"]


def test_one_measured_tile_a_side_has_a_difference():
    findings, _ = compare_marginals(
        (SIZE,), sample("r", [1.0]), sample("s", [3.0]), None, name="all"
    )
    assert findings[1].value.value == 2.0
    assert findings[1].note == (
        "mean of synthetic tiles - mean of real ones; "
        "no baseline: it takes real tiles of at least 2 patients"
    )


def test_quantities_without_any_value_have_no_plot():
    empty = sample("r", np.full(3, np.nan))
    _, plots = compare_marginals((SIZE, SHARE), empty, empty, None, name="all")
    assert [plot.title for plot in plots] == ["Share of tissue"]


@pytest.mark.parametrize("unmeasured_patient", [0, 1])
def test_there_is_no_baseline_where_one_of_its_sides_was_not_measured(unmeasured_patient):
    sizes = np.arange(16.0)
    sizes[unmeasured_patient::2] = np.nan
    real = sample("r", sizes, patients=2)
    findings, _ = compare_marginals(
        (SIZE,), real, sample("s", np.arange(16.0)), None, name="all", seed=0
    )
    assert findings[1].value.is_defined
    assert findings[1].real is None
    assert findings[2].value.is_defined
    assert findings[2].real is None
    assert findings[2].ratio is None


def test_up_to_1024_values_are_their_own_grid_and_more_are_gathered_at_quantiles_and_even_steps():
    random = np.random.default_rng(0)
    few = random.exponential(size=2 * GRID_POINTS)
    repeated = np.concatenate([few, few[:9], [np.nan, np.inf]])
    assert np.array_equal(grid_of(repeated), np.sort(few))
    many = random.exponential(size=2 * GRID_POINTS + 1)
    grid = grid_of(many)
    assert len(grid) < 2 * GRID_POINTS
    assert (np.diff(grid) > 0).all()
    assert (grid[0], grid[-1]) == (many.min(), many.max())
    for expected in (
        np.quantile(many, np.arange(512) / 511),
        many.min() + (many.max() - many.min()) * np.arange(512) / 511,
    ):
        nearest = np.abs(grid[None] - expected[:, None]).min(axis=1)
        assert nearest.max() < 1e-12
