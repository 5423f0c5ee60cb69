"""Copies: planted ones are found however they were dressed up, and unseen tissue is not
suspected."""

import io

import numpy as np
import pytest
from PIL import Image

from histosynth.metrics.copying.conclude import bar_of, conclude_copying, most_alike_pairs
from histosynth.metrics.copying.register import Library, correlate, texture
from histosynth.metrics.copying.search import find_matches
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.tissue.augment import pose, restain, stain_matrix

MPP = 0.5
SIDE = 128


def tissue(seed, side):
    """Violet discs of many sizes on pink, as crowded as nuclei are."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    picture = np.full((side, side, 3), (225.0, 170.0, 205.0)) + random.normal(0, 6, (side, side, 1))
    for _ in range(side * side // 300):
        y, x = random.uniform(0, side, 2)
        reach = random.uniform(4, 8)
        top = max(int(y - reach), 0)
        left = max(int(x - reach), 0)
        part = np.s_[top : int(y + reach) + 1, left : int(x + reach) + 1]
        inside = np.hypot(rows[part] - y, columns[part] - x) < reach
        picture[part][inside] = np.array([95.0, 65.0, 140.0]) + random.normal(0, 12)
    return picture.clip(0, 255).astype(np.uint8)


def jpeg(pixels, quality):
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=quality)
    return np.array(Image.open(packed))


@pytest.fixture(scope="module")
def train():
    return [tissue(seed, 240) for seed in range(10)]


@pytest.fixture(scope="module")
def library(train):
    textures = [texture(each, MPP).astype(np.float16) for each in train]
    return Library(textures, SIDE * MPP, (120, 120))


def with_merged_adapter(pixels, random):
    """A crop of a training tile: moved, turned, restained, compressed."""
    y, x = random.integers(0, len(pixels) - SIDE + 1, 2)
    crop = (
        restain(pixels[y : y + SIDE, x : x + SIDE], stain_matrix(random, 0.2))
        .round()
        .astype(np.uint8)
    )
    turn = int(random.integers(8))
    return jpeg(np.ascontiguousarray(pose(crop, turn)), 60), (int(x), int(y), turn)


def looked_up(pictures, library, owners=None, names=None, **how):
    tiles = [
        TileMeasurements(
            str(i),
            (names or [f"p{i}"] * (i + 1))[i],
            "",
            {"copy/texture": texture(each, MPP)},
        )
        for i, each in enumerate(pictures)
    ]
    return find_matches(
        Sample(tuple(tiles)),
        library,
        owners or [f"t{i}" for i in range(len(library))],
        **how,
    )


def test_a_turned_moved_restained_and_compressed_copy_is_found_where_it_came_from(train, library):
    random = np.random.default_rng(0)
    for source in range(10):
        copy, (x, y, turn) = with_merged_adapter(train[source], random)
        match = library.find(texture(copy, MPP))
        assert match.score > 0.8
        assert match.tile == source
        # poses undo each other: mirrored ones themselves, quarter turns their opposite
        assert match.pose == (turn if turn >= 4 else -turn % 4)
        assert abs(match.x - x * MPP) <= 1 and abs(match.y - y * MPP) <= 1


def test_a_copied_quarter_is_enough(train, library):
    copy = tissue(77, SIDE)
    copy[: SIDE // 2, SIDE // 2 :] = train[3][40 : 40 + SIDE // 2, 60 : 60 + SIDE // 2]
    match = library.find(texture(copy, MPP))
    assert match.tile == 3 and match.score > 0.8 and match.window == 1


def test_unseen_tissue_scores_far_lower(library):
    scores = [library.find(texture(tissue(seed, SIDE), MPP)).score for seed in range(100, 110)]
    assert max(scores) < 0.7


def test_a_blank_tile_has_nothing_to_be_recognised_by(library):
    assert library.find(texture(np.full((SIDE, SIDE, 3), 240, np.uint8), MPP)) is None


def test_correlation_is_the_textbook_one():
    random = np.random.default_rng(0)
    region = random.normal(size=(20, 22)).astype(np.float32)
    window = random.normal(size=(8, 8)).astype(np.float32)
    scores = correlate(region, window)
    assert scores.shape == (13, 15)
    wanted = np.corrcoef(region[4:12, 7:15].ravel(), window.ravel())[0, 1]
    assert scores[4, 7] == pytest.approx(wanted, abs=1e-5)


def test_ones_own_patient_is_left_out(train, library):
    owners = [f"p{i}" for i in range(10)]
    crop = train[2][:SIDE, :SIDE]
    alone = (
        looked_up([crop], library, owners, names=["p2"], exclude_own_patient=True)
        .tiles[0]
        .values["copy/match"]
    )
    compare = looked_up([crop], library, owners, names=["p2"]).tiles[0].values["copy/match"]
    assert compare[0] > 0.95 and compare[1] == 2
    assert alone[0] < 0.7 and alone[1] != 2


def test_the_bar_keeps_false_alarms_rare():
    random = np.random.default_rng(0)
    alarms = []
    for _ in range(200):
        null = random.gumbel(0.3, 0.04, 60)
        alarms.append((random.gumbel(0.3, 0.04, 500) > bar_of(null)).mean())
    assert np.mean(alarms) < 0.01
    assert np.isnan(bar_of(np.full(5, 0.3)))


def test_the_verdict_names_the_copies_and_spares_the_rest(train, library):
    random = np.random.default_rng(1)
    width = 6

    def featured(sample, base):
        tiles = [
            TileMeasurements(
                t.name,
                t.patient,
                "",
                {**t.values, "embed/features": base + random.normal(0, 0.3, width)},
            )
            for t in sample.tiles
        ]
        return Sample(tuple(tiles))

    names = [f"p{i}" for i in range(20)]
    owners = [f"t{i}" for i in range(10)]
    real = featured(
        looked_up([tissue(200 + i, SIDE) for i in range(20)], library, names=names), 0.0
    )
    fresh = [tissue(300 + i, SIDE) for i in range(4)]
    copies = [with_merged_adapter(train[i], random)[0] for i in range(2)]
    synthetic = featured(looked_up([*fresh, *copies], library), 0.0)
    crops = random.normal(0, 1, (30, width))
    section = conclude_copying(
        real,
        synthetic,
        Sample(()),
        crops,
        [owners[i % 10] for i in range(30)],
    )
    assert section.facts["suspected"] == 2
    assert "2 of 6" in section.verdict
    assert {pair.row for pair in most_alike_pairs(synthetic, 2)} == {4, 5}
    clean = conclude_copying(
        real,
        synthetic.take([0, 1, 2, 3]),
        Sample(()),
        crops,
        [owners[i % 10] for i in range(30)],
    )
    assert clean.verdict.startswith("None of 4")


def test_a_large_library_is_searched_by_a_shortlist(train, library, monkeypatch):
    from histosynth.metrics.copying import search

    monkeypatch.setattr(search, "MAX_SEARCHED_WHOLE", 4)
    monkeypatch.setattr(search, "SHORTLIST", 2)
    crops = np.eye(10)
    tile = TileMeasurements(
        "a",
        "p",
        "",
        {"copy/texture": texture(train[7][:SIDE, :SIDE], MPP), "embed/features": np.eye(10)[7]},
    )
    owners = [f"t{i}" for i in range(10)]
    found = find_matches(
        Sample((tile,)),
        library,
        owners,
        crops=(crops, np.arange(10)),
    )
    assert found.tiles[0].values["copy/match"][1] == 7
