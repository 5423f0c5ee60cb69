"""The section on copying: each finding, sentence, fact and plot, for scores that are given."""

import math

import numpy as np
import pytest

from histosynth.core.estimate import Estimate
from histosynth.metrics.copying import COPYING
from histosynth.metrics.copying.conclude import (
    AlikePair,
    conclude_copying,
    most_alike_pairs,
)
from histosynth.metrics.copying.register import texture
from histosynth.metrics.copying.suspects import bar_of
from histosynth.metrics.finding import Plot, Series
from histosynth.metrics.intervals import share_over, statistic_over
from histosynth.metrics.metric import Settings, Sides, TileInput, Tools
from histosynth.metrics.neighbours import copying_statistic
from histosynth.metrics.sample import Sample, TileMeasurements

ABOUT = (
    "Each synthetic tile is searched for in the training tissue: the largest correlation of a "
    "quarter of it with any place of any training tile, rotated, mirrored, shifted, in any stain. "
    "Real tissue of patients who are not in the training set shows how alike two tissues are by "
    "chance, and sets the bar. The most alike places are then turned by small angles, enlarged and "
    "sheared to fit, and compared beyond the places of nuclei: a tile that was given nuclei is "
    "alike to the tile they come from because of them, and is suspected only if more is alike. "
    "Distances in the encoder's features show whether the set as a whole is nearer to training "
    "than unseen tissue is."
)
NOTHING_STATED = (
    "No tile states the nuclei that it was given: tiles that were given the nuclei of training "
    "tiles are suspected for those; name their files with --conditions."
)
CROPS = np.array([[0.0], [1.0], [10.0], [14.0]])
OWNERS = ["a", "a", "b", "b"]


def side(name, scores, places=None, patients=None):
    """Tiles with given correlations and places on a line of features."""
    places = np.linspace(2, 8, len(scores)) if places is None else places
    tiles = []
    for i, (score, place) in enumerate(zip(scores, places, strict=True)):
        values = {
            "copy/match": np.array([score, 7, 3, 1.5, -2.0, 4]),
            "embed/features": np.array([place]),
        }
        patient = f"{name}p{i % (patients or len(scores))}"
        tiles.append(TileMeasurements(f"{name}{i}", patient, "", values))
    return Sample(tuple(tiles))


def numbers(count, seed, low=0.1, high=0.4):
    return np.random.default_rng(seed).uniform(low, high, count)


def by_name(section):
    return {finding.name: finding for finding in section.findings}


REAL = side("r", [*numbers(20, 0), math.nan], patients=7)
LEFT_OUT = side("l", numbers(17, 1))
SYNTHETIC = side("s", [0.3, 0.95, math.nan, 0.2, 0.9, 0.85, 0.99], [0.4, 6, 1, 12, 3, -3, 5.5])


@pytest.fixture(scope="module")
def sections():
    """The section of the three sides above without a seed, and with seed 4."""
    sides = (REAL, SYNTHETIC, LEFT_OUT, CROPS, OWNERS)
    return {None: conclude_copying(*sides), 4: conclude_copying(*sides, seed=4)}


def scores_of(sample):
    return sample.stack("copy/match")[:, 0]


@pytest.mark.parametrize("seed", [None, 4])
def test_the_shares_and_percentiles_of_correlations(sections, seed):
    section = sections[seed]
    usual = {"seed": seed or 0}
    assert (section.key, section.title, section.about) == ("copying", "Copying", ABOUT)
    assert [each.name for each in section.findings] == [
        "suspected_copies",
        "correlation_95th",
        "nearer_than_5th",
        "C_T",
        "AuthPct",
    ]
    bar = bar_of(scores_of(LEFT_OUT))
    assert 0.4 < bar < 0.85
    suspected, percentile = section.findings[:2]
    nan = math.nan
    hits = [0.0, 1.0, nan, 0.0, 1.0, 1.0, 1.0]
    assert suspected.value == share_over(hits, SYNTHETIC.patients, **usual)
    assert suspected.value.value == pytest.approx(4 / 6)
    assert suspected.real == share_over([*[0.0] * 20, nan], REAL.patients, **usual)
    assert suspected.better == "zero"
    assert suspected.note == f"share of tiles that correlate above {bar:.2f} with a training tile"

    def upper(values):
        return float(np.percentile(values, 95))

    for found, sample in ((percentile.value, SYNTHETIC), (percentile.real, REAL)):
        scores = scores_of(sample)
        kept = np.isfinite(scores)
        names = [sample.patients[i] for i in np.flatnonzero(kept)]
        assert found == statistic_over(upper, (scores[kept], names), **usual)
    assert percentile.value.value == pytest.approx(
        np.percentile([0.2, 0.3, 0.85, 0.9, 0.95, 0.99], 95)
    )
    assert percentile.better == "low"
    assert percentile.note == "95th percentile of the largest correlation"


