"""Realism's distances: intervals, baselines and sentences of findings."""

import math
import re

import numpy as np
import pytest
from realism_sides import (
    normal_sides,
    owners,
    percentiles_about,
)

from histosynth.core.estimate import Estimate
from histosynth.metrics.distances import (
    KernelSums,
    extrapolated_frechet,
    frechet_distance,
    kernel_distance,
)
from histosynth.metrics.intervals import bootstrap_counts
from histosynth.metrics.realism import distance as distance_module
from histosynth.metrics.realism.baseline import compare_with_baseline
from histosynth.metrics.realism.distance import all_distances, frechet_finding, kernel_finding
from histosynth.metrics.realism.feature_sides import FeatureSides

WARNING = "n = 18 is below 2,048: its bias is large, read the ratio and not the distance"


def test_a_frechet_finding_has_its_interval_baseline_and_warning():
    sides = normal_sides(synthetic=(3,) * 7)
    found = frechet_finding(sides, "FD", label="viable", seed=2)
    value = frechet_distance(sides.synthetic, sides.real)
    replicates = [
        frechet_distance(sides.synthetic[synthetic], sides.real[real])
        for real, synthetic in sides.replicates(300, 2)
    ]
    assert found.value.value == pytest.approx(value)
    ends = percentiles_about(value, np.array(replicates))
    assert (found.value.low, found.value.high) == pytest.approx(tuple(ends))
    assert (found.value.n, found.value.groups) == (21, 7)
    (compared,) = compare_with_baseline(
        sides,
        lambda first, second: np.array([frechet_distance(first, second)]),
        replicates=300,
        seed=2,
    )
    assert (found.real, found.ratio) == (compared.baseline, compared.ratio)
    assert (found.name, found.better, found.label) == ("FD", "low", "viable")
    assert found.note == WARNING + "; ratio and baseline of 7 patients with 3 tiles each"
    cheap = normal_sides(other=(4,))
    default = frechet_finding(cheap, "FD")
    assert default.label == ""
    assert default.value == frechet_finding(cheap, "FD", seed=0).value
    assert default.value != frechet_finding(cheap, "FD", seed=1).value


def test_without_a_baseline_the_warning_stands_alone():
    found = frechet_finding(normal_sides(other=(4,)), "FD")
    assert found.note == WARNING
    assert found.real.reason == "the baseline needs at least 8 real tiles of 2 other patients"


def test_a_kernel_finding_has_its_interval_and_baseline():
    sides = normal_sides(synthetic=(3,) * 7)
    found = kernel_finding(sides, "KID", label="viable", seed=2)
    value = kernel_distance(sides.synthetic, sides.real)
    assert found.value.value == pytest.approx(value)
    assert found.value.low < value < found.value.high
    assert (found.value.n, found.value.groups) == (21, 7)
    (compared,) = compare_with_baseline(
        sides,
        lambda first, second: np.array([kernel_distance(first, second)]),
        replicates=300,
        seed=2,
    )
    assert (found.real, found.ratio) == (compared.baseline, compared.ratio)
    assert (found.name, found.better, found.label) == ("KID", "low", "viable")
    assert found.note == (
        "unbiased, of all pairs of tiles; ratio and baseline of 7 patients with 3 tiles each; an "
        "interval that reaches below 0 includes 0: no difference beyond chance is shown"
    )
    cheap = normal_sides(other=(4,))
    default = kernel_finding(cheap, "KID")
    assert default.label == ""
    assert default.value == kernel_finding(cheap, "KID", seed=0).value
    assert default.value != kernel_finding(cheap, "KID", seed=1).value


def test_kernel_replicates_draw_each_side_by_itself_unless_they_are_paired():
    base = normal_sides(real=(3,) * 6, synthetic=(3,) * 6, other=(1,))
    groups = np.repeat(np.arange(6), 3)
    counts = bootstrap_counts(6, 1000, 4)
    own_counts = bootstrap_counts(6, 1000, 5)
    moved = base.real + 0.1
    names = base.real_patients
    cases = [
        # synthetic tiles, their patients, their numbers, how often each is drawn, paired
        (base.synthetic, base.synthetic_patients, groups, own_counts, False),
        (moved, names, groups, counts, True),
        (moved[::-1], names[::-1], groups[::-1], counts, True),
        (moved[:-1], names[:-1], groups[:-1], counts, True),
    ]
    for features, patients, numbers, times, paired in cases:
        sides = FeatureSides(base.real, features, base.other, names, patients, ["o0"])
        assert sides.paired == paired
        sums = KernelSums.of(base.real, groups, features, numbers)
        replicates = sums.distances(counts, times, paired=paired)
        found = kernel_finding(sides, "KID", seed=4).value
        ends = np.percentile(replicates[np.isfinite(replicates)], [2.5, 97.5])
        assert (found.low, found.high) == pytest.approx(tuple(ends))
        assert found.interval == "bootstrap over 6 patients (few, so too narrow)"


def test_replicates_without_a_pair_are_left_out_and_warn_of_nothing():
    sides = normal_sides(real=(16, 1, 1), synthetic=(16, 1, 1), other=(4,))
    found = kernel_finding(sides, "KID").value
    assert found.low <= found.value <= found.high
    assert re.fullmatch(
        r"bootstrap over 3 patients \(\d+ undefined replicates left out; few, so too narrow\)",
        found.interval,
    )


