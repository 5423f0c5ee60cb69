"""Stain, and what all metrics of one number a tile share."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, stats

from histosynth.metrics.comparison import PatientSums, compare, mean_difference, wasserstein
from histosynth.metrics.dyes import blurred_light
from histosynth.metrics.marginals import Quantity, compare_marginals, grid_of
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.metrics.stain.conclude import STAIN_QUANTITIES, conclude_stain
from histosynth.metrics.stain.measure import measure_stain
from histosynth.tissue.density import from_density, optical_density

HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
EOSIN = np.array([0.30, 0.90, 0.32])


MPP = 0.5
PATCH = 32


def stained(
    dyes,
    doses=(1.2, 0.9),
    seed=0,
    side=192,
):
    """Patches of 16 um that hold much of one dye and little of the other, all above glass."""
    random = np.random.default_rng(seed)
    rows = np.arange(side // PATCH)
    much = np.kron((rows[:, None] + rows) % 2, np.ones((PATCH, PATCH))) > 0
    amounts = np.stack([np.where(much, 1, 0.02), np.where(much, 0.02, 1)], axis=-1)
    amounts *= np.kron(random.uniform(0.7, 1, (len(rows),) * 2), np.ones((PATCH, PATCH)))[..., None]
    amounts *= np.array(doses)
    ways = np.stack([way / np.linalg.norm(way) for way in dyes])
    return from_density((amounts @ ways).astype(np.float32)).round().astype(np.uint8)


def angles_of(way):
    way = way / np.linalg.norm(way)
    return np.degrees([np.arctan2(way[1], way[0]), np.arcsin(way[2])])


def test_both_dyes_are_found_where_they_were_put():
    dyes = HAEMATOXYLIN, EOSIN
    seen = measure_stain(stained(dyes), MPP)
    expected = np.concatenate([angles_of(dyes[0]), angles_of(dyes[1])])
    np.testing.assert_allclose(seen["stain/angles"][:4], expected, atol=2.0)
    ways = [dye / np.linalg.norm(dye) for dye in dyes]
    apart = np.degrees(np.arccos(ways[0] @ ways[1]))
    assert seen["stain/angles"][4] == pytest.approx(apart, abs=2.0)
    np.testing.assert_allclose(seen["stain/doses"], (1.2, 0.9), rtol=0.06)


def test_more_dye_changes_dose_and_density_and_not_the_colour():
    dyes = HAEMATOXYLIN, EOSIN
    pale, strong = (measure_stain(stained(dyes, (dose, dose)), MPP) for dose in (0.8, 1.2))
    np.testing.assert_allclose(
        strong["stain/od_mean"] / pale["stain/od_mean"],
        1.5,
        rtol=0.02,
    )
    np.testing.assert_allclose(
        strong["stain/doses"] / pale["stain/doses"],
        1.5,
        rtol=0.02,
    )
    np.testing.assert_allclose(
        strong["stain/angles"],
        pale["stain/angles"],
        atol=1.0,
    )


def test_density_is_of_tissue_alone(tile):
    seen = measure_stain(tile, MPP)
    density = optical_density(blurred_light(tile, MPP))
    tissue = (density > 0.15).all(axis=2)
    assert not tissue[:12, :12].any()
    np.testing.assert_allclose(
        seen["stain/od_mean"],
        density[tissue].mean(axis=0),
        rtol=1e-4,
    )
    assert seen["stain/tissue"][0] == pytest.approx(tissue.mean())


def as_jpeg(pixels):
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=40)
    return np.array(Image.open(packed))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pixels: ndimage.gaussian_filter(pixels, (1.2, 1.2, 0)),
        lambda pixels: (
            (pixels + np.random.default_rng(0).normal(0, 8, pixels.shape)).clip(0, 255).astype("u1")
        ),
        as_jpeg,
    ],
    ids=["blur", "noise", "JPEG"],
)
def test_sharpness_noise_and_packing_are_not_taken_for_stain(spoil, tile):
    """Patients differ by several degrees, a fifth of a dose and a sixth of a density."""
    before = measure_stain(tile, MPP)
    after = measure_stain(spoil(tile), MPP)
    np.testing.assert_allclose(
        after["stain/angles"],
        before["stain/angles"],
        atol=1.5,
    )
    for key in ("stain/doses", "stain/od_mean"):
        np.testing.assert_allclose(after[key], before[key], rtol=0.08)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_even_tiles_have_no_dyes_and_break_nothing(level):
    seen = measure_stain(np.full((64, 64, 3), level, np.uint8), MPP)
    assert np.isnan(seen["stain/angles"]).all()
    assert np.isfinite(seen["stain/od_mean"]).all() == (level < 255)
    assert seen["stain/tissue"][0] == (level < 255)


def sample(
    numbers,
    patients=10,
    key="x",
    prefix="p",
):
    tiles = [
        TileMeasurements(
            f"{prefix}{i}",
            f"{prefix}{i % patients}",
            "",
            {key: np.array([x])},
        )
        for i, x in enumerate(numbers)
    ]
    return Sample(tuple(tiles))


X = (Quantity("x", "X", "um", "x"),)


def test_wasserstein_distance_is_scipys():
    random = np.random.default_rng(0)
    first = random.normal(size=70)
    second = random.normal(0.4, 2, size=90)
    grid = grid_of(np.concatenate([first, second]))
    sides = [
        PatientSums.histograms(list(x), ["one"] * len(x), grid, [1.0] * len(x))
        for x in (first, second)
    ]
    value = compare(wasserstein(grid), (sides[0], sides[1])).value[0]
    assert value == pytest.approx(stats.wasserstein_distance(first, second), rel=1e-9)


def test_many_values_are_gathered_without_loss_that_matters():
    random = np.random.default_rng(0)
    first = random.standard_t(3, 5000)
    second = random.standard_t(3, 5000) + 0.2
    grid = grid_of(np.concatenate([first, second]))
    assert len(grid) < 1100
    sides = [
        PatientSums.histograms(list(x), ["one"] * len(x), grid, [1.0] * len(x))
        for x in (first, second)
    ]
    value = compare(wasserstein(grid), (sides[0], sides[1])).value[0]
    assert value == pytest.approx(stats.wasserstein_distance(first, second), rel=0.01)


def test_a_shift_has_an_interval_that_holds_it_and_a_baseline_without_it():
    random = np.random.default_rng(3)
    real = sample(random.normal(5, 1, 200), prefix="r")
    other = sample(random.normal(5, 1, 200), prefix="o")
    synthetic = sample(random.normal(7, 1, 200), prefix="s")
    (summary, apart, distance), plots = compare_marginals(X, real, synthetic, other, name="all")
    assert apart.value.low < 2 < apart.value.high
    assert apart.value.high - apart.value.low < 1
    assert apart.real.low < 0 < apart.real.high
    assert distance.value.low < 2 < distance.value.high
    assert distance.real.value < 0.3
    assert distance.ratio.value > 6
    assert summary.value.value == pytest.approx(
        distance.value.value / np.std([t.values["x"] for t in real.tiles])
    )
    assert summary.ratio.value == pytest.approx(distance.ratio.value)
    assert "other patients" in distance.note
    assert {series.role: len(series.x) for series in plots[0].series} == {
        "real": 200,
        "synthetic": 200,
    }


def test_without_a_reference_the_baseline_is_of_halves_and_is_noted():
    random = np.random.default_rng(0)
    real = sample(random.normal(size=80))
    synthetic = sample(random.normal(size=80))
    (_, _, distance), _ = compare_marginals(X, real, synthetic, None, name="all")
    assert distance.real.n == 40
    assert distance.real.groups == 5
    assert "half" in distance.note


def test_tiles_of_the_same_patients_are_pairs():
    level = np.repeat(np.random.default_rng(0).normal(0, 5, 20), 10)
    patients = [f"p{i // 10}" for i in range(200)]
    items = np.stack([level, np.ones(200)], axis=1)
    moved = items + np.array([0.1, 0])
    real = PatientSums.of(items, patients)
    synthetic = PatientSums.of(moved, patients)
    strangers = PatientSums.of(moved, [f"other {name}" for name in patients])
    pair = compare(mean_difference, (synthetic, real)).estimate(distance=False)
    assert pair.low == pytest.approx(0.1)
    assert pair.high == pytest.approx(0.1)
    apart = compare(mean_difference, (strangers, real)).estimate(distance=False)
    assert apart.high - apart.low > 2


def test_the_interval_of_a_distance_is_not_moved_by_drawing():
    random = np.random.default_rng(1)
    real = sample(random.normal(size=60), 60, prefix="r")
    synthetic = sample(random.normal(size=60), 60, prefix="s")
    (_, _, distance), _ = compare_marginals(X, real, synthetic, None, name="all")
    assert distance.value.low < distance.value.value < distance.value.high


def test_too_few_or_unmeasured_tiles_are_reported_with_what_it_takes():
    synthetic = sample([1.0, 2.0, 3.0])
    real = sample([np.nan] * 20)
    (summary, apart, distance), _ = compare_marginals(
        X,
        sample(np.arange(20.0)),
        synthetic,
        None,
        name="all",
    )
    assert apart.value.is_defined
    assert not distance.value.is_defined
    assert "at least 8" in distance.value.reason
    assert not summary.value.is_defined
    (_, apart, _), _ = compare_marginals(X, real, synthetic, None, name="all")
    assert not apart.value.is_defined
    assert "takes 1" in apart.value.reason


def test_the_section_reports_what_was_moved_and_nothing_else():
    def tiles(prefix, dose=1.0):
        dyes = HAEMATOXYLIN, EOSIN
        random = np.random.default_rng(len(prefix))
        seen = []
        for i in range(12):
            doses = random.uniform(0.9, 1.1, 2) * (dose, 1)
            seen.append(
                TileMeasurements(
                    f"{prefix}{i}",
                    f"{prefix}{i // 2}",
                    "",
                    measure_stain(stained(dyes, doses, i, 96), MPP),
                )
            )
        return Sample(tuple(seen))

    section = conclude_stain(tiles("r"), tiles("syn", 1.5), tiles("ot"))
    found = {finding.name: finding for finding in section.findings}
    assert len(found) == 1 + 2 * len(STAIN_QUANTITIES)
    assert found["stain_haematoxylin_dose_difference"].value.low > 0.3
    assert found["stain_haematoxylin_dose_W1"].ratio.value > 4
    assert abs(found["stain_eosin_dose_difference"].value.value) < 0.1
    assert abs(found["stain_angle_difference"].value.value) < 1
    same = conclude_stain(tiles("r"), tiles("r"), tiles("ot")).findings[0]
    assert same.value.value == 0