@pytest.mark.parametrize("seed", [None, 4])
def test_nearness_in_features(sections, seed):
    findings = by_name(sections[seed])
    usual = {"seed": seed or 0}
    gaps = []
    for sample in (SYNTHETIC, REAL):
        places = sample.stack("embed/features")
        gaps.append((np.abs(places - CROPS.T).min(axis=1), sample.patients))

    def nearer(synthetic, real):
        return float((synthetic < np.percentile(real, 5)).mean())

    found = findings["nearer_than_5th"]
    assert found.value == statistic_over(nearer, *gaps, **usual)
    assert 0 < found.value.value < 1
    assert found.real == Estimate(0.05, 0.05, 0.05, 21, "by definition")
    assert found.better == "real"
    assert found.note == "share below the 5th percentile of real tissue"
    found = findings["C_T"]
    assert found.value == statistic_over(copying_statistic, *gaps, replicates=400, **usual)
    assert found.real == Estimate(0.0, 0.0, 0.0, 21, "by definition")
    assert found.better == "real"
    assert found.note == (
        "standard deviations under chance; below -3: nearer to training than unseen real tissue"
    )
    found = findings["AuthPct"]
    # crops 0 and 1 are 10 and 9 from the other patient's nearest, 10 and 14 are 9 and 13
    assert found.value == share_over([0.0] * 7, SYNTHETIC.patients, **usual)
    assert found.real is None
    assert found.better == "high"
    assert found.note == (
        "share farther from its nearest training crop than that is from other patients'"
    )


def test_a_tile_as_far_from_its_crop_as_that_is_from_other_patients_is_not_authentic():
    synthetic = side("s", [0.2] * 4, [-10.0, -10.5, 27.0, 27.5])
    found = by_name(conclude_copying(REAL, synthetic, LEFT_OUT, CROPS, OWNERS))["AuthPct"]
    # -10 is 10 from the crop at 0, which is 10 from the patient b; 27 is 13 from the crop at 14
    assert found.value == share_over([0.0, 1.0, 0.0, 1.0], synthetic.patients)


def test_facts_and_plots(sections):
    section = sections[None]
    bar = bar_of(scores_of(LEFT_OUT))
    assert section.facts == {"bar": round(bar, 4), "bar_from": 17, "suspected": 4}
    correlations, distances = section.plots
    real = scores_of(REAL)[:20].tolist()
    assert correlations == Plot(
        "Largest correlation with training tissue",
        "correlation",
        "",
        (
            Series("reference", "training patients, each left out", scores_of(LEFT_OUT).tolist()),
            Series("real", "held-out real", real),
            Series("synthetic", "synthetic", [0.3, 0.95, 0.2, 0.9, 0.85, 0.99]),
        ),
        "density",
        (bar, "bar"),
    )
    assert (distances.title, distances.x, distances.y) == (
        "Distance to the nearest training crop",
        "distance in features",
        "",
    )
    assert distances.form == "density"
    assert distances.mark is None
    assert [(each.role, each.name) for each in distances.series] == [
        ("real", "held-out real"),
        ("synthetic", "synthetic"),
    ]
    assert distances.series[1].x == pytest.approx([0.4, 4, 0, 2, 2, 3, 4.5])


def test_the_verdict_names_the_first_three_suspects(sections):
    section = sections[None]
    bar = bar_of(scores_of(LEFT_OUT))
    assert section.verdict == (
        "4 of 6 synthetic tiles are suspected copies of training tissue "
        f"(correlation above {bar:.2f}), first s6, s1, s4: compare the pairs below. "
        f"1 more could not be searched for. {NOTHING_STATED}"
    )
    two = side("s", [0.99, math.nan, -0.4, 0.9])
    assert conclude_copying(REAL, two, LEFT_OUT, CROPS, OWNERS).verdict == (
        "2 of 3 synthetic tiles are suspected copies of training tissue "
        f"(correlation above {bar:.2f}), first s0, s3: compare the pairs below. "
        f"1 more could not be searched for. {NOTHING_STATED}"
    )
    none = side("s", [0.2, math.nan, 0.25])
    assert conclude_copying(REAL, none, LEFT_OUT, CROPS, OWNERS).verdict == (
        "None of 2 synthetic tiles is a suspected copy: the largest correlation with training "
        f"tissue is 0.25, the bar {bar:.2f}. 1 more could not be searched for."
    )
    blank = side("s", [math.nan, math.nan])
    section = conclude_copying(REAL, blank, LEFT_OUT, CROPS, OWNERS)
    assert section.verdict == (
        "No verdict on copies: none of 2 synthetic tiles could be searched for, because they have "
        "no contrast or the training tiles are smaller than a quarter of them."
    )
    assert by_name(section)["correlation_95th"].value.reason == "there is no item"


