"""Tiles that were given the nuclei of a training tile: what makes them suspected copies."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from histosynth.core.nuclei import Nuclei
from histosynth.metrics.copying import COPYING
from histosynth.metrics.copying.conclude import conclude_copying, most_alike_pairs
from histosynth.metrics.copying.layout import correlation_beyond_layout
from histosynth.metrics.copying.register import Library
from histosynth.metrics.copying.suspects import MIN_BAR_BEYOND_LAYOUT, Bars, Scores, bar_of
from histosynth.metrics.metric import TileInput, Tools
from histosynth.metrics.sample import Sample, TileMeasurements

CROPS = np.array([[0.0], [1.0], [10.0], [14.0]])
OWNERS = ["a", "a", "b", "b"]
SOURCES = ["a", "b"]


def side(name, rows, *, given=True):
    """Tiles of (correlation, beyond the layout, training tile[, aligned and beyond elsewhere]) on a
    line of features."""
    tiles = []
    for number, row in enumerate(rows):
        score, beyond, tile, *elsewhere = row
        aligned, other_beyond = elsewhere or (score, beyond)
        values = {
            "copy/match": np.array([score, tile, 0, 0, 0, 0, score, beyond]),
            "copy/tissue_match": np.array([0.3, tile, 0, 0, 0, 0, aligned, other_beyond]),
            "copy/given": np.array([float(given)]),
            "embed/features": np.array([0.5 + 12 * tile]),
        }
        tiles.append(TileMeasurements(f"{name}{number}", f"{name}p{number}", "", values))
    return Sample(tuple(tiles))


def unseen(name, seed):
    random = np.random.default_rng(seed)
    scores = random.uniform(0.1, 0.4, 18)
    beyond = random.uniform(0.0, 0.2, 18)
    return side(name, [(score, left, 0) for score, left in zip(scores, beyond, strict=True)])


def concluded(rows, *, given=True, sources=SOURCES):
    return conclude_copying(
        unseen("r", 1),
        side("s", rows, given=given),
        unseen("l", 2),
        CROPS,
        OWNERS,
        sources=sources,
    )


def test_the_layout_alone_is_no_copy_and_the_tissue_is():
    rows = [(0.8, 0.3, 0), (0.8, 0.46, 0), (0.8, 0.45, 0), (0.2, 0.9, 0), (0.9, math.nan, 1)]
    section = concluded(rows)
    assert section.facts["suspected"] == 2
    assert section.facts["given_nuclei"] == 5
    assert section.facts["on_training_layout"] == 2
    assert section.facts["bar_beyond_layout"] == MIN_BAR_BEYOND_LAYOUT == 0.45
    bar = section.facts["bar"]
    assert section.verdict == (
        "2 of 5 synthetic tiles are suspected copies of training tissue (correlation above 0.45 "
        "beyond the layout of nuclei), first s4, s1: compare the pairs below. 5 tiles state that "
        f"they were given nuclei; 2 of them correlate above {bar:.2f} with a training tile by the "
        "layout of nuclei alone, as tiles do that were given its nuclei, and are not suspected for "
        "that."
    )
    assert section.findings[0].value.value == pytest.approx(2 / 5)
    assert section.findings[0].note == (
        f"share of tiles that correlate above {bar:.2f} with a training tile, or above 0.45 beyond "
        "the layout of nuclei; of tiles that were given nuclei, by the second alone"
    )


def test_tiles_that_were_given_nothing_are_suspected_for_the_layout():
    section = concluded([(0.8, 0.3, 0), (0.2, 0.9, 0)], given=False)
    assert section.facts["suspected"] == 1
    assert "given_nuclei" not in section.facts
    bar = section.facts["bar"]
    assert section.verdict == (
        "1 of 2 synthetic tiles is a suspected copy of training tissue (correlation above "
        f"{bar:.2f}, or 0.45 beyond the layout of nuclei), first s0: compare the pairs below. No "
        "tile states the nuclei that it was given: tiles that were given the nuclei of training "
        "tiles are suspected for those; name their files with --conditions."
    )


@pytest.mark.parametrize("given", [False, True])
def test_what_correlates_only_once_it_is_aligned_is_a_copy(given):
    """A copy that is turned by 6 degrees, whether it states nuclei or not; the tissue of one tile
    with the layout of another likewise."""
    rows = [(0.35, 0.2, 0, 0.95, 0.9), (0.2, 0.1, 0, 0.4, 0.7), (0.2, 0.1, 0, 0.9, 0.4)]
    section = concluded(rows, given=given)
    assert section.facts["suspected"] == 1
    assert ", first s0: compare" in section.verdict


def test_a_copy_that_states_nuclei_is_not_called_a_layout():
    """Nor is the patient whose tissue it copies left out of the distances."""
    section = concluded([(0.9, 0.8, 0), (0.9, 0.2, 1)])
    assert (section.facts["suspected"], section.facts["on_training_layout"]) == (1, 1)
    assert section.plots[1].series[-1].x == pytest.approx([0.5, 11.5])


def test_tiles_with_and_without_given_nuclei():
    both = side("s", [(0.2, 0.1, 0)]).tiles + side("t", [(0.8, 0.3, 0)], given=False).tiles
    section = conclude_copying(unseen("r", 1), Sample(both), unseen("l", 2), CROPS, OWNERS)
    bar = section.facts["bar"]
    assert section.verdict == (
        "1 of 2 synthetic tiles is a suspected copy of training tissue (correlation above "
        f"{bar:.2f} without given nuclei, or 0.45 beyond the layout of nuclei), first t0: compare "
        f"the pairs below. 1 tile states that it was given nuclei; none correlates above "
        f"{bar:.2f} with a training tile by the layout alone."
    )
    spared = side("s", [(0.8, 0.1, 0)]).tiles + side("t", [(0.3, 0.2, 0)], given=False).tiles
    section = conclude_copying(unseen("r", 1), Sample(spared), unseen("l", 2), CROPS, OWNERS)
    assert section.verdict.startswith(
        "None of 2 synthetic tiles is a suspected copy: the largest correlation with training "
        f"tissue is 0.30, the bar {bar:.2f}; beyond the layout of nuclei 0.20, the bar 0.45. "
    )


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ([0.8], "1 tile states that it was given nuclei; it correlates above"),
        ([0.8, 0.1], "2 tiles state that they were given nuclei; 1 of them correlates above"),
        ([0.8, 0.8], "2 tiles state that they were given nuclei; 2 of them correlate above"),
    ],
)
def test_one_tile_is_spoken_of_in_the_singular(scores, sentence):
    verdict = concluded([(score, 0.1, 0) for score in scores]).verdict
    assert sentence in verdict
    end = "is not suspected" if len(scores) == 1 or scores[1] < 0.5 else "are not suspected"
    assert verdict.endswith(f"{end} for that.")


def test_nuclei_of_no_training_tile():
    section = concluded([(0.2, 0.1, 0), (0.3, 0.12, 0)])
    bar = section.facts["bar"]
    assert section.verdict == (
        "None of 2 synthetic tiles is a suspected copy: the largest correlation with training "
        "tissue beyond the layout of nuclei is 0.12, the bar 0.45. 2 tiles state that they were "
        f"given nuclei; none correlates above {bar:.2f} with a training tile by the layout alone."
    )


def test_nearness_leaves_out_the_patient_whose_nuclei_were_given():
    """A tile lies where its source does: its distance is taken to the other patient's crops."""
    rows = [(0.8, 0.3, 0), (0.8, 0.3, 1), (0.2, 0.1, 0)]
    section = concluded(rows)
    # at 0.5, 12.5 and 0.5; crops of a at 0 and 1, of b at 10 and 14
    assert section.plots[1].series[-1].x == pytest.approx([9.5, 11.5, 9.5])
    freely = concluded(rows, given=False)
    assert freely.plots[1].series[-1].x == pytest.approx([0.5, 1.5, 0.5])
    unknown = concluded(rows, sources=())
    assert unknown.plots[1].series[-1].x == pytest.approx([0.5, 1.5, 0.5])
    notes = {finding.name: finding.note for finding in section.findings}
    assert notes["C_T"].endswith(
        "; of 3 tiles that were given nuclei without the patient whose nuclei they are, or whose "
        "tissue is most alike"
    )
    assert notes["beyond_layout_95th"].startswith("95th percentile of the largest correlation")


