"""Equal sets, repeated tiles, constant features: values are right, or undefined with a reason."""

import math

import numpy as np
import pytest
from degenerate import EQUAL, FAR, SIX, TILES, WIDTH, ends, ends_of, noisy, plain, sample

from histosynth.metrics.comparison import Comparison
from histosynth.metrics.distances import extrapolated_frechet, frechet_distance, kernel_distance
from histosynth.metrics.intervals import mean_over, ratio_over, share_over, statistic_over
from histosynth.metrics.neighbours import (
    authentic,
    copying_statistic,
    nearest_rows,
    prdc,
    rounding_distance,
)
from histosynth.metrics.realism.conclude import conclude_realism

pytestmark = pytest.mark.filterwarnings("error")


def four(real, synthetic):
    found = prdc(real, synthetic)
    return [float(part.mean()) for part in (found.precision, found.recall, found.coverage)]


# neighbours


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("real", "synthetic", "density"),
    [
        (TILES, TILES, 1.2),
        (FAR, FAR, 1.2),
        (SIX, SIX, 1.2),
        (SIX, noisy(SIX), 1.2),
        (SIX, TILES, 1.2),
        (TILES, SIX, 1.2),
        (SIX, np.random.default_rng(3).permutation(SIX), 1.2),
        (EQUAL, EQUAL, 24 / 5),
        (EQUAL, noisy(EQUAL), 24 / 5),
        (np.zeros((9, WIDTH)), np.zeros((9, WIDTH)), 9 / 5),
        (TILES[:6], TILES[:6], 1.2),
    ],
)
def test_precision_recall_and_coverage_of_a_set_against_itself_are_1(
    real, synthetic, density, dtype
):
    """Each tile lies in its own ball and in those of which it is one of 5 neighbours: 6 / 5."""
    real = real.astype(dtype)
    synthetic = synthetic.astype(dtype)
    assert four(real, synthetic) == [1.0, 1.0, 1.0]
    assert prdc(real, synthetic).density.mean() == pytest.approx(density)


def test_unrelated_tiles_lie_in_no_ball_of_repeated_tiles_and_these_are_counted():
    other = np.random.default_rng(5).normal(3, 1, (24, WIDTH))
    found = prdc(SIX, other)
    assert found.precision.sum() == found.density.sum() == found.coverage.sum() == 0
    assert found.empty_balls == (144, 0)
    assert prdc(other, SIX).empty_balls == (0, 144)
    assert prdc(TILES, other).empty_balls == (0, 0)
    assert four(EQUAL, EQUAL + 1) == [0.0, 0.0, 0.0]


def test_rounding_of_features_is_far_below_what_tissue_differs_by():
    distance = rounding_distance(TILES)
    assert distance == pytest.approx(16 * 2.0**-23 * np.sqrt((TILES**2).sum(axis=1).mean()))
    gaps, _ = nearest_rows(noisy(TILES), TILES)
    assert gaps.max() < distance < 1e-4 * nearest_rows(TILES, TILES, count=2)[0][:, 1].min()
    assert rounding_distance(np.zeros((3, 4))) == rounding_distance(np.zeros((0, 4))) == 0


def test_copies_are_not_authentic_and_as_near_as_what_they_copy():
    assert authentic(TILES, TILES).sum() == 0
    assert authentic(SIX, TILES).sum() == authentic(SIX, SIX).sum() == 0
    assert authentic(EQUAL, EQUAL).sum() == 0
    assert copying_statistic(np.zeros(5), np.zeros(9)) == 0
    assert copying_statistic(np.ones(5), np.ones(9)) == 0
    assert math.isnan(copying_statistic(np.zeros(0), np.ones(9)))
    assert math.isnan(copying_statistic(np.ones(9), np.zeros(0)))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: authentic(TILES[:1], TILES), "a training tile needs another one to be near to"),
        (
            lambda: nearest_rows(TILES, TILES[:0]),
            "there is no row among which neighbours could be",
        ),
        (
            lambda: prdc(TILES[:5], TILES),
            "balls to the 5th neighbour need more than 5 tiles a side",
        ),
    ],
)
def test_too_small_sets_are_refused(call, sentence):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == sentence


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "measure", [prdc, frechet_distance, kernel_distance, nearest_rows, authentic]
)
def test_features_that_are_no_numbers_are_refused(measure, broken):
    """Comparisons with nan are false: such a tile would count as far from real tissue."""
    rows = TILES.copy()
    rows[3, 4] = broken
    for first, second in ((rows, TILES), (TILES, rows)):
        with pytest.raises(ValueError, match=r"^features must be finite numbers$"):
            measure(first, second)


