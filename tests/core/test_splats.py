"""Maps of all nuclei at once hold what is drawn nucleus by nucleus."""

import numpy as np
import pytest

from histosynth.core.geometry import Size
from histosynth.core.nuclei import ANY_CLASS, Nuclei


def gaussian_by_gaussian(nuclei, cell, sigma_px):
    """Every value of every nucleus, cut off where its window of whole cells ends."""
    height, width = (-(-side // cell) for side in nuclei.size.shape)
    rows, columns = np.mgrid[:height, :width]
    maps = np.zeros((len(nuclei.classes), height, width))
    radius = np.ceil(3 * sigma_px / cell)
    for (x, y), kind in zip((nuclei.xy - (cell - 1) / 2) / cell, nuclei.class_ids, strict=True):
        near = (abs(columns - np.rint(x)) <= radius) & (abs(rows - np.rint(y)) <= radius)
        squared = (columns - x) ** 2 + (rows - y) ** 2
        value = near * np.exp(-squared * (cell / sigma_px) ** 2 / 2)
        if kind == ANY_CLASS:
            maps = np.maximum(maps, value / len(maps))
        else:
            maps[kind] = np.maximum(maps[kind], value)
    return maps


def ellipse_by_ellipse(nuclei, cell):
    height, width = (-(-side // cell) for side in nuclei.size.shape)
    rows, columns = np.mgrid[:height, :width]
    out = np.zeros((height, width))
    for (x, y), (area, elongation, angle) in zip(nuclei.xy, nuclei.shapes, strict=True):
        if np.isnan(area):
            continue
        radius = np.sqrt(area / np.pi) / nuclei.mpp / cell
        long_axis = radius * np.sqrt(elongation)
        x, y = ((value - (cell - 1) / 2) / cell for value in (x, y))
        dx, dy = columns - x, rows - y
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        along = (dx * cosine + dy * sine) / long_axis
        across = (dy * cosine - dx * sine) / long_axis * elongation
        squared = along**2 + across**2
        value = np.clip(1 - squared / 2, 0, 1)
        value = value * np.clip((1 - np.sqrt(squared)) * radius + 0.5, 0, 1)
        near = (abs(dx) <= long_axis + 1.99) & (abs(dy) <= long_axis + 1.99)
        out = np.maximum(out, near * value)
    return out


def drawn(seed, size=(150, 97), count=60):
    """Nuclei of all classes and of none, some without a shape, some beyond the edges in part."""
    random = np.random.default_rng(seed)
    low, high = -0.5, np.array(size) - 0.51
    xy = random.uniform(low, high, (count, 2)).astype(np.float32)
    ids = random.choice([0, 1, 2, ANY_CLASS], count).astype(np.uint8)
    shapes = np.stack(
        [
            np.exp(random.normal(3.3, 0.6, count)),
            np.exp(np.abs(random.normal(0, 0.4, count))).clip(1, 4),
            random.uniform(0, 180, count),
        ],
        axis=1,
    )
    shapes[random.random(count) < 0.2] = np.nan
    return Nuclei(
        xy=xy,
        class_ids=ids,
        classes=("a", "b", "c"),
        size=Size(*size),
        mpp=0.5,
        shapes=shapes.astype(np.float32),
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("cell", "sigma_px"), [(1, 2.0), (2, 2.0), (4, 2.5)])
def test_gaussians_of_a_tile_are_those_of_each_nucleus(seed, cell, sigma_px):
    nuclei = drawn(seed)
    found = nuclei.rasterize(cell=cell, sigma_px=sigma_px)
    np.testing.assert_allclose(
        found,
        gaussian_by_gaussian(nuclei, cell, sigma_px),
        atol=1e-6,
    )


@pytest.mark.parametrize("seed", range(4))
def test_ellipses_of_a_tile_are_those_of_each_nucleus(seed):
    nuclei = drawn(seed)
    found = nuclei.rasterize_shapes(cell=2)
    np.testing.assert_allclose(found[0], ellipse_by_ellipse(nuclei, 2), atol=1e-5)


def test_a_giant_nucleus_reaches_over_the_tile():
    shapes = np.array([[2000, 1, 0], [30, 2, 45]], np.float32)
    nuclei = Nuclei(
        xy=np.array([[60, 60], [100, 20]], np.float32),
        class_ids=np.zeros(2, np.uint8),
        classes=("a",),
        size=Size(128, 128),
        mpp=0.5,
        shapes=shapes,
    )
    found = nuclei.rasterize_shapes(cell=2)[0]
    np.testing.assert_allclose(found, ellipse_by_ellipse(nuclei, 2), atol=1e-5)
    assert (found > 0.5).sum() * 4 * 0.25 == pytest.approx(2030, rel=0.06)


def test_the_order_of_nuclei_changes_nothing():
    nuclei = drawn(7)
    order = np.random.default_rng(1).permutation(len(nuclei))
    turned = Nuclei(
        xy=nuclei.xy[order],
        class_ids=nuclei.class_ids[order],
        classes=nuclei.classes,
        size=nuclei.size,
        mpp=nuclei.mpp,
        shapes=nuclei.shapes[order],
    )
    assert np.array_equal(nuclei.rasterize(), turned.rasterize())
    assert np.array_equal(nuclei.rasterize_shapes(), turned.rasterize_shapes())
