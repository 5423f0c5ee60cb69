"""Pictures that a GPU makes: those of the CPU, but for rounding."""

import numpy as np
import pytest
import torch

import histosynth as hs
from histosynth.model.device import ItemGroupNorm

NUCLEI = [hs.draw_layout((256, 256), mpp=0.5, seed=seed) for seed in range(3)]


@pytest.mark.gpu
def test_pictures_are_those_of_the_cpu_but_for_rounding():
    made = {}
    for device in ("cpu", "cuda"):
        bundle = hs.open_bundle(device=device, dtype="fp32")
        pictures = hs.synthesize(NUCLEI, bundle=bundle, seed=1, grain=False)
        made[device] = np.stack([picture.pixels for picture in pictures]).astype(float)
    assert np.abs(made["cuda"] - made["cpu"]).mean() < 1


@pytest.mark.gpu
def test_one_picture_alone_and_in_a_batch_differ_by_two_levels_at_most():
    bundle = hs.open_bundle(device="cuda", dtype="fp32")
    together = hs.synthesize(NUCLEI, bundle=bundle, seed=1, grain=False)
    for picture, nuclei in zip(together, NUCLEI, strict=True):
        (alone,) = hs.synthesize(nuclei, bundle=bundle, seed=1, grain=False)
        difference = np.abs(picture.pixels.astype(int) - alone.pixels)
        assert difference.max() <= 2


@pytest.mark.gpu
@pytest.mark.parametrize("side", [4, 32, 128])
def test_norms_of_all_items_at_once_are_those_of_each(side):
    norm = ItemGroupNorm(8, 24)
    torch.nn.init.normal_(norm.weight)
    images = torch.randn(5, 24, side, side)
    expected = norm(images)
    found = norm.cuda()(images.cuda()).cpu()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
