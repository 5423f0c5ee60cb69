"""Statistics of layouts against patterns whose statistics are known."""

import numpy as np
import pytest

from histosynth.core.nuclei import ANY, Nuclei
from histosynth.metrics.layout.conclude import conclude_layout
from histosynth.metrics.layout.measure import class_pairs, excess, measure_layout, pcf_of, ripley_of
from histosynth.metrics.layout.patterns import BAND_UM, RADII_UM, nearest_neighbours
from histosynth.metrics.sample import Sample, TileMeasurements

CLASSES = ("a", "b")
MPP = 0.5


def nuclei(
    xy_um,
    classes=None,
    side_um=128.0,
    names=CLASSES,
):
    """Nuclei on a tile; coordinates in um from the tile's corner."""
    side = round(side_um / MPP)
    px = np.clip(
        np.asarray(xy_um, float).reshape(-1, 2) / MPP - 0.5,
        -0.5,
        side - 0.5001,
    )
    return Nuclei.of(
        px,
        ["a"] * len(px) if classes is None else classes,
        size=(side, side),
        mpp=MPP,
        classes=names,
    )


def poisson(random, side_um=128.0, per_um2=0.005):
    return random.uniform(0, side_um, (random.poisson(per_um2 * side_um**2), 2))


def clusters(random, side_um=128.0, reach=5.0):
    """Thomas process with parents also outside the window."""
    pad = 5 * reach
    parents = random.uniform(
        -pad,
        side_um + pad,
        (random.poisson(0.0008 * (side_um + 2 * pad) ** 2), 2),
    )
    children = [parent + random.normal(0, reach, (random.poisson(6), 2)) for parent in parents]
    xy = np.concatenate([*children, np.zeros((0, 2))])
    return xy[((xy > 0) & (xy < side_um)).all(axis=1)]


def hard_core(random, core=9.0, side_um=128.0):
    kept = []
    for point in random.uniform(0, side_um, (600, 2)):
        if all(np.hypot(*(point - other)) >= core for other in kept):
            kept.append(point)
    return np.array(kept)


def sample(patterns, prefix="p", patients=10, **how):
    return Sample(
        tuple(
            TileMeasurements(
                f"{prefix}{i}",
                f"{prefix}{i % patients}",
                "",
                measure_layout(each if isinstance(each, Nuclei) else nuclei(each, **how)),
            )
            for i, each in enumerate(patterns)
        )
    )


def direct(
    one,
    two,
    side,
    same,
):
    """K's numerator by looking at every pair: sum of 1 / |W n W shifted| over pairs within r."""
    out = np.zeros(len(RADII_UM))
    for i, x in enumerate(one):
        for j, y in enumerate(two):
            if same and i == j:
                continue
            dx, dy = np.abs(x - y)
            if dx < side and dy < side:
                out += (np.hypot(dx, dy) <= RADII_UM) / ((side - dx) * (side - dy))
    return out


def test_sums_equal_a_direct_count_of_every_pair():
    random = np.random.default_rng(0)
    xy = random.uniform(0, 128, (60, 2))
    names = [("a", "b", ANY)[i % 3] for i in range(60)]
    synthetic = nuclei(xy, names)
    placed = (synthetic.xy.astype(float) + 0.5) * MPP
    seen = measure_layout(synthetic)
    area = 128.0**2
    a = placed[0::3]
    b = placed[1::3]
    expected = [direct(a, a, 128, True), direct(a, b, 128, False), direct(b, b, 128, True)]
    expected.append(direct(placed, placed, 128, True))
    assert class_pairs(CLASSES) == [("a", "a"), ("a", "b"), ("b", "b"), ("all", "all")]
    np.testing.assert_allclose(seen["layout/ripley"] / area, expected, rtol=1e-9)
    products = np.array([20 * 19, 20 * 20, 20 * 19, 60 * 59]) / area
    np.testing.assert_allclose(seen["layout/products"], products[:, None] + 0 * RADII_UM)
    assert seen["layout/counts"].tolist() == [20, 20, 20]
    assert seen["layout/density"][0] == pytest.approx(60 / area * 1e6)