def test_a_tile_that_bears_the_name_of_a_training_patient_was_given_its_nuclei():
    """Whatever tissue it is most alike."""
    named = side("s", [(0.2, 0.1, 0)])
    tiles = [replace(tile, patient="b") for tile in named.tiles]
    section = conclude_copying(
        unseen("r", 1),
        Sample(tuple(tiles)),
        unseen("l", 2),
        CROPS,
        OWNERS,
        sources=SOURCES,
    )
    assert section.plots[1].series[-1].x == pytest.approx([0.5])


def test_one_patient_whose_nuclei_all_were_given_shows_no_nearness():
    section = conclude_copying(
        unseen("r", 1),
        side("s", [(0.8, 0.3, 0)] * 3),
        unseen("l", 2),
        CROPS,
        ["a"] * 4,
        sources=["a"],
    )
    reasons = {
        finding.value.reason
        for finding in section.findings
        if finding.name in ("nearer_than_5th", "C_T", "AuthPct")
    }
    assert reasons == {
        "the reference holds no patient but those whose nuclei the tiles were given; add training "
        "tiles of others"
    }


def test_the_bar_beyond_the_layout_is_that_of_real_tissue_where_it_is_higher():
    beyond = np.linspace(0.2, 0.7, 20)
    null = Scores.of(side("l", [(0.8, each, 0) for each in beyond]))
    assert Bars.of(null).beyond_layout == bar_of(beyond) > 0.7
    few = Scores.of(side("l", [(0.8, each, 0) for each in beyond[:8]]))
    assert Bars.of(few).beyond_layout == MIN_BAR_BEYOND_LAYOUT


