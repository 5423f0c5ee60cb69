"""Realism: ratios to the baseline, and refusals of what a sample cannot support."""

import math

import numpy as np
import pytest

from histosynth.metrics.realism.baseline import recentred
from histosynth.metrics.realism.conclude import conclude_realism
from histosynth.metrics.realism.distance import frechet_finding, kernel_finding
from histosynth.metrics.realism.feature_sides import feature_sides
from histosynth.metrics.sample import Sample, TileMeasurements

WIDTH = 12


def sample(
    patients,
    per,
    *,
    shift=0.0,
    spread=1.0,
    seed=0,
    label="",
    prefix="p",
):
    """Tiles whose features vary from patient to patient, and a little within one."""
    random = np.random.default_rng(seed)
    tiles = []
    for patient in range(patients):
        own = random.normal(0, 1, WIDTH) * spread
        for tile in range(per):
            features = own + random.normal(0, 0.3, WIDTH) + shift
            values = {
                "embed/features": features.astype(np.float32),
                "embed/spatial": features[:4].astype(np.float32),
            }
            tiles.append(
                TileMeasurements(
                    f"{prefix}{patient}-{tile}",
                    f"{prefix}{patient}",
                    label,
                    values,
                )
            )
    return Sample(tuple(tiles))


def found(section, name, label=""):
    (one,) = [each for each in section.findings if each.name == name and each.label == label]
    return one


def test_tissue_like_other_patients_scores_about_the_baseline_and_worse_tissue_above():
    real = sample(20, 4, seed=1)
    other = sample(60, 4, seed=2, prefix="t")
    like = conclude_realism(
        real,
        sample(20, 4, seed=3, prefix="m"),
        other,
        encoder="x",
    )
    worse = conclude_realism(
        real,
        sample(
            20,
            4,
            shift=1.5,
            seed=3,
            prefix="m",
        ),
        other,
        encoder="x",
    )
    for name in ("FD_x", "spatial_FD_x"):
        one = found(like, name)
        two = found(worse, name)
        assert one.ratio.low <= 1 <= one.ratio.high
        assert two.ratio.low > 1.5
        assert one.real.is_defined
        assert one.real.groups == 60
    assert found(worse, "KID_x").value.low > 0
    assert found(like, "FD_infinity_x").value.value < found(like, "FD_x").value.value
    assert found(worse, "precision_x").value.value < found(like, "precision_x").value.value


def test_a_small_set_is_printed_with_its_warning_and_a_tiny_one_not_at_all():
    real = sample(10, 4, seed=1)
    other = sample(30, 4, seed=2, prefix="t")
    section = conclude_realism(
        real,
        sample(10, 4, seed=3),
        other,
        encoder="x",
    )
    assert "below 2,048" in found(section, "FD_x").note
    assert "64" in found(section, "FD_infinity_x").value.reason
    tiny = conclude_realism(
        sample(3, 1),
        sample(3, 1),
        other,
        encoder="x",
    )
    assert all(
        not each.value.is_defined and "16" in each.value.reason
        for each in tiny.findings
        if "spatial" not in each.name
    )


def test_without_a_reference_the_baseline_lies_between_halves_of_the_real_patients():
    real = sample(24, 4, seed=1)
    section = conclude_realism(
        real,
        sample(24, 4, seed=3, prefix="m"),
        None,
        encoder="x",
    )
    assert "halves" in section.facts["baseline"]
    assert 0.5 < found(section, "FD_x").ratio.value < 2


def test_every_label_has_its_own_distance():
    def two(seed, prefix, shift=0.0):
        one = sample(
            8,
            4,
            seed=seed,
            label="viable",
            prefix=prefix,
        )
        other = sample(
            8,
            4,
            seed=seed + 50,
            label="necrotic",
            prefix=f"{prefix}n",
            shift=shift,
        )
        return Sample(one.tiles + other.tiles)

    section = conclude_realism(
        two(1, "r"),
        two(2, "m", shift=2.0),
        two(3, "t"),
        encoder="x",
    )
    good, bad = (found(section, "FD_x", label).ratio.value for label in ("viable", "necrotic"))
    assert bad > 2 * good


def test_synthetic_tiles_of_real_patients_are_resampled_with_them():
    real = sample(12, 4, seed=1)
    synthetic = Sample(
        tuple(
            TileMeasurements(
                f"{tile.name}m",
                tile.patient,
                "",
                {k: v + np.float32(0.01) for k, v in tile.values.items()},
            )
            for tile in real.tiles
        )
    )
    together = conclude_realism(
        real,
        synthetic,
        sample(30, 4, seed=2, prefix="t"),
        encoder="x",
    )
    assert together.facts["resampled_jointly"]
    assert found(together, "FD_x").ratio.high < 0.1