def test_pair_correlation_equals_a_direct_kernel_sum():
    random = np.random.default_rng(1)
    synthetic = nuclei(random.uniform(0, 128, (50, 2)))
    placed = (synthetic.xy.astype(float) + 0.5) * MPP
    apart = np.abs(placed[:, None] - placed[None])[~np.eye(50, dtype=bool)]
    gap = np.hypot(*apart.T)
    room = (128 - apart[:, 0]) * (128 - apart[:, 1])
    off = (RADII_UM[:, None] - gap) / BAND_UM
    kernel = 0.75 / BAND_UM * np.maximum(1 - off**2, 0)
    expected = (kernel / (2 * np.pi * gap * room)).sum(axis=1) * 128.0**2
    np.testing.assert_allclose(
        measure_layout(synthetic)["layout/pcf"][0],
        expected,
        rtol=1e-9,
    )


def test_points_without_order_have_k_of_pi_r_squared_and_g_of_one():
    random = np.random.default_rng(0)
    seen = sample([poisson(random) for _ in range(300)])
    np.testing.assert_allclose(
        ripley_of(seen)[0][2:],
        np.pi * RADII_UM[2:] ** 2,
        rtol=0.06,
    )
    assert np.abs(excess(ripley_of(seen))[-1]).max() < 0.3
    np.testing.assert_allclose(pcf_of(seen)[0][3:], 1, atol=0.08)
    assert pcf_of(seen)[0][:3] == pytest.approx([1, 1, 1], abs=0.2)


def test_translation_correction_is_unbiased_and_leaving_it_out_is_not():
    random = np.random.default_rng(5)
    area = 64.0**2
    density = 0.01
    radius = 30.0
    at = int(np.flatnonzero(radius == RADII_UM)[0])
    corrected = []
    plain = []
    for _ in range(400):
        xy = poisson(random, 64.0, density)
        corrected.append(measure_layout(nuclei(xy, side_um=64.0))["layout/ripley"][0, at] / area)
        gaps = np.hypot(*(xy[:, None] - xy[None]).reshape(-1, 2).T)
        plain.append(((gaps <= radius).sum() - len(xy)) / area)
    expected = density**2 * np.pi * radius**2
    error = np.std(corrected) / 20
    assert np.mean(corrected) == pytest.approx(expected, abs=4 * error)
    assert error < 0.03 * expected
    assert np.mean(plain) < 0.8 * expected


@pytest.mark.parametrize("process", [poisson, clusters])
def test_k_does_not_depend_on_the_window(process):
    random = np.random.default_rng(2)
    small = sample([process(random, 64.0) for _ in range(1200)], side_um=64.0)
    large = sample([process(random, 256.0) for _ in range(75)], side_um=256.0)
    measured_radii = RADII_UM <= 32
    one, two = (ripley_of(each, pooled=True)[0][measured_radii] for each in (small, large))
    np.testing.assert_allclose(one[3:], two[3:], rtol=0.1)
    assert np.isnan(ripley_of(small)[0][~measured_radii]).all()
    assert np.isfinite(ripley_of(large)).any()


def test_clusters_raise_g_at_short_r_and_not_far_away():
    random = np.random.default_rng(3)
    g = pcf_of(sample([clusters(random, 256.0) for _ in range(30)], side_um=256.0), pooled=True)[0]
    # Thomas process: g = 1 + exp(-r^2 / 4 s^2) / (4 pi s^2 parents)
    expected = 1 + np.exp(-(RADII_UM**2) / 100) / (4 * np.pi * 25 * 0.0008)
    np.testing.assert_allclose(g[1:8], expected[1:8], rtol=0.15)
    np.testing.assert_allclose(g[15:], 1, atol=0.1)
    assert g[1] > 3


