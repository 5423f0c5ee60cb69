"""Registration of textures: correlations against brute force, and places that are known exactly."""

import numpy as np
import pytest
from scipy import ndimage

from histosynth.metrics.copying import register
from histosynth.metrics.copying.register import (
    Library,
    coarse_texture,
    correlate,
    local_spread,
    texture,
)
from histosynth.tissue.augment import pose
from histosynth.tissue.density import optical_density

WINDOW = 32
"""Side of a window of a 64 um tile, um."""


def cloud(shape, seed):
    """Smooth noise of standard deviation 1: alike at neighbouring samples, unlike elsewhere."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=shape), 2)
    return (smooth / smooth.std()).astype(np.float32)


def posed_back(part, index):
    """The picture whose pose `index` is `part`."""
    return np.ascontiguousarray(pose(part, index if index >= 4 else -index % 4))


@pytest.fixture(scope="module")
def sources():
    return [cloud((150, 131), seed) for seed in range(4)]


@pytest.fixture(scope="module")
def library(sources):
    return Library(sources, 2.0 * WINDOW, (150, 131))


class Counted:
    """A sequence of textures that counts which are read."""

    def __init__(self, textures):
        self.textures = textures
        self.reads = []

    def __len__(self):
        return len(self.textures)

    def __getitem__(self, row):
        self.reads.append(row)
        return self.textures[row]


@pytest.mark.parametrize(
    ("shape", "mpp", "expected"),
    [((40, 60), 0.5, (20, 30)), ((41, 61), 0.25, (10, 15)), ((6, 4), 0.5, (4, 4))],
)
def test_a_texture_has_one_sample_a_micrometre_and_at_least_four(shape, mpp, expected):
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    found = texture(pixels, mpp)
    assert found.shape == expected
    assert found.dtype == np.float32


def test_a_texture_is_the_mean_density_minus_its_surroundings_mirrored_at_the_border():
    pixels = np.random.default_rng(1).integers(0, 255, (80, 60, 3)).astype(np.uint8)
    density = optical_density(pixels).mean(axis=2)
    cells = density.reshape(40, 2, 30, 2).mean(axis=(1, 3))
    expected = cells - ndimage.gaussian_filter(cells, 16.0, mode="reflect")
    np.testing.assert_allclose(texture(pixels, 0.5), expected, atol=1e-5)


def test_a_coarse_texture_is_of_whole_cells_of_two_samples():
    fine = np.arange(35, dtype=np.float32).reshape(5, 7)
    coarse = coarse_texture(fine)
    assert coarse.tolist() == [[4.0, 6.0, 8.0], [18.0, 20.0, 22.0]]
    assert coarse.dtype == np.float32


@pytest.mark.parametrize("shape", [(12, 17), (17, 12)])
def test_spreads_and_correlations_are_those_of_each_window(shape):
    random = np.random.default_rng(2)
    region = random.normal(3, 1, shape).astype(np.float32)
    window = random.normal(size=(5, 5)).astype(np.float32)
    parts = np.lib.stride_tricks.sliding_window_view(region, (5, 5))
    spread = local_spread(region, 5)
    assert spread.dtype == np.float32
    np.testing.assert_allclose(spread, parts.std(axis=(2, 3)), rtol=1e-5)
    scores = correlate(region, window)
    assert scores.dtype == np.float32
    assert scores.shape == (shape[0] - 4, shape[1] - 4)
    for y, x in np.ndindex(scores.shape):
        expected = np.corrcoef(parts[y, x].ravel(), window.ravel())[0, 1]
        assert scores[y, x] == pytest.approx(expected, abs=1e-5)
    assert correlate(region.astype(np.float64), window).dtype == np.float32


def test_an_even_region_correlates_with_nothing():
    even = np.full((9, 9), 0.5, np.float32)
    assert local_spread(even, 4) == pytest.approx(np.zeros((6, 6)), abs=1e-6)
    window = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    scores = correlate(even, window)
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() < 0.5
    assert np.isfinite(correlate(window, np.ones((2, 2), np.float32))).all()


def test_a_window_that_is_not_square_is_refused():
    with pytest.raises(ValueError) as error:
        correlate(np.ones((9, 9), np.float32), np.ones((4, 5), np.float32))
    assert str(error.value) == "windows are square"


@pytest.mark.parametrize(
    ("turn", "x", "y"),
    [
        (0, 0, 0),
        (1, 67, 86),
        (2, 67, 0),
        (3, 0, 86),
        (4, 31, 40),
        (5, 10, 7),
        (6, 66, 85),
        (7, 1, 1),
    ],
)
def test_a_part_of_a_training_tile_is_found_exactly(sources, library, turn, x, y):
    part = sources[2][y : y + 64, x : x + 64]
    found = library.find(posed_back(part, turn))
    assert found.score == pytest.approx(1, abs=1e-4)
    assert (found.tile, found.pose, found.x, found.y) == (2, turn, x, y)
    assert isinstance(found.x, float)


@pytest.mark.parametrize(
    ("turn", "window", "left", "top"),
    [(0, 0, 0, 0), (1, 1, 40, 0), (6, 2, 0, 32), (3, 3, 40, 32), (5, 4, 20, 16)],
)
def test_one_copied_window_of_an_oblong_tile_gives_the_place_of_the_whole_tile(
    sources, library, turn, window, left, top
):
    posed = cloud((64, 80), 50)
    posed[top : top + WINDOW, left : left + WINDOW] = sources[1][51 : 51 + 32, 60 : 60 + 32]
    found = library.find(posed_back(posed, turn))
    assert found.score == pytest.approx(1, abs=1e-4)
    assert (found.tile, found.pose, found.window) == (1, turn, window)
    assert (found.x, found.y) == (60 - left, 51 - top)


def test_places_are_ranked_by_correlation_and_not_by_contrast(sources, library, monkeypatch):
    monkeypatch.setattr(register, "REFINED_PLACES", 1)
    pattern = 3 * cloud((64, 64), 60)
    # a faint copy among windows of high contrast
    pattern[32:, :32] = 0.5 * sources[3][70 : 70 + 32, 24 : 24 + 32] + 2
    found = library.find(pattern)
    assert found.score == pytest.approx(1, abs=1e-4)
    assert (found.tile, found.window, found.x, found.y) == (3, 2, 24, 38)


def test_only_the_given_rows_are_searched(sources, library):
    part = sources[2][20:84, 30:94]
    assert library.find(part, [2]).tile == 2
    assert library.find(part, [1, 2]).tile == 2
    other = library.find(part, [3, 0])
    assert other.tile in (0, 3)
    assert other.score < 0.9
    assert library.find(part, []) is None
    assert library.find(part, np.array([2])) == library.find(part, [2])


def test_the_window_is_half_a_side_and_at_least_four_coarse_samples(sources):
    assert len(Library(sources, 64.0, (150, 131))) == 4
    assert Library(sources, 64.0, (150, 131)).window == 16
    assert Library(sources, 67.9, (150, 131)).window == 16
    assert Library(sources, 68.0, (150, 131)).window == 17
    assert Library(sources, 1.0, (150, 131)).window == 4
    # 75 and 66 coarse samples, and the next lengths with quick transforms
    assert Library(sources, 64.0, (150, 131)).shape == (75, 72)
    assert Library(sources, 64.0, (149, 130)).shape == (75, 72)
    assert Library(sources, 64.0, (131, 150)).shape == (72, 75)


def test_places_with_a_quarter_of_the_usual_contrast_are_no_places(sources):
    spreads = np.concatenate([local_spread(coarse_texture(each), 16).ravel() for each in sources])
    library = Library(sources, 64.0, (150, 131))
    assert library.min_spread == pytest.approx(0.25 * np.median(spreads))
    assert Library([], 64.0, (150, 131)).min_spread == 0.0
    assert Library([], 64.0, (150, 131)).find(sources[0]) is None
    pattern = sources[0][:64, :64]
    widest = max(
        coarse_texture(pattern)[y : y + 16, x : x + 16].std()
        for x, y in [(0, 0), (16, 0), (0, 16), (16, 16), (8, 8)]
    )
    least = library.min_spread / widest
    assert library.find(pattern * np.float32(0.99 * least)) is None
    assert library.find(pattern * np.float32(1.01 * least)).tile == 0


def test_a_training_tile_without_contrast_is_never_the_most_alike(sources):
    part = sources[1][40:104, 30:94]
    faint = sources[1] * np.float32(0.05)
    library = Library([faint, *[sources[0]] * 4], 64.0, (150, 131))
    assert library.find(part).tile != 0
    visible = Library([faint * np.float32(10), *[sources[0]] * 4], 64.0, (150, 131))
    assert visible.find(part).tile == 0


def test_the_usual_contrast_is_estimated_from_every_nth_tile(sources, monkeypatch):
    monkeypatch.setattr(register, "CONTRAST_SAMPLE", 2)
    scaled = [each * np.float32(10**i) for i, each in enumerate(sources)]
    textures = Counted(scaled)
    library = Library(textures, 64.0, (150, 131))
    assert textures.reads == [0, 2]
    spreads = [local_spread(coarse_texture(scaled[i]), 16).ravel() for i in (0, 2)]
    assert library.min_spread == pytest.approx(0.25 * np.median(np.concatenate(spreads)))
    few = Counted(sources[:1])
    Library(few, 64.0, (150, 131))
    assert few.reads == [0]


def test_the_latest_spectra_are_kept(sources, monkeypatch):
    monkeypatch.setattr(register, "CACHED_SPECTRA", 2)
    monkeypatch.setattr(register, "REFINED_PLACES", 1)
    textures = Counted(sources)
    library = Library(textures, 64.0, (150, 131))
    part = sources[0][:64, :64]

    def reads(row):
        before = len(textures.reads)
        library.find(part, [row])
        return len(textures.reads) - before

    # one read for the spectrum, and one for the place that is refined
    assert [reads(row) for row in (0, 1, 1, 0)] == [2, 2, 1, 1]
    # the first of the two gives way to a third
    assert [reads(row) for row in (2, 1, 2, 0)] == [2, 1, 1, 2]


def test_six_places_are_refined(sources):
    textures = Counted(sources)
    library = Library(textures, 64.0, (150, 131))
    part = sources[0][:64, :64]
    library.find(part)
    before = len(textures.reads)
    library.find(part)
    assert len(textures.reads) - before == 6


@pytest.mark.parametrize("shape", [(20, 131), (150, 20), (20, 20), (31, 131), (150, 31)])
def test_a_training_tile_smaller_than_a_window_has_the_lowest_correlation(sources, shape):
    small = sources[0][: shape[0], : shape[1]]
    library = Library([*sources, small], 64.0, (150, 131))
    part = sources[2][20:84, 30:94]
    found = library.find(part, [4])
    assert (found.score, found.tile, found.x, found.y) == (-1.0, 4, 0.0, 0.0)
    assert library.find(part).tile == 2


def test_a_training_tile_of_the_size_of_a_window_is_searched(sources):
    source = sources[2][40:72, 30:62]
    library = Library([*sources[:2], source], 64.0, (150, 131))
    found = library.find(sources[2][40:104, 30:94])
    assert found.score == pytest.approx(1, abs=1e-4)
    assert (found.tile, found.pose, found.x, found.y, found.window) == (2, 0, 0, 0, 0)
