"""Moments and kernel sums of features against direct sums over every pair."""

import numpy as np
import pytest

from histosynth.metrics import distances as d


def features(n, width=6, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (n, width))


def kernel(first, second):
    return (first @ second.T / first.shape[1] + 1) ** 3


def grouped(matrix, rows, columns):
    """Sums of a matrix over groups of its rows and of its columns."""
    return [
        [
            matrix[np.ix_(rows == row, columns == column)].sum()
            for column in range(columns.max() + 1)
        ]
        for row in range(rows.max() + 1)
    ]


def test_moments_of_batches():
    x = features(41, 5, shift=3).astype(np.float32)
    for batches in ([x], [x[:1], x[1:30], x[30:]], iter([x[:20], x[20:]])):
        moments = d.Moments.of(batches)
        assert moments.n == 41
        assert moments.mean.dtype == moments.scatter.dtype == np.float64
        np.testing.assert_allclose(moments.mean, x.astype(float).mean(0), rtol=1e-12)
        np.testing.assert_allclose(moments.scatter, 40 * np.cov(x.astype(float).T), rtol=1e-10)
    with pytest.raises(ValueError, match="no batch") as error:
        d.Moments.of([])
    assert str(error.value) == "moments of no batch"


def test_moments_do_not_change_their_batches():
    x = features(20)
    kept = x.copy()
    d.Moments.of([x, x])
    assert np.array_equal(x, kept)


def test_merged_moments_of_sets_of_unequal_size():
    x = features(50, 5, shift=2)
    first, second = d.Moments.of([x[:11]]), d.Moments.of([x[11:]])
    for merged in (first.merged(second), second.merged(first)):
        assert merged.n == 50
        np.testing.assert_allclose(merged.mean, x.mean(0), rtol=1e-12)
        np.testing.assert_allclose(merged.scatter, 49 * np.cov(x.T), rtol=1e-10)


@pytest.mark.parametrize(
    ("n", "m"), [(5, 9), (9, 5), (6, 7), (7, 6), (30, 4), (4, 30), (7, 8), (40, 25)]
)
def test_frechet_distance_around_as_many_samples_as_dimensions(n, m):
    from scipy.linalg import sqrtm

    first = features(n, seed=1) + 1e-3
    second = features(m, seed=2, shift=0.5) * 2
    one, two = np.cov(first.T), np.cov(second.T)
    apart = first.mean(0) - second.mean(0)
    # the root of a singular product, with nothing added to its diagonal
    root = sqrtm(one @ two + 0j)
    expected = apart @ apart + np.trace(one) + np.trace(two) - 2 * np.trace(root).real
    found = d.frechet_distance(first, second)
    assert type(found) is float
    assert found == pytest.approx(expected, rel=1e-4)
    assert d.frechet_distance(second, first) == pytest.approx(found, rel=1e-8)


def test_frechet_distance_of_float32_is_that_of_float64():
    first = (features(40, seed=1) + 100).astype(np.float32)
    second = (features(5, seed=2) + 100).astype(np.float32)
    found = d.frechet_distance(first, second)
    assert found == pytest.approx(d.frechet_distance(first.astype(float), second.astype(float)))


def test_frechet_distance_of_moments_leaves_them_as_they_were():
    first, second = d.Moments.of([features(40)]), d.Moments.of([features(30, seed=1)])
    kept = [each.copy() for each in (first.mean, first.scatter, second.mean, second.scatter)]
    once = d.frechet_of_moments(first, second)
    assert d.frechet_of_moments(first, second) == once
    for each, before in zip(
        (first.mean, first.scatter, second.mean, second.scatter), kept, strict=True
    ):
        assert np.array_equal(each, before)


def test_kernel_distance_is_the_unbiased_mean_over_pairs():
    first = features(9)
    second = features(7, seed=1, shift=0.3)
    xx, yy, xy = kernel(first, first), kernel(second, second), kernel(first, second)
    expected = (
        (xx.sum() - np.trace(xx)) / (9 * 8) + (yy.sum() - np.trace(yy)) / (7 * 6) - 2 * xy.mean()
    )
    found = d.kernel_distance(first, second)
    assert type(found) is float
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("block", [1, 3, 4, 8, 2048])
def test_sums_of_groups_in_any_order_and_of_unequal_numbers(monkeypatch, block):
    monkeypatch.setattr(d, "KERNEL_BLOCK", block)
    first = features(8)
    second = features(11, seed=1)
    # group 1 of the second side has no item
    rows = np.array([2, 0, 1, 0, 2, 2, 0, 1])
    columns = np.array([3, 0, 0, 2, 3, 0, 2, 2, 0, 3, 4])
    sums = d.KernelSums.of(first, rows, second, columns)
    xx, yy, xy = kernel(first, first), kernel(second, second), kernel(first, second)
    np.fill_diagonal(xx, 0)
    np.fill_diagonal(yy, 0)
    np.testing.assert_allclose(sums.within[0], grouped(xx, rows, rows), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sums.within[1], grouped(yy, columns, columns), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sums.across, grouped(xy, rows, columns), rtol=1e-9, atol=1e-9)
    pairs = [
        grouped(1 - np.eye(8), rows, rows),
        grouped(1 - np.eye(11), columns, columns),
        grouped(np.ones((8, 11)), rows, columns),
    ]
    for each, expected in zip(sums.pairs, pairs, strict=True):
        assert each.tolist() == expected