# distances


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (TILES, TILES),
        (TILES[:10], TILES[:10]),
        (SIX, SIX),
        (SIX, noisy(SIX)),
        (SIX[:30], SIX[:30][::-1]),
        (FAR, FAR),
        (EQUAL, EQUAL),
        (EQUAL, noisy(EQUAL)),
        (EQUAL[:5], EQUAL),
    ],
)
def test_the_frechet_distance_of_equal_sets_is_exactly_0(first, second, dtype):
    found = frechet_distance(first.astype(dtype), second.astype(dtype))
    assert found == 0
    assert math.copysign(1, found) == 1


def test_a_small_frechet_distance_is_not_rounded_away():
    assert frechet_distance(TILES, TILES + 1e-4) == pytest.approx(WIDTH * 1e-8, rel=1e-3)
    assert frechet_distance(EQUAL, EQUAL + 1e-4) == pytest.approx(WIDTH * 1e-8)


def test_with_one_constant_side_the_frechet_distance_is_the_other_sides_variance():
    expected = TILES.var(axis=0, ddof=1).sum() + ((TILES.mean(axis=0) - 0.1) ** 2).sum()
    assert frechet_distance(EQUAL, TILES) == pytest.approx(expected)
    assert frechet_distance(TILES, EQUAL) == pytest.approx(expected)
    assert frechet_distance(EQUAL[:3], TILES) == pytest.approx(expected)


def test_the_kernel_distance_of_equal_sets_follows_from_its_definition():
    kernel = (TILES @ TILES.T / WIDTH + 1) ** 3
    n = len(TILES)
    own = np.trace(kernel)
    across = kernel.sum() / n**2
    assert kernel_distance(TILES, TILES) == pytest.approx(
        2 * (kernel.sum() - own) / (n * (n - 1)) - 2 * across
    )
    assert kernel_distance(EQUAL, EQUAL) == pytest.approx(0, abs=1e-12)
    assert kernel_distance(EQUAL, EQUAL[:2]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("measure", [frechet_distance, kernel_distance])
def test_a_distance_needs_two_vectors_a_side(measure):
    for first, second in ((TILES[:1], TILES), (TILES, TILES[:1]), (TILES[:1], TILES[:1])):
        assert math.isnan(measure(first, second))
    assert math.isfinite(measure(TILES[:2], TILES[:2]))


def test_an_extrapolation_of_a_constant_distance_is_that_distance():
    found = extrapolated_frechet(EQUAL, EQUAL + 1, sizes=[4, 8, 24], replicates=2)
    assert found == pytest.approx(WIDTH)


# intervals


PATIENTS = [f"p{i // 2}" for i in range(24)]
ALIKE = "bootstrap over 12 patients (no replicate differs)"


@pytest.mark.parametrize(
    ("found", "expected", "interval"),
    [
        (mean_over(np.full(24, 0.3), PATIENTS), (0.3, 0.3, 0.3), ALIKE),
        (mean_over(np.zeros(24), PATIENTS), (0, 0, 0), ALIKE),
        (ratio_over(np.arange(24) * 2.0, np.arange(24), PATIENTS), (2, 2, 2), ALIKE),
        (statistic_over(np.median, (np.ones(24), PATIENTS)), (1, 1, 1), ALIKE),
        (statistic_over(np.median, (np.ones(24), PATIENTS), recentre=True), (1, 1, 1), ALIKE),
        # Clopper & Pearson: 1 - 0.025^(1 / 12)
        (share_over(np.zeros(24), PATIENTS), (0, 0, 0.26464846), "exact, over 12 patients"),
        (share_over(np.ones(24), PATIENTS), (1, 0.73535154, 1), "exact, over 12 patients"),
    ],
)
def test_the_interval_of_a_constant_is_the_constant_and_of_a_share_the_exact_one(
    found, expected, interval
):
    assert ends(found) == pytest.approx(expected)
    assert found.interval == interval
    assert found.reason == ""


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (mean_over([], []), "no item could be measured"),
        (mean_over([math.nan] * 3, list("abc")), "no item could be measured"),
        (share_over([], []), "no item could be measured"),
        (ratio_over([1.0, 1.0], [0.0, 0.0], list("ab")), "there is nothing to divide by"),
        (statistic_over(np.mean, (np.zeros(0), [])), "there is no item"),
        (
            statistic_over(lambda _: math.nan, (np.ones(4), list("aabb")), recentre=True),
            "it is not defined for this sample",
        ),
    ],
)
def test_what_cannot_be_estimated_states_why(found, reason):
    assert not found.is_defined
    assert found.reason == reason


