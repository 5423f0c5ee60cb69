"""Distances against closed forms and against torchmetrics and prdc on the same features."""

import numpy as np
import pytest
import torch

from histosynth.metrics import distances as d
from histosynth.metrics.neighbours import authentic, copying_statistic, nearest_rows, prdc, radii


def features(
    n,
    width=24,
    shift=0.0,
    scale=1.0,
    seed=0,
):
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(width, width)) / np.sqrt(width)
    return ((random.normal(size=(n, width)) * scale) @ mix + shift).astype(np.float32)


class Given(torch.nn.Module):
    """Hands back what it is given: torchmetrics then measures our features."""

    def forward(self, x):
        return x.flatten(1).float()


def by_torchmetrics(metric, real, synthetic):
    for rows, is_real in ((real, True), (synthetic, False)):
        metric.update(torch.from_numpy(rows)[:, :, None, None], real=is_real)
    return metric.compute()


def given_fid(width):
    from torchmetrics.image.fid import FrechetInceptionDistance

    extractor = Given()
    extractor.num_features = width
    metric = FrechetInceptionDistance(feature=extractor, normalize=False)
    metric.used_custom_model = True
    return metric


def test_frechet_distance_is_that_of_torchmetrics():
    real = features(400, seed=1)
    synthetic = features(
        300,
        shift=0.3,
        scale=1.2,
        seed=2,
    )
    theirs = float(by_torchmetrics(given_fid(24), real, synthetic))
    assert d.frechet_distance(synthetic, real) == pytest.approx(theirs, rel=1e-3)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`")
def test_kernel_distance_is_that_of_torchmetrics_over_one_whole_subset():
    from torchmetrics.image.kid import KernelInceptionDistance

    real = features(200, seed=1)
    synthetic = features(200, shift=0.3, seed=2)
    metric = KernelInceptionDistance(
        feature=Given(),
        subsets=1,
        subset_size=200,
    )
    mean, _ = by_torchmetrics(metric, real, synthetic)
    assert d.kernel_distance(real, synthetic) == pytest.approx(float(mean), rel=1e-3)


def test_precision_recall_density_coverage_are_those_of_their_authors():
    from prdc import compute_prdc

    real = features(150, seed=1)
    synthetic = features(
        120,
        shift=0.2,
        scale=1.1,
        seed=2,
    )
    theirs = compute_prdc(real, synthetic, nearest_k=5)
    ours = prdc(real, synthetic, 5)
    for name, value in theirs.items():
        assert getattr(ours, name).mean() == pytest.approx(value, rel=1e-3), name


def test_moments_gathered_in_batches_are_those_of_the_whole():
    x = features(500, seed=3).astype(np.float64) + 1e3  # far from 0: where naive sums lose figures
    found = d.Moments.of(x[i : i + 7] for i in range(0, 500, 7))
    assert found.n == 500
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(
        found.covariance,
        np.cov(x.T),
        rtol=1e-8,
        atol=1e-9,
    )


def test_frechet_distance_of_many_and_of_few_samples_agree_where_both_can_be_taken():
    first = features(60, 24, seed=1)
    second = features(60, 24, shift=0.2, seed=2)
    many = d.frechet_of_moments(d.Moments.of([first]), d.Moments.of([second]))
    # padding with features that are always 0 leads the same numbers through the other way
    few = d.frechet_distance(*(np.pad(side, ((0, 0), (0, 60))) for side in (first, second)))
    assert many == pytest.approx(few, rel=1e-6)


def test_features_that_never_vary_do_not_hinder_a_frechet_distance():
    first = features(100, 8, seed=1)
    second = features(90, 8, shift=0.5, seed=2)
    plain = d.frechet_distance(first, second)
    dead = [
        np.concatenate([side, np.ones((len(side), 3), np.float32)], axis=1)
        for side in (first, second)
    ]
    assert d.frechet_distance(*dead) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("block", [16, 64, 4096])
def test_kernel_sums_do_not_depend_on_blocks(monkeypatch, block):
    real = features(90, seed=1).astype(np.float64)
    synthetic = features(70, seed=2).astype(np.float64)
    groups = np.arange(90) % 7
    others = np.arange(70) % 5
    sums = d.KernelSums.of(real, groups, synthetic, others)
    monkeypatch.setattr(d, "KERNEL_BLOCK", block)
    again = d.KernelSums.of(real, groups, synthetic, others)
    np.testing.assert_allclose(again.across, sums.across)
    kernel = (real @ real.T / 24 + 1) ** 3
    np.fill_diagonal(kernel, 0)
    wanted = [[kernel[np.ix_(groups == a, groups == b)].sum() for b in range(7)] for a in range(7)]
    np.testing.assert_allclose(again.within[0], wanted, rtol=1e-9)


def test_a_replicate_of_groups_is_the_distance_of_their_tiles():
    real = features(40, seed=1).astype(np.float64)
    synthetic = features(40, shift=0.2, seed=2).astype(np.float64)
    groups = np.repeat(np.arange(4), 10)
    sums = d.KernelSums.of(real, groups, synthetic, groups)
    kept = np.array([[1.0, 0.0, 1.0, 1.0]])
    rows = groups != 1
    assert sums.distances(kept, kept)[0] == pytest.approx(
        d.kernel_distance(real[rows], synthetic[rows]), rel=1e-9
    )


def test_extrapolation_takes_off_the_bias_of_few_samples():
    random = np.random.default_rng(0)
    values = []
    for _ in range(8):
        first = random.normal(size=(200, 10))
        second = random.normal(size=(200, 10))
        values.append(
            (
                d.frechet_distance(first, second),
                d.extrapolated_frechet(
                    first,
                    second,
                    sizes=[50, 80, 120, 200],
                    replicates=4,
                ),
            )
        )
    plain, without = np.mean(values, axis=0)
    assert plain > 0.2  # both sets are of one law, so the truth is 0
    assert abs(without) < 0.15 * plain


def test_nearest_rows_leave_out_rows_of_the_same_owner():
    points = np.array([[0.0], [0.1], [5.0], [5.2]])
    gaps, rows = nearest_rows(points, points, owners=(["a", "a", "b", "b"],) * 2)
    assert rows[:, 0].tolist() == [2, 2, 1, 1]
    np.testing.assert_allclose(gaps[:, 0], [5.0, 4.9, 4.9, 5.1])


def test_radii_are_distances_to_other_points():
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    np.testing.assert_allclose(radii(points, 1), [1, 1, 2, 4])
    np.testing.assert_allclose(radii(points, 2), [3, 2, 3, 6])


def test_copies_are_not_authentic_and_new_samples_are():
    train = features(200, seed=1)
    fresh = features(100, seed=2)
    assert authentic(train, train[:50] + 1e-4).mean() == 0
    assert 0.3 < authentic(train, fresh).mean() < 0.8


def test_the_copying_statistic_is_far_below_0_for_copies_only():
    train, unseen, fresh = (features(150, seed=seed) for seed in (1, 2, 3))
    copies = train[:100] + 0.05 * features(100, seed=4)
    gaps = {
        name: nearest_rows(side, train)[0][:, 0]
        for name, side in (("unseen", unseen), ("fresh", fresh), ("copies", copies))
    }
    assert abs(copying_statistic(gaps["fresh"], gaps["unseen"])) < 2.5
    assert copying_statistic(gaps["copies"], gaps["unseen"]) < -10


@pytest.mark.parametrize("patients", [1, 40])
def test_a_large_set_is_measured_by_parts_and_without_bias(monkeypatch, patients):
    monkeypatch.setattr(d, "MAX_ALL_PAIRS", 100)
    monkeypatch.setattr(d, "PART_SIZE", 60)
    away = []
    for seed in range(60):
        real = features(240, 8, seed=2 * seed + 10)
        synthetic = features(240, 8, shift=0.3, seed=2 * seed + 11)
        groups = np.arange(240) % patients
        parts = d.KernelSums.of(real, groups, synthetic, groups)
        assert parts.pairs[2].sum() < 0.5 * 240**2
        ones = np.ones((1, patients))
        part = parts.distances(ones, ones)[0]
        monkeypatch.setattr(d, "MAX_ALL_PAIRS", 1000)
        away.append(part - d.kernel_distance(real, synthetic))
        monkeypatch.setattr(d, "MAX_ALL_PAIRS", 100)
    assert abs(np.mean(away)) < 3 * np.std(away) / np.sqrt(60)
    assert np.std(away) > 0  # it was not all pairs


def test_neighbours_in_float32_are_those_in_float64():
    first = features(60, 16, seed=1) + 30
    second = features(80, 16, seed=2) + 30
    second[5] = first[7]
    gaps, rows = nearest_rows(first, second, count=3)
    wide, places = nearest_rows(first.astype(np.float64), second.astype(np.float64), count=3)
    assert np.array_equal(rows, places)
    np.testing.assert_allclose(gaps, wide, rtol=1e-9)
    assert gaps[7, 0] == 0


def test_frechet_distance_of_gaussians_is_the_closed_form():
    random = np.random.default_rng(0)
    first = random.normal(0, 1.0, (20_000, 4))
    second = random.normal(0.5, 2.0, (20_000, 4))
    # per dimension: (m1 - m2)^2 + (s1 - s2)^2
    assert d.frechet_distance(first, second) == pytest.approx(4 * (0.25 + 1.0), rel=0.03)


def test_frechet_distance_equals_the_matrix_root_definition():
    from scipy.linalg import sqrtm

    random = np.random.default_rng(1)
    first = random.normal(0, 1, (60, 8))
    second = random.normal(0.3, 1.5, (50, 8)) @ random.normal(0, 1, (8, 8))
    c1 = np.cov(first.T)
    c2 = np.cov(second.T)
    apart = first.mean(0) - second.mean(0)
    expected = apart @ apart + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert d.frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_a_set_is_no_distance_from_itself_even_with_fewer_samples_than_dimensions():
    first = np.random.default_rng(0).normal(size=(16, 64))
    assert d.frechet_distance(first, first) == pytest.approx(0, abs=1e-8)


def test_kernel_distance_is_unbiased_and_sees_a_shift():
    random = np.random.default_rng(0)
    same = [
        d.kernel_distance(random.normal(size=(40, 8)), random.normal(size=(40, 8)))
        for _ in range(200)
    ]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(200)
    assert d.kernel_distance(
        random.normal(size=(40, 8)), random.normal(1, 1, (40, 8))
    ) > 10 * np.std(same)


def test_the_copying_statistic_is_the_mann_whitney_z():
    from scipy.stats import mannwhitneyu

    random = np.random.default_rng(4)
    synthetic = random.normal(0.4, 1, 31)
    held_out = random.normal(0, 1, 23)
    wins = mannwhitneyu(synthetic, held_out).statistic
    expected = (wins - 31 * 23 / 2) / np.sqrt(31 * 23 * (31 + 23 + 1) / 12)
    assert copying_statistic(synthetic, held_out) == pytest.approx(expected)
    assert copying_statistic(synthetic, synthetic) == pytest.approx(0)


def test_sums_of_both_halves_of_a_set_are_those_of_the_whole():
    x = np.random.default_rng(0).normal(size=(50, 5))
    merged = d.Moments.of([x[:20]]).merged(d.Moments.of([x[20:]]))
    assert merged.n == 50
    assert merged.mean == pytest.approx(x.mean(0))
    assert merged.covariance == pytest.approx(np.cov(x.T))
