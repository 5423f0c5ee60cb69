"""Layouts of slides: a window is the crop of the whole, and looks like tissue."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from histosynth.core.errors import BadLayouts, BadOption
from histosynth.core.geometry import Box
from histosynth.pipeline.slide_layouts import draw_slide_layout
from histosynth.tissue.layouts.coloured_moves import MoveSchedule, move_crowd, scatter_crowd
from histosynth.tissue.layouts.crowds import Ground
from histosynth.tissue.layouts.drawn_layout import DrawnLayout
from histosynth.tissue.layouts.model import LayoutModel, read_layouts
from histosynth.tissue.layouts.move_lattice import CELL_UNITS
from histosynth.tissue.layouts.outlines import empty_outlines
from histosynth.tissue.layouts.position_noise import Places, smooth_noise

SIZE = (4096, 4096)
MPP = 0.5


def of(like, seed=3, size=SIZE):
    return DrawnLayout(read_layouts(), size, mpp=MPP, seed=seed, like=like)


def rows(nuclei, box):
    """Nuclei of a window as hundredths of a pixel of the slide."""
    steps = np.rint(nuclei.xy.astype(float) * 100).astype(int)
    steps += np.array([box.x, box.y]) * 100
    return np.column_stack([steps, nuclei.class_ids])


@pytest.mark.parametrize("like", ["model", "slide"])
def test_a_window_is_the_crop_of_a_larger_one(like):
    large = Box(1301, 1407, 1100, 900)
    small = Box(1733, 1600, 311, 402)
    whole = rows(of(like).window(large), large)
    alone = rows(of(like).window(small), small)
    x, y = whole[:, 0] / 100, whole[:, 1] / 100
    inside = (x >= small.x - 0.5) & (x < small.right - 0.5)
    inside &= (y >= small.y - 0.5) & (y < small.bottom - 0.5)
    assert len(alone) > 20
    np.testing.assert_array_equal(alone, whole[inside])


def test_windows_in_any_order_are_the_same():
    boxes = [Box(x, 800, 400, 300) for x in (900, 1100, 2100)]
    forward = of("model")
    found = [forward.window(box) for box in boxes]
    backward = of("model")
    for box, one in zip(boxes[::-1], found[::-1], strict=True):
        np.testing.assert_array_equal(backward.window(box).xy, one.xy)


def test_parts_of_a_whole_slide_are_its_windows():
    layout = of("slide", size=(1200, 1000))
    parts = [layout.rows((0, row), (25, 60)) for row in (0, 25)]
    count = sum(len(part.inside(Box(0, 0, 1200, 1000))) for part in parts)
    assert count == len(layout.window(Box(0, 0, 1200, 1000))) > 100


def test_seeds_and_likeness_change_the_digest_and_the_nuclei():
    box = Box(1800, 1800, 500, 500)
    found = [of("model"), of("model", seed=4), of("slide")]
    assert len({each.digest for each in found}) == 3
    assert len({len(each.window(box)) for each in found}) == 3


def test_empty_is_the_crop_of_a_larger_one_and_holds_no_nuclei():
    layout = of("slide")
    whole = layout.empty(Box(0, 0, 4096, 2048))
    part = layout.empty(Box(777, 333, 600, 500))
    np.testing.assert_array_equal(part, whole[333:833, 777:1377])
    assert 0.2 < whole.mean() < 0.8
    nuclei = layout.window(Box(0, 0, 4096, 2048))
    columns, lines = np.rint(nuclei.xy).astype(int).clip(0, [4095, 2047]).T
    assert len(nuclei) > 500
    assert whole[lines, columns].mean() < 0.005


def test_a_model_s_likeness_has_no_empty_places():
    layout = of("model")
    assert layout.empty(Box(0, 0, 10, 10)) is None
    assert empty_outlines(layout) == []


def test_outlines_are_those_of_the_mask():
    layout = of("slide")
    outlines = empty_outlines(layout)
    glass = [each for each in outlines if not each.is_lumen]
    assert glass
    area = 0.0
    for each in outlines:
        for number, ring in enumerate(each.rings):
            x, y = ring.T
            size = abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2
            area += size if number == 0 else -size
    share = layout.empty(Box(0, 0, *SIZE)).mean()
    assert abs(area / (SIZE[0] * SIZE[1]) - share) < 0.01


def test_beyond_the_slide_there_is_nothing():
    layout = of("model", size=(300, 300))
    nuclei = layout.window(Box(-200, 100, 900, 50))
    assert len(nuclei)
    assert nuclei.xy[:, 0].min() >= 199.5
    assert nuclei.xy[:, 0].max() < 499.5
    assert len(layout.window(Box(300, 0, 50, 50))) == 0


def test_nuclei_keep_their_distance():
    layout = of("model")
    moved = layout.window(Box(500, 500, 1600, 1600))
    free = LayoutModel(**{**vars(read_layouts()), "forces": np.zeros((3, 3, 12))})
    scattered = DrawnLayout(free, SIZE, mpp=MPP, seed=3, like="model").window(
        Box(500, 500, 1600, 1600)
    )

    def close(nuclei):
        gaps = cKDTree(nuclei.xy).query(nuclei.xy, k=2)[0][:, 1] * MPP
        return (gaps < 3).mean()

    assert close(moved) < 0.3 * close(scattered)


def test_moves_without_forces_keep_the_density():
    """Short and long moves sample the density: half of the plane is twice as dense."""
    per_mm2 = np.full((1, 40, 40), 2000.0)
    per_mm2[:, :, 20:] = 4000.0
    ground = Ground.of(per_mm2, (0, 0))
    shares = []
    for seed in range(6):
        crowd = scatter_crowd(ground, seed)
        weak = np.full((1, 1, 12), 1e-3)
        moved = move_crowd(crowd, ground, weak, seed, schedule=MoveSchedule())
        shares.append((moved.x >= 20 * CELL_UNITS).mean())
    assert abs(np.mean(shares) - 2 / 3) < 0.02


def test_smooth_noise_has_variance_1_and_the_kernel_s_correlation():
    cells = Places.of_cells((-300, 50), (300, 300), 10.0)
    noise = np.stack([smooth_noise(seed, 40.0, cells) for seed in range(4)])
    assert abs(noise.std() - 1) < 0.05
    found = (noise[:, :, 4:] * noise[:, :, :-4]).mean()
    assert abs(found - np.exp(-0.25)) < 0.05


@pytest.mark.parametrize(
    ("size", "mpp", "like", "part"),
    [
        ((0, 5), 0.5, "slide", "--size"),
        ((5, 1 << 24), 0.5, "slide", "--size"),
        ((512, 512), 0.01, "slide", "--mpp"),
        ((512, 512), float("nan"), "slide", "--mpp"),
        ((512, 512), 0.5, "tissue", "--like"),
    ],
)
def test_options_that_cannot_be_drawn_are_refused(size, mpp, like, part):
    with pytest.raises(BadOption, match=part):
        draw_slide_layout(size, mpp=mpp, like=like)


def write_field(path, classes=("stromal", "epithelial", "lymphocyte"), shape=(3, 8, 16), **changes):
    maps = np.zeros(shape)
    maps[0, :, : shape[2] // 2] = 3000.0
    for place, value in changes.items():
        maps.flat[int(place[1:])] = value
    np.savez(path, per_mm2=maps, classes=np.array(classes))
    return path


def test_a_field_of_a_user_is_followed(tmp_path):
    path = write_field(tmp_path / "f.npz")
    layout = draw_slide_layout((2000, 1000), field=path)
    counts = layout.window(Box(0, 0, 900, 1000)).counts()
    assert counts["stromal"] == pytest.approx(3000 * 0.225, rel=0.2)
    assert counts["epithelial"] == counts["lymphocyte"] == 0
    assert len(layout.window(Box(1100, 0, 900, 1000))) == 0
    other = draw_slide_layout((2000, 1000), field=write_field(tmp_path / "g.npz", v0=5.0))
    assert layout.digest != other.digest


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"classes": ("a", "b", "c")}, "its classes are a, b, c, those of the model epithelial"),
        ({"shape": (3, 16, 16)}, "16 x 16 cells, and the slide is 1,000 x 500 um"),
        ({"shape": (2, 8, 16)}, "per_mm2 has the shape"),
        ({"v3": float("inf")}, "1 densities are negative or no numbers"),
        ({"v3": -2.0}, "1 densities are negative"),
        ({"v3": 1e6}, "1,000,000 nuclei per mm2"),
    ],
)
def test_fields_that_cannot_be_are_refused(tmp_path, options, problem):
    path = write_field(tmp_path / "f.npz", **options)
    with pytest.raises(BadLayouts, match=problem):
        draw_slide_layout((2000, 1000), field=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadLayouts, match="as a density map"):
        draw_slide_layout((2000, 1000), field=path)