def test_a_metric_reports_the_same_twice():
    real = sample(10, 4, seed=1)
    other = sample(30, 4, seed=2, prefix="t")
    synthetic = sample(10, 4, seed=3)
    one, two = (conclude_realism(real, synthetic, other, encoder="x").as_dict() for _ in range(2))
    assert one == two


def test_all_numbers_are_finite_or_undefined():
    section = conclude_realism(
        sample(10, 4, seed=1),
        sample(10, 4, seed=3),
        None,
        encoder="x",
    ).as_dict()

    def walk(value):
        if isinstance(value, dict):
            return [leaf for each in value.values() for leaf in walk(each)]
        if isinstance(value, list):
            return [leaf for each in value for leaf in walk(each)]
        return [value]

    assert all(math.isfinite(leaf) for leaf in walk(section) if isinstance(leaf, float))


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_features_are_no_disaster(value):
    tiles = tuple(
        TileMeasurements(
            f"{i}",
            f"p{i % 5}",
            "",
            {"embed/features": np.full(6, value)},
        )
        for i in range(20)
    )
    section = conclude_realism(
        Sample(tiles),
        Sample(tiles),
        None,
        encoder="x",
    )
    assert found(section, "FD_x").value.value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("synthetic", "other"),
    [((10, 12), (60, 4)), ((20, 4), (80, 1)), ((20, 4), (20, 2)), ((20, 4), None)],
)
def test_tissue_of_one_law_scores_1_whatever_the_numbers_of_patients_and_tiles(synthetic, other):
    ratios = []
    missed = 0
    for seed in range(6):
        reference = sample(*other, seed=3 * seed + 2, prefix="t") if other else None
        sides = feature_sides(
            sample(20, 4, seed=3 * seed),
            sample(*synthetic, seed=3 * seed + 1, prefix="m"),
            reference,
            "embed/features",
        )
        ratio = frechet_finding(sides, "FD").ratio
        ratios.append(ratio.value)
        missed += not ratio.low <= 1 <= ratio.high
    assert 0.85 < np.median(ratios) < 1.2
    assert missed <= 1


def moved_copies(real, amount=0.01):
    """Synthetic tiles of the same patients, their features moved a little."""
    tiles = []
    for tile in real.tiles:
        values = {name: value + np.float32(amount) for name, value in tile.values.items()}
        tiles.append(TileMeasurements(f"{tile.name}m", tile.patient, "", values))
    return Sample(tuple(tiles))


def test_paired_patients_are_resampled_jointly_in_the_kernel_distance():
    real = sample(10, 3, seed=1)
    paired = moved_copies(real)
    other_names = Sample(
        tuple(
            TileMeasurements(tile.name, f"other {tile.patient}", "", tile.values)
            for tile in paired.tiles
        )
    )
    widths = []
    for synthetic in (paired, other_names):
        sides = feature_sides(real, synthetic, None, "embed/features")
        finding = kernel_finding(sides, "KID")
        assert finding.value.is_defined
        widths.append(finding.value.high - finding.value.low)
    assert widths[0] < 0.2 * widths[1]


def test_paired_patients_are_resampled_jointly_in_the_frechet_distance():
    real = sample(6, 3, seed=1)
    sides = feature_sides(real, moved_copies(real), None, "embed/features")
    assert sides.paired
    for real_rows, synthetic_rows in sides.replicates(20, seed=0):
        assert np.array_equal(real_rows, synthetic_rows)
    strangers = feature_sides(real, sample(6, 3, seed=2, prefix="s"), None, "embed/features")
    assert not strangers.paired
    same = [np.array_equal(*rows) for rows in strangers.replicates(20, seed=0)]
    assert not all(same)


def test_the_baseline_has_as_many_patients_and_tiles_as_the_synthetic_side():
    real = sample(8, 4, seed=1)
    synthetic = sample(5, 3, seed=2, prefix="s")
    other = sample(20, 6, seed=3, prefix="t")
    sides = feature_sides(real, synthetic, other, "embed/features")
    assert sides.shape == (5, 3)
    for trial in sides.trials(10, with_replacement=False, seed=0):
        assert len(trial.synthetic) == len(trial.baseline) == 15
        assert len(trial.real) == len(real)
    halves = feature_sides(real, synthetic, None, "embed/features")
    assert halves.shape == (4, 3)
    for trial in halves.trials(10, with_replacement=False, seed=0):
        assert len(trial.synthetic) == len(trial.baseline) == 12
        assert len(trial.real) == len(real) // 2


def test_replicates_are_centred_on_their_value_by_a_factor_or_a_sum():
    moved = recentred(2.0, np.array([1.0, 4.0, np.nan]))
    assert moved == pytest.approx([1.0, 4.0])
    moved = recentred(8.0, np.array([1.0, 4.0]))
    assert moved == pytest.approx([4.0, 16.0])
    moved = recentred(1.0, np.array([-1.0, 5.0]))
    assert moved == pytest.approx([-2.0, 4.0])