def test_a_hard_core_leaves_g_at_zero_below_it():
    random = np.random.default_rng(4)
    seen = sample([hard_core(random) for _ in range(20)])
    g = pcf_of(seen)[0]
    assert (g[RADII_UM <= 9 - BAND_UM] == 0).all()
    assert g[RADII_UM == 10] > 0.8
    assert (ripley_of(seen)[0][RADII_UM < 9] == 0).all()


def test_near_empty_tiles_count_for_little():
    random = np.random.default_rng(6)
    full = [poisson(random, per_um2=0.01) for _ in range(60)]
    alone = ripley_of(sample(full))[0]
    # two nuclei side by side: this tile's own K is that of a dense cluster, r^2 * 8,000 at r = 2
    with_pairs = ripley_of(sample([*full, *([[64, 64], [65, 64]] for _ in range(20))]))[0]
    np.testing.assert_allclose(with_pairs[5:], alone[5:], rtol=0.1)


def test_classes_that_avoid_each_other_have_cross_g_below_one():
    random = np.random.default_rng(7)
    synthetic = []
    for _ in range(40):
        xy = poisson(random)
        left = (xy[:, 0] // 32 + xy[:, 1] // 32) % 2 == 0
        synthetic.append(nuclei(xy, ["a" if side else "b" for side in left]))
    g = pcf_of(sample(synthetic))
    assert g[0, 4] > 1.3
    assert g[1, 4] < 0.6
    assert g[2, 4] > 1.3
    assert g[3, 4] == pytest.approx(1, abs=0.1)


def test_weighted_nearest_neighbours_are_those_of_the_plane():
    random = np.random.default_rng(8)
    density = 0.004
    parts = [
        nearest_neighbours(poisson(random, 64.0, density), None, (64.0, 64.0)) for _ in range(1500)
    ]
    gap, weight = (np.concatenate(side) for side in zip(*parts, strict=True))
    # Poisson: P(D <= r) = 1 - exp(-density pi r^2)
    for radius in (4.0, 8.0, 12.0):
        share = weight[gap <= radius].sum() / weight.sum()
        assert share == pytest.approx(1 - np.exp(-density * np.pi * radius**2), abs=0.015)
    expected = 0.5 / np.sqrt(density)
    assert np.average(gap, weights=weight) == pytest.approx(expected, rel=0.03)
    assert gap.mean() > 1.03 * expected


def test_neighbours_go_from_the_first_class_to_the_second():
    synthetic = nuclei([[60, 60], [64, 60], [60, 70]], ["a", "b", "b"])
    seen = measure_layout(synthetic)
    assert seen["layout/nn/a>b"].tolist() == pytest.approx([4.0])
    assert seen["layout/nn/b>a"].tolist() == pytest.approx([4.0, 10.0])
    assert seen["layout/nn/b>b"].tolist() == pytest.approx([116**0.5] * 2)
    assert seen["layout/nn/a>a"].size == 0
    assert seen["layout/nn_weight/a>a"].size == 0
    assert seen["layout/nn/all>all"].tolist() == pytest.approx([4.0, 4.0, 10.0])


@pytest.mark.parametrize("points", [[], [[3, 3]], [[3, 3], [3, 3]], [[3, 3], [120, 120]]])
def test_empty_and_odd_tiles_break_nothing(points):
    seen = measure_layout(nuclei(points))
    assert seen["layout/counts"].sum() == len(points)
    for key in ("layout/ripley", "layout/pcf", "layout/products"):
        assert np.isfinite(seen[key]).all()


def tissue(random, share=0.5, per_um2=0.008):
    xy = poisson(random, per_um2=per_um2)
    return nuclei(xy, ["a" if is_a else "b" for is_a in random.random(len(xy)) < share])


def by_name(section):
    return {finding.name: finding for finding in section.findings}


def test_obtained_as_requested_is_no_distance():
    random = np.random.default_rng(9)
    requested = sample([tissue(random) for _ in range(12)])
    real = sample([tissue(random) for _ in range(12)], "r")
    found = by_name(conclude_layout(requested, requested, real, CLASSES, marked=real))
    names = [
        name for name in found if name.endswith(("requested", "requested_all", "requested_classes"))
    ]
    assert len(names) == 8
    for name in names:
        assert found[name].value.value == 0, name
        assert found[name].real.value == 0
    assert found["density_from_requested"].value.groups == 10


def test_each_fault_is_detected_by_its_own_measure():
    random = np.random.default_rng(10)
    requested = [tissue(random) for _ in range(30)]
    real, other = (sample([tissue(random) for _ in range(30)], name) for name in ("r", "o"))

    def found(change):
        section = conclude_layout(
            sample(requested),
            sample([change(each) for each in requested]),
            real,
            CLASSES,
            marked=real,
            reference=other,
        )
        return by_name(section)

    turned = found(lambda n: Nuclei(n.xy, 1 - n.class_ids, n.classes, n.size, n.mpp))
    assert turned["composition_from_requested"].value.value < 0.1
    allsame = found(lambda n: Nuclei(n.xy, 0 * n.class_ids, n.classes, n.size, n.mpp))
    assert allsame["composition_from_requested"].value.value == pytest.approx(0.5, abs=0.05)
    assert allsame["composition_from_real"].ratio.low > 3
    assert allsame["nearest_from_requested_all"].value.value == 0

    thinned = found(lambda n: n.where(np.arange(len(n)) % 2 == 0))
    expected = -np.mean([len(n) / 2 for n in requested]) / 0.128**2
    density = thinned["density_from_requested"].value
    assert density.low < expected < density.high
    # half as many: neighbours are sqrt(2) times as far
    usual = 0.5 / np.sqrt(0.008)
    assert thinned["nearest_from_requested_all"].value.value == pytest.approx(
        0.414 * usual, rel=0.15
    )
    assert thinned["g_from_real_all"].ratio.value < 4

    def paired(n):
        near = n.xy[::2] + np.array([4, 0], np.float32)
        inside = near[:, 0] < n.size[0] - 0.5
        return n.where(np.arange(len(n)) % 2 == 0).concat(
            Nuclei(
                near[inside],
                n.class_ids[::2][inside],
                n.classes,
                n.size,
                n.mpp,
            )
        )

    doubled = found(paired)
    assert doubled["g_from_real_all"].ratio.low > 2
    assert doubled["nearest_from_real_all"].ratio.low > 3
    assert abs(doubled["density_from_requested"].value.value) < 500


def test_missing_sides_are_stated():
    random = np.random.default_rng(11)
    synthetic, real = (sample([tissue(random) for _ in range(12)], name) for name in ("s", "r"))
    section = conclude_layout(None, synthetic, real, CLASSES)
    assert not any("requested" in name for name in by_name(section))
    assert "half" in by_name(section)["g_from_real_all"].note
    section = conclude_layout(synthetic, synthetic, None, CLASSES)
    finding = by_name(section)["nearest_from_requested_all"]
    assert finding.real is None
    assert finding.ratio is None
    assert "no baseline" in finding.note
    assert {series.role for series in section.plots[0].series} == {"requested", "synthetic"}


def test_too_few_nuclei_are_reported_with_how_many_it_takes():
    synthetic = sample([[[60, 60], [70, 70]]] * 5)
    found = by_name(conclude_layout(synthetic, synthetic, None, CLASSES))
    assert not found["g_from_requested_all"].value.is_defined
    assert "50" in found["g_from_requested_all"].value.reason
    assert "at least 50" in found["composition_from_requested"].value.reason
    assert found["density_from_requested"].value.is_defined


def test_detectors_without_classes_are_measured_on_all_nuclei():
    random = np.random.default_rng(12)
    synthetic, real = (
        sample([nuclei(xy, [ANY] * len(xy)) for xy in (poisson(random) for _ in range(12))], name)
        for name in ("s", "r")
    )
    found = by_name(conclude_layout(None, synthetic, real, CLASSES))
    assert found["g_from_real_all"].value.is_defined
    assert not found["g_from_real_classes"].value.is_defined
    assert not found["composition_from_real"].value.is_defined