def test_sums_of_float32_features_are_added_in_float64():
    first = features(40).astype(np.float32)
    groups = np.zeros(40, np.intp)
    sums = d.KernelSums.of(first, groups, first + 1, groups)
    assert sums.across.dtype == sums.within[0].dtype == np.float64
    wide = d.KernelSums.of(first.astype(float), groups, (first + 1).astype(float), groups)
    np.testing.assert_allclose(sums.across, wide.across, rtol=1e-5)
    # pairs of an item with itself are left out exactly: 1 item has no other
    alone = d.KernelSums.of(first[:1] * 30, groups[:1], first[:1], groups[:1])
    assert abs(alone.within[0]).max() < 1e-4 * kernel(first[:1] * 30, first[:1] * 30).max()


def by_copies(first, second, first_counts, second_counts, groups, *, paired):
    """The distance of resampled groups, from all pairs of items of their copies."""

    def copies(counts):
        return [(group, copy) for group, count in enumerate(counts) for copy in range(int(count))]

    def mean(x, y, x_copies, y_copies, same):
        total = pairs = 0.0
        for group, copy in x_copies:
            for other, other_copy in y_copies:
                if same and group == other and copy != other_copy:
                    continue
                block = kernel(x[groups[0] == group], y[groups[1] == other])
                if same and x is y and group == other:
                    block = block[~np.eye(len(block), dtype=bool)]
                total += block.sum()
                pairs += block.size
        return total / pairs

    one = copies(first_counts)
    two = copies(second_counts)
    kept = groups
    within = 0.0
    for items, drawn, side in ((first, one, kept[0]), (second, two, kept[1])):
        groups = (side, side)
        within += mean(items, items, drawn, drawn, True)
    groups = kept
    return within - 2 * mean(first, second, one, two, paired)


@pytest.mark.parametrize("paired", [False, True])
def test_replicates_leave_out_pairs_of_two_copies_of_a_group(paired):
    first = features(9)
    second = features(12, seed=1, shift=0.4)
    groups = (np.array([0, 0, 0, 1, 1, 2, 2, 2, 2]), np.array([0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3]))
    sums = d.KernelSums.of(first, groups[0], second, groups[1])
    first_counts = np.array([[1, 1, 1], [2, 0, 1], [0, 1, 2]], float)
    second_counts = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 1, 2, 1]], float)
    found = sums.distances(first_counts, second_counts, paired=paired)
    assert found.shape == (3,)
    expected = [
        by_copies(first, second, one, two, groups, paired=paired)
        for one, two in zip(first_counts, second_counts, strict=True)
    ]
    assert found == pytest.approx(expected, rel=1e-9)
    # more groups on the first side than on the second
    swapped = d.KernelSums.of(second, groups[1], first, groups[0])
    again = swapped.distances(second_counts, first_counts, paired=paired)
    assert again == pytest.approx(expected, rel=1e-9)
    if not paired:
        assert np.array_equal(sums.distances(first_counts, second_counts), found)


def test_a_replicate_without_pairs_is_not_defined():
    first = features(3)
    groups = np.array([0, 1, 1])
    sums = d.KernelSums.of(first, groups, first, groups)
    # one item of group 0: there is no pair
    found = sums.distances(np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones((2, 2)))
    assert np.isfinite(found).tolist() == [False, True]


# parts


def parts_of(first_groups, second_groups, monkeypatch, all_pairs=10, size=6):
    """How many pairs count of each pair of groups, where sets are measured in parts."""
    monkeypatch.setattr(d, "MAX_ALL_PAIRS", all_pairs)
    monkeypatch.setattr(d, "PART_SIZE", size)
    first = features(len(first_groups))
    second = features(len(second_groups), seed=1)
    return d.KernelSums.of(first, np.array(first_groups), second, np.array(second_groups))


