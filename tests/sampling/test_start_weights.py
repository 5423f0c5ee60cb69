"""When each cell leaves the copied tissue, and where its pixels are kept: values by hand."""

import numpy as np
import pytest
import torch

from histosynth.core.condition import Condition, Context
from histosynth.core.nuclei import Nuclei
from histosynth.sampling import exemplar_start as module
from histosynth.sampling.exemplar_start import exemplar_start, hold_start
from histosynth.tissue.appearance import StainFrame
from histosynth.tissue.exemplar import CopiedTissue, copy_into

GLASS = 255


def masked(height, width, *, points=None, mask=None, value=GLASS):
    """A condition on even tissue; unless stated, only the last pixel is masked."""
    if mask is None:
        mask = np.zeros((height, width), bool)
        mask[-1, -1] = True
    context = Context(np.full((height, width, 3), value, np.uint8), mask)
    nuclei = None
    if points is not None:
        xy = np.array(points, np.float32).reshape(-1, 2)
        class_ids = np.zeros(len(xy), np.uint8)
        nuclei = Nuclei(xy, class_ids, ("stromal",), (width, height), 0.5)
    return Condition(nuclei, (width, height), None, context)


@pytest.fixture
def start_from(monkeypatch):
    """The start from given copied tissue."""

    def start(condition, pixels=None, broken=None, frame=None):
        context = condition.context
        copied = CopiedTissue(
            context.pixels if pixels is None else pixels,
            np.zeros(context.mask.shape, bool) if broken is None else broken,
        )
        monkeypatch.setattr(module, "copy_into", lambda *_, **__: copied)
        return exemplar_start(condition, frame or StainFrame(), 0)

    return start


def distances(height, width, *centres):
    rows, columns = np.mgrid[:height, :width]
    return np.min([np.hypot(columns - x, rows - y) for x, y in centres], axis=0)


