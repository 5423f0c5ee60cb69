"""Pictures that a GPU makes: those of the CPU, but for rounding."""

import numpy as np
import pytest
import torch

import histosynth as hs
from histosynth.model.device import ItemGroupNorm
from histosynth.model.device_maps import shape_maps, splat_maps
from histosynth.sampling.grain_search import DeviceGrainSearch

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


@pytest.mark.gpu
def test_maps_of_a_batch_are_those_of_each_tile():
    size = NUCLEI[0].size
    device = torch.device("cuda")
    options = {"size": size, "cell": 2, "device": device}
    splats = splat_maps(NUCLEI, classes=3, **options).cpu()
    shapes = shape_maps(NUCLEI, **options).cpu()
    for item, nuclei in enumerate(NUCLEI):
        np.testing.assert_allclose(splats[item], nuclei.rasterize(cell=2), atol=1e-6)
        np.testing.assert_allclose(shapes[item], nuclei.rasterize_shapes(cell=2), atol=1e-6)


@pytest.mark.gpu
def test_the_same_patches_of_grain_are_found():
    patches = hs.open_bundle(device="cpu").grain.patches
    looks = np.random.default_rng(0).integers(-120, 121, (3000, 36)).astype(np.float32)
    looks[::3] = 0
    search = DeviceGrainSearch(patches, torch.device("cuda"))
    np.testing.assert_array_equal(search(looks), patches.nearest(looks))


@pytest.mark.gpu
def test_batches_of_any_length_give_the_same_pictures_but_for_rounding():
    bundle = hs.open_bundle(device="cuda", dtype="fp32")
    many = [hs.draw_layout((128, 128), mpp=0.5, seed=seed) for seed in range(12)]
    by_two = hs.synthesize(many, bundle=bundle, seed=1, grain=False, batch=2)
    by_five = hs.synthesize(many, bundle=bundle, seed=1, grain=False, batch=5)
    for one, other in zip(by_two, by_five, strict=True):
        assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 2
