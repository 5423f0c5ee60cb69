"""Maps of a whole batch on a device: the values of those that are drawn tile by tile."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from histosynth.core.geometry import Size
from histosynth.core.nuclei import Nuclei
from histosynth.model.device_maps import shape_maps, splat_maps

CPU = torch.device("cpu")
CLASSES = ("epithelial", "lymphocyte", "stromal")
CELL = 2


def drawn_nuclei(seed: int, size: Size, count: int = 60, *, shapes: bool = True) -> Nuclei:
    """Nuclei of all classes and of none, some beyond each border but for their centroid, some
    long and thin."""
    random = np.random.default_rng(seed)
    last = [size.width - 0.6, size.height - 0.6]
    xy = random.uniform([-0.5, -0.5], last, (count, 2))
    xy[:4] = [[-0.5, -0.5], [last[0], -0.5], [-0.5, last[1]], last]
    ids = random.choice([0, 1, 2, 255], count)
    known = np.column_stack(
        [
            random.uniform(5, 400, count),
            random.uniform(1, 8, count),
            random.uniform(0, 180, count),
        ]
    )
    known[::5] = np.nan
    return Nuclei(
        xy.astype(np.float32),
        ids.astype(np.uint8),
        CLASSES,
        size,
        0.5,
        shapes=known.astype(np.float32) if shapes else None,
    )


@pytest.mark.parametrize("size", [Size(64, 64), Size(101, 67), Size(256, 128)])
def test_maps_of_a_batch_are_those_of_each_tile(size: Size):
    batch = [
        drawn_nuclei(0, size),
        None,
        drawn_nuclei(1, size, shapes=False),
        Nuclei.none(size, 0.5, CLASSES),
        drawn_nuclei(2, size, 7),
    ]
    splats = splat_maps(batch, classes=3, size=size, cell=CELL, device=CPU)
    shapes = shape_maps(batch, size=size, cell=CELL, device=CPU)
    blank = Nuclei.none(size, 0.5, CLASSES)
    for item, nuclei in enumerate(each or blank for each in batch):
        np.testing.assert_allclose(splats[item], nuclei.rasterize(cell=CELL), atol=1e-6)
        np.testing.assert_allclose(shapes[item], nuclei.rasterize_shapes(cell=CELL), atol=1e-6)
    assert splats[0].max() > 0.9
    assert shapes[0].amax((1, 2)).min() > 0.9


def test_a_batch_without_nuclei_is_zeros():
    size = Size(32, 48)
    splats = splat_maps([None, None], classes=3, size=size, cell=CELL, device=CPU)
    shapes = shape_maps([None, None], size=size, cell=CELL, device=CPU)
    assert splats.shape == (2, 3, 24, 16)
    assert shapes.shape == (2, 2, 24, 16)
    assert not splats.any()
    assert not shapes.any()


def test_many_nuclei_are_drawn_part_by_part(monkeypatch: pytest.MonkeyPatch):
    size = Size(64, 64)
    batch = [drawn_nuclei(seed, size) for seed in range(3)]
    whole = shape_maps(batch, size=size, cell=CELL, device=CPU)
    monkeypatch.setattr("histosynth.model.device_maps._MAX_VALUES", 4096)
    parts = shape_maps(batch, size=size, cell=CELL, device=CPU)
    assert torch.equal(whole, parts)