def test_one_patient_has_no_interval():
    for found in (mean_over(np.ones(4), list("aaaa")), share_over(np.ones(4), list("aaaa"))):
        assert found.value == 1
        assert math.isnan(found.low) and math.isnan(found.high)
        assert found.reason == "an interval needs tiles of at least 2 patients; there is 1"


def test_a_distance_that_is_0_in_every_replicate_has_the_ratio_0():
    found = Comparison(np.zeros(5), np.array([2.0, 1, 2, 3, 2]), 9, 12, 9, 12)
    assert ends(found.estimate()) == ends(found.ratio()) == (0, 0, 0)
    assert found.estimate().interval == ALIKE
    equal = Comparison(np.zeros(5), np.zeros(5), 9, 12, 9, 12)
    assert equal.ratio().reason == "the baseline is 0: real tissue does not differ in it"


@pytest.mark.parametrize(
    ("real", "synthetic", "per_patient", "repeated"),
    [
        (TILES, TILES, 2, None),
        (SIX[:30], SIX[:30], 6, "30 real and 30 synthetic"),
        (SIX[:30], noisy(SIX[:30]), 6, "30 real and 30 synthetic"),
        (EQUAL, EQUAL, 2, "24 real and 24 synthetic"),
        (TILES, TILES, 24, None),
        (EQUAL, EQUAL, 24, "24 real and 24 synthetic"),
    ],
)
@pytest.mark.parametrize("reference", [None, EQUAL])
def test_realism_of_a_set_against_itself(real, synthetic, per_patient, repeated, reference):
    section = conclude_realism(
        sample("p", real, per_patient),
        sample("p", synthetic, per_patient),
        None if reference is None else sample("o", reference),
        encoder="e",
    )
    found = plain(section)
    assert ends_of(found["FD_e"]["value"])[0] == 0
    for name in ("precision_e", "recall_e", "coverage_e"):
        assert found[name]["value"]["value"] == 1
        note = "balls to neighbour 5, taken as given; moved by n: compare where n is alike"
        if repeated:
            note += (
                f"; {repeated} tiles are there more than 5 times, so that only copies lie in their "
                "balls"
            )
        assert found[name]["note"] == note
    if reference is EQUAL and real is EQUAL:
        assert found["FD_e"]["ratio"]["reason"] in (
            "the baseline is not above 0, so there is no ratio to it; compare the two numbers",
            "the baseline needs at least 8 real tiles of 2 other patients",
        )