def cell_times(late):
    """0.9 where `late` is 0, 0.2 where it is 1; a pixel outside is the nearest one inside."""
    height, width = late.shape
    times = np.zeros((-(-height // 8), -(-width // 8)))
    for row, column in np.ndindex(times.shape):
        rows = np.minimum(np.arange(8 * row, 8 * row + 8), height - 1)
        columns = np.minimum(np.arange(8 * column, 8 * column + 8), width - 1)
        times[row, column] = 0.9 - 0.7 * late[np.ix_(rows, columns)].mean()
    return times


def close(start, late, kept, atol=1e-6):
    assert start.times.dtype == start.ground.dtype == np.float32
    np.testing.assert_allclose(start.times, cell_times(late), rtol=0, atol=atol)
    np.testing.assert_allclose(start.ground, kept, rtol=0, atol=atol)


def test_weights_rise_with_the_distance_from_the_nearest_nucleus(start_from):
    start = start_from(masked(45, 67, points=[(20.6, 9.4), (30.0, 40.0)]))
    assert start.times.shape == (6, 9)
    assert start.ground.shape == (45, 67)
    distance = distances(45, 67, (21, 9), (30, 40))
    late = np.clip((distance - 8) / 8, 0, 1)
    kept = np.clip((distance - 16) / 8, 0, 1)
    assert {0, 1} < set(kept.ravel())
    close(start, late, kept)


def test_nuclei_on_the_border_lie_in_the_border_pixels(start_from):
    points = [(-0.5, -0.5), (65.5, 43.5)]
    start = start_from(masked(44, 66, points=points))
    distance = distances(44, 66, (0, 0), (65, 43))
    late = np.clip((distance - 8) / 8, 0, 1)
    close(start, late, np.clip((distance - 16) / 8, 0, 1))


def test_a_tile_without_nuclei_is_ground(start_from):
    start = start_from(masked(20, 30, points=[]))
    close(start, np.ones((20, 30)), np.ones((20, 30)))


@pytest.mark.parametrize(
    ("red", "scale"),
    [(183, 1.0), (216, 2.0), (255, 1.0), (199, 1.0), (198, 1.0), (172, 1.0), (171, 1.0), (90, 1.0)],
)
@pytest.mark.parametrize("points", [None, []])
def test_even_tissue_counts_by_its_red_density_in_canonical_stain(start_from, red, scale, points):
    condition = masked(24, 24, points=points)
    pixels = np.full((24, 24, 3), 120, np.uint8)
    pixels[..., 0] = red
    start = start_from(condition, pixels, frame=StainFrame((scale, 1.0, 1.0)))
    density = -scale * np.log((red + 1) / 256)
    share = min(max((0.40 - density) / 0.15, 0), 1)
    even = np.full((24, 24), share)
    close(start, even, even, atol=2e-5)


def gaussian_step(length, first):
    """A step from 0 to 1 at `first`, blurred by a Gaussian of 3 px that is cut at 12 px."""
    offsets = np.arange(-12, 13)
    kernel = np.exp(-0.5 * (offsets / 3) ** 2)
    step = (np.arange(-12, length + 12) >= first).astype(float)
    return np.convolve(step, kernel / kernel.sum(), mode="valid")


def window_max(values, reach):
    indices = range(len(values))
    return np.array([values[max(i - reach, 0) : i + reach + 1].max() for i in indices])


@pytest.mark.parametrize("turns", range(4))
def test_dense_tissue_is_seen_8_and_16_px_away_after_smoothing(start_from, turns):
    dark = -np.log(91 / 256)
    pixels = np.full((16, 96, 3), GLASS, np.uint8)
    pixels[:, 60:, 0] = 90
    density = dark * gaussian_step(96, 60)
    near = window_max(density, 8)
    far = window_max(density, 16)
    late = np.tile(np.clip((0.40 - near) / 0.15, 0, 1), (16, 1))
    kept = np.tile(np.clip((0.40 - far) / 0.15, 0, 1), (16, 1))
    pixels, late, kept = (np.rot90(each, turns) for each in (pixels, late, kept))
    start = start_from(masked(*pixels.shape[:2]), pixels)
    close(start, late, kept, atol=2e-5)


def test_where_all_nuclei_lie_in_the_mask_dense_tissue_lowers_the_weights_too(start_from):
    mask = np.zeros((40, 64), bool)
    mask[:, :20] = True
    pixels = np.full((40, 64, 3), 183, np.uint8)
    share = (0.40 + np.log(184 / 256)) / 0.15
    distance = distances(40, 64, (10, 20))
    late = np.clip((distance - 8) / 8, 0, 1)
    kept = np.clip((distance - 16) / 8, 0, 1)
    start = start_from(masked(40, 64, points=[(10, 20)], mask=mask), pixels)
    close(start, np.minimum(late, share), np.minimum(kept, share), atol=2e-5)
    known = start_from(masked(40, 64, points=[(10, 20)], mask=~mask), pixels)
    close(known, late, kept)


def test_at_breaks_nothing_is_kept_and_cells_leave_earlier(start_from):
    broken = np.zeros((16, 80), bool)
    broken[:, 40:] = True
    start = start_from(masked(16, 80), broken=broken)
    blurred = np.tile(gaussian_step(80, 40), (16, 1))
    close(start, 1 - 0.7 * blurred, (1 - blurred) ** 2, atol=2e-6)


def test_breaks_lower_what_nuclei_left(start_from):
    broken = np.ones((16, 80), bool)
    start = start_from(masked(16, 80, points=[(40, 8)]), broken=broken)
    late = np.clip((distances(16, 80, (40, 8)) - 8) / 8, 0, 1)
    close(start, 0.3 * late, np.zeros((16, 80)), atol=2e-6)


def test_the_copied_tissue_follows_image_mask_nuclei_and_seed(tile):
    random = np.random.default_rng(0)
    pixels = np.concatenate([tile, tile[::-1, ::-1]], axis=1)[:130]
    pixels = np.clip(pixels + random.integers(-9, 9, pixels.shape), 0, 255).astype(np.uint8)
    mask = np.zeros(pixels.shape[:2], bool)
    mask[50:66, 100:116] = True
    size = (pixels.shape[1], pixels.shape[0])
    nuclei = Nuclei.of([(105, 55)], ["stromal"], size=size, mpp=0.5, classes=("stromal",))
    condition = Condition(nuclei, size, None, Context(pixels, mask))
    starts = [exemplar_start(condition, StainFrame(), seed) for seed in (3, 4)]
    expected = copy_into(pixels, mask, nuclei, seed=3).pixels
    assert (starts[0].pixels == expected).all()
    assert (starts[1].pixels != expected).any()


def test_without_enough_known_tissue_there_is_no_start():
    mask = np.ones((40, 40), bool)
    mask[:8, :8] = False
    condition = masked(40, 40, mask=mask)
    assert exemplar_start(condition, StainFrame(), 0) is None
    assert exemplar_start(Condition(None, (40, 40)), StainFrame(), 0) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [(0.75, [5, 5, 5]), (0.5, [5, 5, 7]), (0.375, [5, 5, 7]), (0.25, [5, 7, 7]), (0.0, [7, 7, 7])],
)
def test_a_cell_is_held_until_its_time_and_free_at_it(now, expected):
    calls = []

    def denoise(noisy, time):
        calls.append((noisy, time))
        return torch.full_like(noisy, 7)

    latents = torch.full((1, 1, 1, 3), 5.0)
    times = torch.tensor([0.0, 0.25, 0.5]).reshape(1, 1, 1, 3)
    noisy = torch.zeros(1, 1, 1, 3)
    time = torch.tensor([now])
    held = hold_start(denoise, latents, times)(noisy, time)
    assert held.ravel().tolist() == expected
    if now > 0.5:
        assert not calls
    else:
        assert calls[0][0] is noisy and calls[0][1] is time
