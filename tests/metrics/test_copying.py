"""Copies: planted ones are found however they were dressed up, and unseen tissue is not
suspected."""

import io

import numpy as np
import pytest
from PIL import Image

from histosynth.metrics.copying.conclude import conclude_copying, most_alike_pairs
from histosynth.metrics.copying.register import Library, correlate, texture
from histosynth.metrics.copying.search import find_matches
from histosynth.metrics.copying.suspects import bar_of
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.tissue.augment import pose, restain, stain_matrix
from histosynth.tissue.density import from_density

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


def disguised_copy(pixels, random):
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
        copy, (x, y, turn) = disguised_copy(train[source], random)
        match = library.find(texture(copy, MPP))
        assert match.score > 0.8
        assert match.tile == source
        # poses undo each other: mirrored ones themselves, quarter turns their opposite
        assert match.pose == (turn if turn >= 4 else -turn % 4)
        assert abs(match.x - x * MPP) <= 1
        assert abs(match.y - y * MPP) <= 1


def test_a_copied_quarter_is_enough(train, library):
    copy = tissue(77, SIDE)
    copy[: SIDE // 2, SIDE // 2 :] = train[3][40 : 40 + SIDE // 2, 60 : 60 + SIDE // 2]
    match = library.find(texture(copy, MPP))
    assert match.tile == 3
    assert match.score > 0.8
    assert match.window == 1


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


def test_a_tiles_own_patient_is_left_out(train, library):
    owners = [f"p{i}" for i in range(10)]
    crop = train[2][:SIDE, :SIDE]
    alone = (
        looked_up([crop], library, owners, names=["p2"], exclude_own_patient=True)
        .tiles[0]
        .values["copy/match"]
    )
    compare = looked_up([crop], library, owners, names=["p2"]).tiles[0].values["copy/match"]
    assert compare[0] > 0.95
    assert compare[1] == 2
    assert alone[0] < 0.7
    assert alone[1] != 2


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
    copies = [disguised_copy(train[i], random)[0] for i in range(2)]
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


def scored(name, scores, patient="p"):
    """Tiles with given correlations and features."""
    tiles = []
    for number, score in enumerate(scores):
        values = {
            "copy/match": np.array([score, 0, 0, 0.0, 0.0, 0]),
            "embed/features": np.array([score, 1.0, number % 3]),
        }
        tiles.append(TileMeasurements(f"{name}{number}", f"{patient}{number}", "", values))
    return Sample(tuple(tiles))


def test_the_bar_is_of_training_patients_left_out_where_there_are_enough():
    random = np.random.default_rng(0)
    real_scores = random.normal(0.2, 0.02, 20)
    left_out_scores = random.normal(0.5, 0.02, 16)
    real = scored("r", real_scores)
    synthetic = scored("s", [0.3, 0.4, 0.9])
    crops = random.normal(size=(12, 3))
    owners = [f"q{i % 4}" for i in range(12)]
    section = conclude_copying(real, synthetic, scored("l", left_out_scores), crops, owners)
    assert section.facts["bar"] == pytest.approx(bar_of(left_out_scores), abs=1e-4)
    assert section.facts["bar_from"] == 16
    assert section.facts["suspected"] == 1
    few = scored("l", left_out_scores[:15])
    section = conclude_copying(real, synthetic, few, crops, owners)
    assert section.facts["bar"] == pytest.approx(bar_of(real_scores), abs=1e-4)
    assert section.facts["bar_from"] == 20
    assert section.facts["suspected"] == 3


def test_the_bar_is_the_gumbel_quantile_by_moments_and_never_below_real_scores():
    null = np.random.default_rng(3).normal(0.3, 0.05, 400)
    scale = null.std(ddof=1) * np.sqrt(6) / np.pi
    location = null.mean() - np.euler_gamma * scale
    assert bar_of(null) == pytest.approx(location - scale * np.log(-np.log(0.999)), rel=1e-9)
    outlier = np.append(null[:30], 0.95)
    assert bar_of(outlier) >= 0.95


def test_texture_removes_what_changes_over_more_than_16_um():
    x = np.arange(1200)
    for wavelength_um in (40.0, 100.0, 200.0):
        density = 0.5 + 0.2 * np.sin(2 * np.pi * x * MPP / wavelength_um)
        pixels = from_density(np.tile(density[None, :, None], (64, 1, 3)))
        middle = texture(pixels, MPP)[:, 150:450]
        kept = middle.std() / (0.2 / np.sqrt(2))
        # a Gaussian of sigma passes exp(-2 (pi sigma / wavelength)^2), which is subtracted
        expected = 1 - np.exp(-2 * (np.pi * 16.0 / wavelength_um) ** 2)
        assert kept == pytest.approx(expected, rel=0.03)


def test_a_crop_is_authentic_only_beyond_its_distance_to_other_patients():
    crops = np.array([[0.0, 0], [0.1, 0], [4.0, 0]])
    owners = ["a", "a", "b"]

    def tile(name, x):
        values = {"copy/match": np.full(6, np.nan), "embed/features": np.array([x, 0.0])}
        return TileMeasurements(name, name, "", values)

    synthetic = Sample((tile("s0", -1.0), tile("s1", -5.0)))
    real = Sample(tuple(tile(f"r{i}", 1.0 + i) for i in range(16)))
    section = conclude_copying(real, synthetic, Sample(()), crops, owners)
    (authentic,) = [each for each in section.findings if each.name == "AuthPct"]
    # 1 and 5 from the first crop, and its nearest crop of another patient is 4 away
    assert authentic.value.value == 0.5
    (nearer,) = [each for each in section.findings if each.name == "nearer_than_5th"]
    assert nearer.value.value == 0.0
    assert nearer.real.value == 0.05