def test_sets_up_to_the_limit_are_measured_whole(monkeypatch):
    assert (d.MAX_ALL_PAIRS, d.PART_SIZE, d.KERNEL_BLOCK) == (6000, 2500, 2048)
    for one, other in ((10, 10), (4, 10), (10, 4)):
        whole = parts_of([0] * one, [0] * other, monkeypatch)
        assert whole.pairs[2].sum() == one * other
        assert whole.pairs[0].sum() == one * (one - 1)
    for one, other in ((11, 4), (4, 11)):
        parts = parts_of([0] * one, [0] * other, monkeypatch)
        # two parts of each side: 6 and 5, 2 and 2
        assert parts.pairs[2].sum() == 22
        assert parts.pairs[0].sum() == (50 if one == 11 else 4)
        assert parts.pairs[1].sum() == (4 if one == 11 else 50)


@pytest.mark.parametrize(("n", "count"), [(11, 2), (12, 2), (13, 3)])
def test_parts_of_few_groups_are_of_about_the_same_size(monkeypatch, n, count):
    parts = parts_of(np.arange(n) % 7, np.arange(n) % 7, monkeypatch)
    sizes = [len(each) for each in np.array_split(np.arange(n), count)]
    assert parts.pairs[2].sum() == sum(size**2 for size in sizes)
    assert parts.pairs[0].sum() == sum(size * (size - 1) for size in sizes)
    again = parts_of(np.arange(n) % 7, np.arange(n) % 7, monkeypatch)
    assert np.array_equal(parts.pairs[2], again.pairs[2])
    assert np.array_equal(parts.within[0], again.within[0])
    # both sides are shuffled, each on its own
    assert not np.array_equal(parts.pairs[2], parts.pairs[2].T)


def test_groups_are_whole_in_one_part_where_there_are_many(monkeypatch):
    # 12 items are 2 parts, and 8 groups are 4 a part
    for groups, whole in ((8, True), (7, False)):
        ids = np.concatenate([np.arange(groups), np.arange(12 - groups)])
        parts = parts_of(ids, ids, monkeypatch)
        counts = np.bincount(ids)
        assert np.array_equal(np.diag(parts.pairs[2]), counts**2) == whole
        if whole:
            together = parts.pairs[2] > 0
            assert (together.sum(axis=1) == 4).all()
            assert np.array_equal(together, together.T)
            assert (together.astype(int) @ together > 0).sum() == 2 * 4 * 4
            assert np.array_equal(parts.pairs[0] + np.diag(counts), parts.pairs[2])
            direct = grouped(kernel(features(12), features(12, seed=1)), ids, ids)
            np.testing.assert_allclose(parts.across, np.where(together, direct, 0), rtol=1e-9)
            # the same in every run
            assert np.flatnonzero(together[0]).tolist() == [0, 1, 3, 5]


def test_a_part_that_one_side_does_not_fill_is_left_out(monkeypatch):
    # the second side has items of one group only: its part alone counts
    first = np.arange(16) % 8
    second = np.array([3, 3, 3])
    parts = parts_of(first, second, monkeypatch, size=8)
    assert parts.pairs[1].sum() == 6
    assert parts.pairs[0].sum() == 8 * 7
    assert parts.pairs[2].sum() == 8 * 3
    single = parts_of(first, second[:2], monkeypatch, size=8)
    assert single.pairs[2].sum() == 16
    none = parts_of(first, second[:1], monkeypatch, size=8)
    assert none.pairs[2].sum() == 0
    assert np.isnan(none.distances(np.ones((1, 8)), np.ones((1, 4)))).all()


# extrapolation


def test_extrapolation_is_the_line_through_distances_over_1_by_n():
    first = features(30)
    second = features(50, seed=1, shift=0.2)
    how = {"sizes": [12, 24], "replicates": 1}
    random = np.random.default_rng(0)
    distances = []
    for size in (12, 24):
        rows = random.permutation(30)[:size]
        columns = random.permutation(50)[:size]
        distances.append(d.frechet_distance(first[rows], second[columns]))
    # through (1 / 12, d1) and (1 / 24, d2)
    expected = 2 * distances[1] - distances[0]
    found = d.extrapolated_frechet(first, second, **how)
    assert type(found) is float
    assert found == pytest.approx(expected)
    assert d.extrapolated_frechet(first, second, seed=0, **how) == found
    assert d.extrapolated_frechet(first, second, seed=1, **how) != found


def test_replicates_of_a_size_are_different_subsets():
    first = features(40)
    second = features(40, seed=1)
    once = d.extrapolated_frechet(first, second, sizes=[10, 20], replicates=1)
    often = d.extrapolated_frechet(first, second, sizes=[10, 20], replicates=30)
    many = d.extrapolated_frechet(first, second, sizes=[10, 20], replicates=30, seed=5)
    assert abs(often - many) < abs(often - once)
