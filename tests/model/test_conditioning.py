"""From conditions to tensors: one way for training, sampling and every check."""

import numpy as np
import pytest
import torch

import histosynth as hs
from histosynth.core.condition import Condition, Context
from histosynth.core.geometry import Size
from histosynth.model.autoencoder import to_float_pixels, to_pixels, to_signal
from histosynth.model.conditioning import (
    ItemConditions,
    conditions_of,
    encode_conditions,
    random_maps,
    structure_maps,
    style_vector,
)
from histosynth.testing import tiny_bundle
from histosynth.tissue.appearance import STYLE_NAMES

SIZE = Size(72, 64)


def layout():
    return hs.draw_layout(SIZE, mpp=0.5, seed=0)


def test_a_style_is_standardised_and_cut_at_three_standard_deviations():
    mean = torch.tensor([1.0, 1.0, 1.0, 1.0])
    std = torch.tensor([2.0, 2.0, 2.0, 2.0])
    style = torch.tensor([1.0, 5.0, 7.5, -99.0])
    vector = style_vector(style, 1, mean=mean, std=std, labels=2)
    assert vector.tolist() == [0.0, 2.0, 3.0, -3.0, 1.0, 0.0, 1.0]


def test_without_style_and_label_the_vector_is_zero():
    mean = torch.zeros(4)
    vector = style_vector(None, None, mean=mean, std=mean + 1, labels=2)
    assert vector.tolist() == [0.0] * 7


def test_conditions_of_a_batch_become_maps_and_style_vectors():
    info = tiny_bundle().info
    nuclei = layout()
    mask = np.zeros((64, 72), bool)
    mask[:32] = True
    pixels = np.full((64, 72, 3), 255, np.uint8)
    style = torch.ones(len(STYLE_NAMES))
    items = [
        ItemConditions(nuclei, known=pixels, mask=mask, style=style, label=0),
        ItemConditions(),
    ]
    conditioning = encode_conditions(items, info, size=SIZE)
    maps = conditioning.maps
    assert maps.has_nuclei.tolist() == [1.0, 0.0]
    assert torch.equal(maps.nuclei[0], torch.from_numpy(nuclei.rasterize(cell=2)))
    assert not maps.nuclei[1].any()
    assert torch.equal(maps.mask[0, 0] > 0, torch.from_numpy(mask))
    assert (maps.mask[1] == 1).all()
    assert (maps.known[0, :, :32] == 0).all() and (maps.known[0, :, 32:] == 1).all()
    assert not maps.known[1].any()
    assert conditioning.style[0].tolist() == [1.0] * len(STYLE_NAMES) + [1.0, 1.0]
    assert not conditioning.style[1].any()


def test_a_canvas_is_rounded_up_to_the_grid_with_masked_pixels_and_no_nuclei():
    maps = structure_maps([layout()], [None], [None], classes=3, size=SIZE, grid_px=32)
    exact = structure_maps([layout()], [None], [None], classes=3, size=SIZE)
    assert maps.mask.shape[-2:] == (64, 96) and maps.nuclei.shape[-2:] == (32, 48)
    assert (maps.mask[..., 72:] == 1).all() and not maps.nuclei[..., 36:].any()
    assert torch.equal(maps.nuclei[..., :36], exact.nuclei)


def test_known_tissue_of_a_condition_is_brought_to_canonical_stain():
    bundle = tiny_bundle()
    appearance = bundle.info.palette[1].appearance
    pixels = np.random.default_rng(0).integers(80, 220, (64, 72, 3)).astype(np.uint8)
    mask = np.zeros((64, 72), bool)
    mask[20:40, 20:40] = True
    nuclei = layout()
    condition = Condition(nuclei, nuclei.size, context=Context(pixels, mask))
    item = conditions_of(condition, appearance, 0)
    assert item.nuclei is nuclei and item.label == 0
    assert np.array_equal(item.mask, mask)
    assert np.array_equal(item.known, appearance.frame.to_canonical(pixels))
    assert np.array_equal(item.style.numpy(), appearance.style)
    assert conditions_of(Condition(nuclei, nuclei.size), appearance, None).known is None


def test_random_maps_lie_in_the_ranges_of_real_ones_and_items_can_be_picked():
    generator = torch.Generator().manual_seed(0)
    maps = random_maps(3, classes=2, size=Size(64, 32), generator=generator)
    assert maps.nuclei.shape == (3, 2, 16, 32) and maps.known.shape == (3, 3, 32, 64)
    assert maps.nuclei.min() > 0 and maps.nuclei.max() < 1 and maps.known.abs().max() < 1
    assert set(maps.mask.unique().tolist()) == {0.0, 1.0}
    second = maps.picked(slice(1, 2))
    for name in ("nuclei", "has_nuclei", "known", "mask"):
        assert torch.equal(getattr(second, name), getattr(maps, name)[1:2])


@pytest.mark.parametrize("shape", [(8, 8, 3), (2, 8, 8, 3)])
def test_pixels_survive_the_way_to_the_signal_and_back(shape):
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    signal = to_signal(pixels)
    assert signal.dtype == torch.float32 and signal.abs().max() <= 1
    assert torch.equal(to_pixels(signal), pixels)
    torch.testing.assert_close(to_float_pixels(signal), pixels.float(), atol=1e-4, rtol=0)
    assert to_float_pixels(torch.full((3, 1, 1), 1.5)).max() == 255