def test_a_score_at_the_bar_is_not_suspected():
    bar = bar_of(scores_of(LEFT_OUT))
    section = conclude_copying(
        REAL, side("s", [bar, np.nextafter(bar, 1)]), LEFT_OUT, CROPS, OWNERS
    )
    assert section.facts["suspected"] == 1


@pytest.mark.parametrize(
    ("real", "left_out", "bar_from"), [(16, 16, 16), (17, 15, 17), (16, 0, 16)]
)
def test_the_bar_takes_16_tiles_with_contrast(real, left_out, bar_from):
    real_side = side("r", [*numbers(real, 3), math.nan])
    left_side = side("l", [*numbers(left_out, 4), math.nan] if left_out else [])
    section = conclude_copying(real_side, SYNTHETIC, left_side, CROPS, OWNERS)
    assert section.facts["bar_from"] == bar_from
    null = left_side if left_out == 16 else real_side
    assert section.facts["bar"] == round(bar_of(scores_of(null)), 4)
    assert len(section.plots[0].series) == (3 if left_out else 2)


def test_without_a_bar_nothing_is_suspected_and_the_reason_is_stated():
    real = side("r", [*numbers(15, 3), math.nan])
    section = conclude_copying(real, SYNTHETIC, side("l", numbers(15, 4)), CROPS, OWNERS)
    found = by_name(section)["suspected_copies"]
    assert found.value.reason == "the bar needs 16 real tiles with contrast"
    assert found.value.n == 15
    assert found.real is None
    assert found.better == "zero"
    assert section.facts == {}
    assert section.verdict == ""
    assert section.plots[0].mark is None
    assert by_name(section)["correlation_95th"].value.is_defined


@pytest.mark.parametrize(("count", "enough"), [(0, False), (15, False), (16, True)])
def test_nearness_takes_16_real_tiles(count, enough):
    section = conclude_copying(side("r", numbers(count, 3)), SYNTHETIC, LEFT_OUT, CROPS, OWNERS)
    for name in ("nearer_than_5th", "C_T", "AuthPct"):
        found = by_name(section)[name]
        assert found.value.is_defined is enough
        if not enough:
            reason = f"nearness needs 16 held-out real tiles; there are {count}"
            assert found.value.reason == reason
            assert found.value.n == count
            assert found.better == "real"


def test_the_bar_is_of_finite_scores_and_takes_16():
    scores = numbers(16, 5)
    assert bar_of(np.array([math.nan, *scores])) == bar_of(scores)
    assert math.isnan(bar_of(scores[:15]))
    scale = scores.std(ddof=1) * np.sqrt(6) / np.pi
    location = scores.mean() - np.euler_gamma * scale
    quantile = location - scale * np.log(-np.log1p(-0.001))
    assert bar_of(scores) == pytest.approx(quantile, rel=1e-9)


def test_the_most_alike_pairs_come_first_and_are_eight_unless_stated():
    sample = side("s", [0.2, math.nan, 0.9, 0.5, *np.linspace(0.21, 0.4, 8)])
    pairs = most_alike_pairs(sample)
    assert pairs[:2] == [
        AlikePair(2, 7, 0.9, 3, 1.5, -2.0),
        AlikePair(3, 7, 0.5, 3, 1.5, -2.0),
    ]
    assert [type(value) for value in (pairs[0].tile, pairs[0].pose)] == [int, int]
    assert len(pairs) == 8
    assert [pair.row for pair in most_alike_pairs(sample, 3)] == [2, 3, 11]
    assert most_alike_pairs(Sample(())) == []


@pytest.mark.parametrize(
    ("reference", "left_out"), [(None, Sample(())), (Sample(()), None), (None, None)]
)
def test_copying_needs_the_training_set_and_tiles_left_out(reference, left_out):
    with pytest.raises(ValueError) as error:
        COPYING.conclude(Sides(REAL, SYNTHETIC, reference, left_out), Settings())
    assert str(error.value) == (
        "copying needs the reference and the training tiles that were left out"
    )


def test_the_metric_takes_crops_and_patients_of_the_reference(sections):
    tiles = [
        TileMeasurements(f"t{i}", owner, "", {"embed/features": np.float32(crop)})
        for i, (crop, owner) in enumerate(zip(CROPS, OWNERS, strict=True))
    ]
    section = COPYING.conclude(
        Sides(REAL, SYNTHETIC, Sample(tuple(tiles)), LEFT_OUT), Settings(seed=4)
    )
    expected = sections[4]
    assert section.as_dict() == expected.as_dict()
    assert section.plots == expected.plots


def test_the_metric_measures_the_texture_of_a_tile_in_half_precision():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    found = COPYING.measure(TileInput(pixels, 0.5), Tools())
    assert list(found) == ["copy/texture", "copy/given"]
    assert found["copy/texture"].dtype == np.float16
    np.testing.assert_array_equal(found["copy/texture"], texture(pixels, 0.5).astype(np.float16))
