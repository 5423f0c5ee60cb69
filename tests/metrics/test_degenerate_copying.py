"""The search for copies where nothing can be found, or everything is alike."""

import math

import numpy as np
import pytest
from degenerate import REFERENCE, TILES, by_name, flat, noisy, plain, sample

from histosynth.metrics.copying.conclude import conclude_copying
from histosynth.metrics.copying.register import Library, texture
from histosynth.metrics.copying.search import find_matches
from histosynth.metrics.copying.suspects import bar_of
from histosynth.metrics.sample import Sample, TileMeasurements

pytestmark = pytest.mark.filterwarnings("error")


def searched(name, scores, features, patients=None):
    matches = [np.array([score, 0, 0, 0, 0, 0]) for score in scores]
    return sample(name, features, patients or 1, **{"copy/match": matches})


def copying(synthetic, left_out, *, real=None, crops=REFERENCE, owners=None):
    real = numbers(24) if real is None else real
    return conclude_copying(
        searched("r", real, TILES[: len(real)]),
        searched("s", synthetic, TILES[: len(synthetic)] + 0.3),
        searched("l", left_out, REFERENCE[: len(left_out)]),
        crops,
        owners or [f"o{i}" for i in range(len(crops))],
    )


def numbers(count):
    return np.random.default_rng(2).uniform(0.1, 0.4, count)


def test_training_tissue_under_two_names_gives_no_verdict_on_copies():
    """Each training tile is found in another patient's: with a bar of 1 there are no copies."""
    section = copying([1.0] * 6, [1.0] * 20)
    reason = (
        "20 of the 20 real tiles that set the bar are in the training tissue of other patients too "
        "(correlation above 0.999), so that a copy would not stand out; give each tile once, and "
        "each patient one name"
    )
    assert bar_of(np.ones(20)) == 1
    assert plain(section)["suspected_copies"]["value"]["reason"] == reason
    assert section.verdict == f"No verdict on copies: {reason}."
    assert section.facts == {}
    assert section.plots[0].mark is None


def test_a_bar_above_1_gives_no_verdict_on_copies():
    # deviation 0.4104, scale 0.3200, location 0.3153, and 6.907 scales above it
    section = copying([1.0] * 6, [0.1, 0.9] * 10)
    assert section.verdict == (
        "No verdict on copies: the correlations of the 20 real tiles that set the bar differ so "
        "much that it would be 2.53, which no copy exceeds; give more training tiles of other "
        "patients."
    )
    assert not by_name(section)["suspected_copies"].value.is_defined


def test_equal_scores_below_1_still_show_a_copy():
    section = copying([0.5, 1.0, 0.5], [0.5] * 20)
    assert section.verdict.startswith("1 of 3 synthetic tiles is a suspected copy")


@pytest.mark.parametrize("score", [math.nan, -1.0])
def test_where_nothing_was_searched_no_copies_are_denied(score):
    section = copying([score] * 4, numbers(20))
    assert section.verdict == (
        "No verdict on copies: none of 4 synthetic tiles could be searched for, because they have "
        "no contrast or the training tiles are smaller than a quarter of them."
    )
    assert plain(section)["suspected_copies"]["value"]["reason"] == "no item could be measured"
    some = copying([score, 0.2], numbers(20))
    assert some.verdict.startswith("None of 1 synthetic tiles is a suspected copy")
    assert some.verdict.endswith(" 1 more could not be searched for.")


@pytest.mark.parametrize(
    ("owners", "crops"),
    [
        (["one"] * 40, REFERENCE),
        (None, np.concatenate([REFERENCE, REFERENCE])),
        (None, np.concatenate([REFERENCE, noisy(REFERENCE)])),
    ],
)
def test_authenticity_needs_other_training_tissue(owners, crops):
    """With one patient no radius is finite: a share of 0 would call every tile a copy. With
    repeated crops each is 0, and a share of 1 would call every tile new."""
    found = plain(copying(numbers(6), numbers(20), crops=crops, owners=owners))["AuthPct"]["value"]
    assert found["value"] is None
    assert found["reason"] == (
        "the nearest training crops have no crop of another patient, or are the same as one, so "
        "that they do not show how far unseen tissue is"
    )


def test_copies_of_repeated_training_tissue_are_not_authentic():
    crops = np.concatenate([TILES + 0.3, TILES + 0.3])
    found = plain(copying(numbers(6), numbers(20), crops=crops))["AuthPct"]["value"]
    assert found["value"] == 0


@pytest.mark.parametrize("crops", [TILES, noisy(TILES)])
def test_held_out_tiles_that_are_training_tiles_show_no_nearness(crops):
    found = plain(copying(numbers(6), numbers(20), crops=crops))
    for name in ("nearer_than_5th", "C_T"):
        assert found[name]["value"]["reason"] == (
            "24 of 24 held-out real tiles have the features of a training crop, so that they do "
            "not show how far unseen tissue is; leave them out of one side"
        )


def test_tissue_without_contrast_is_neither_searched_for_nor_in():
    random = np.random.default_rng(0)
    tissue = texture(random.integers(0, 256, (64, 64, 3)).astype(np.uint8), 1.0)
    even = texture(flat(), 1.0)
    assert Library([even, even], 64.0, (64, 64)).find(tissue) is None
    assert Library([tissue], 64.0, (64, 64)).find(even) is None
    assert Library([tissue[:8, :8]], 64.0, (64, 64)).find(tissue).score == -1
    assert Library([tissue], 64.0, (64, 64)).find(tissue).score == pytest.approx(1)
    tile = TileMeasurements("t", "p", "", {"copy/texture": tissue})
    found = find_matches(Sample((tile,)), Library([even], 64.0, (64, 64)), ["q"])
    assert np.isnan(found.tiles[0].values["copy/match"]).all()