def test_costly_distances_have_fewer_replicates(monkeypatch):
    """Replicates are counted by a cheap distance in the place of the costly one."""
    calls = []

    def cheap(first, second):
        calls.append(1)
        return 1.0 + abs(float(first[0, 0] - second[0, 0]))

    monkeypatch.setattr(distance_module, "frechet_distance", cheap)
    monkeypatch.setattr(distance_module, "kernel_distance", cheap)
    for finding, count, width, replicates in (
        (frechet_finding, 500, 4, 300),
        (frechet_finding, 400, 500, 62),  # 4e9 / 400^3
        (frechet_finding, 500, 400, 62),
        (frechet_finding, 600, 600, 20),
        (kernel_finding, 500, 4, 300),
        (kernel_finding, 5000, 20, 80),  # 4e10 / (5000^2 * 20)
        (kernel_finding, 5000, 90, 20),
    ):
        calls.clear()
        tiles = (count // 10,) * 10
        features = np.zeros((count, width))
        features[:, 0] = np.arange(count)
        sides = FeatureSides(
            features, features, features, owners(tiles, "r"), owners(tiles, "s"), owners(tiles, "o")
        )
        if finding is kernel_finding:
            monkeypatch.setattr(distance_module, "_kernel_replicates", lambda *_: np.ones(3))
        finding(sides, "D")
        of_the_value = replicates if finding is frechet_finding else 0
        assert len(calls) == 1 + of_the_value + 2 * (16 + replicates)


@pytest.mark.parametrize(("tiles", "listed"), [(63, True), (64, True), (2047, True), (2048, False)])
def test_the_extrapolation_is_reported_below_2048_tiles(monkeypatch, tiles, listed):
    monkeypatch.setattr(distance_module, "frechet_distance", lambda first, second: 1.0)
    monkeypatch.setattr(distance_module, "extrapolated_frechet", lambda *_, **__: 2.0)
    monkeypatch.setattr(distance_module, "_kernel_replicates", lambda *_: np.ones(3))
    monkeypatch.setattr(distance_module, "kernel_distance", lambda first, second: 3.0)
    sides = normal_sides(real=(1100, 1100), synthetic=(tiles - 30, 30), other=(4, 4), width=1)
    found = {each.name: each for each in all_distances(sides, "x", seed=0)}
    assert list(found) == ["FD_x", "KID_x", *["FD_infinity_x"] * listed]
    warned = f"n = {tiles} is below 2,048: its bias is large, read the ratio and not the distance"
    assert found["FD_x"].note.startswith(warned) == listed
    if listed:
        assert found["FD_infinity_x"].value.is_defined == (tiles >= 64)
    if tiles == 2047:
        assert found["FD_infinity_x"].note == (
            "a line through FD over 1/n, read at 0; few tiles make it coarse; "
            "ratio and baseline of 2 patients with 4 tiles each"
        )


def test_the_extrapolation_is_of_eight_sizes_from_a_quarter_on():
    sides = normal_sides(real=(11,) * 6, synthetic=(11,) * 6, other=(4,), width=2)
    (found,) = (each for each in all_distances(sides, "x", seed=3) if "infinity" in each.name)
    sizes = [16, 23, 30, 37, 44, 51, 58, 66]
    expected = extrapolated_frechet(sides.synthetic, sides.real, sizes=sizes, replicates=4, seed=3)
    assert found.value.value == pytest.approx(expected)
    assert (found.better, found.label, found.value.n) == ("low", "", 66)
    assert found.note == (
        "a line through FD over 1/n, read at 0; few tiles make it coarse; a number below 0 is "
        "chance: tiles as alike as two samples of one tissue come out on either side of 0; read "
        "it as 0"
    )
    replicates = [
        extrapolated_frechet(
            sides.synthetic[synthetic], sides.real[real], sizes=sizes, replicates=4, seed=3
        )
        for real, synthetic in sides.replicates(40, 3)
    ]
    ends = percentiles_about(expected, np.array(replicates))
    assert (found.value.low, found.value.high) == pytest.approx(tuple(ends))


def test_a_line_takes_three_sizes_of_four_tiles_or_more():
    sides = normal_sides(real=(62, 2, 1), synthetic=(62, 2, 1), other=(4,), width=2)
    sides = FeatureSides(
        sides.real,
        sides.synthetic,
        sides.other,
        sides.real_patients,
        sides.real_patients,
        sides.other_patients,
    )
    found = distance_module._infinity_finding(sides, "FD", seed=0)
    replicates = []
    for real, synthetic in sides.replicates(40, 0):
        n = len(real)
        assert n == len(synthetic)
        if n < 6:
            continue
        sizes = sorted({int(size) for size in np.linspace(max(n // 4, 4), n, 8)})
        replicates.append(
            extrapolated_frechet(
                sides.synthetic[synthetic], sides.real[real], sizes=sizes, replicates=4, seed=0
            )
        )
    assert len(replicates) < 40
    ends = percentiles_about(found.value.value, np.array(replicates))
    assert (found.value.low, found.value.high) == pytest.approx(tuple(ends))


@pytest.mark.parametrize(
    ("value", "ratio", "part"),
    [
        ((0.2, 0.1, 0.3), (1.2, 0.8, 1.6), ""),
        ((-0.01, -0.02, 0.1), (-0.2, -0.5, 1.0), "a number below 0 is chance"),
        ((0.2, 0.1, 0.3), (0.1, -0.2, 0.5), "an interval that reaches below 0 includes 0"),
        ((math.nan, math.nan, math.nan), (math.nan,) * 3, ""),
    ],
)
def test_distances_below_0_are_explained(value, ratio, part):
    real = Estimate(0.1, 0.05, 0.2, 9, "bootstrap")
    text = distance_module._why_below_zero(
        Estimate(*value, 9, "bootstrap"), real, Estimate(*ratio, 9, "bootstrap")
    )
    assert text.startswith(part) and bool(text) == bool(part)