def test_pairs_state_the_correlation_beyond_the_layout():
    pairs = most_alike_pairs(side("s", [(0.8, 0.3, 1), (0.35, 0.2, 0, 0.95, 0.9)]))
    assert [(pair.row, pair.aligned, pair.beyond_layout) for pair in pairs] == [
        (1, 0.95, 0.9),
        (0, 0.8, 0.3),
    ]


@pytest.mark.parametrize(
    ("given", "nuclei", "expected"),
    [(False, None, 0), (True, None, 1), (False, [], 0), (False, [(3.0, 4.0)], 1)],
)
def test_a_tile_is_given_nuclei_by_its_recipe_or_its_conditions(given, nuclei, expected):
    marked = None
    if nuclei is not None:
        marked = Nuclei.of(
            np.reshape(nuclei, (-1, 2)),
            ["a"] * len(nuclei),
            size=(32, 32),
            mpp=0.5,
            classes=("a",),
        )
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    tile = TileInput(pixels, 0.5, marked, given_nuclei=given)
    assert COPYING.measure(tile, Tools())["copy/given"].tolist() == [expected]


def nuclei_on_a_grid(random):
    """Places of nuclei that do not touch."""
    grid = np.stack(np.meshgrid(np.arange(10, 90, 15), np.arange(10, 90, 15)), -1).reshape(-1, 2)
    return grid + random.integers(-2, 3, grid.shape)


def spotted(random, places, texture_seed):
    """Dark spots at given places over fibres of one's own."""
    picture = np.zeros((96, 96))
    for y, x in places:
        picture[y, x] = random.uniform(25, 50)
    spots = ndimage.gaussian_filter(picture, 2.0)
    fibres = np.random.default_rng(texture_seed).normal(size=(96, 96))
    return (spots + 0.35 * ndimage.gaussian_filter(fibres, 1.2)).astype(np.float32)


def test_the_same_places_of_nuclei_are_no_correlation_beyond_the_layout():
    random = np.random.default_rng(3)
    places = nuclei_on_a_grid(random)
    first = spotted(random, places, 10)
    second = spotted(random, places, 11)
    alike = float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
    assert alike > 0.6
    assert abs(correlation_beyond_layout(first, second)) < 0.25
    worn = ndimage.gaussian_filter(first, 0.7) + random.normal(size=first.shape) * 0.01
    assert correlation_beyond_layout(first, worn.astype(np.float32)) > 0.8
    assert correlation_beyond_layout(first, first) == pytest.approx(1)


def test_nothing_is_left_beyond_the_layout_of_an_even_texture():
    flat = np.zeros((32, 32), np.float32)
    textured = spotted(np.random.default_rng(0), [(50, 50)], 1)[:32, :32]
    assert math.isnan(correlation_beyond_layout(flat, textured))


def test_the_library_refines_places_of_other_owners_too():
    random = np.random.default_rng(5)
    places = nuclei_on_a_grid(random)
    textures = [spotted(random, places, seed) for seed in (20, 21, 22)]
    library = Library(textures, 96, (96, 96))
    found = library.find_places(textures[0], None, ["a", "b", "a"])
    assert {match.tile for match in found} >= {0, 1}
    best = max(found, key=lambda match: match.score)
    assert best == library.find(textures[0])
    assert (best.tile, best.beyond_layout) == (0, pytest.approx(1))
