"""Networks prepared for sampling."""

import pytest
import torch
from torch import nn

from histosynth.model import device
from histosynth.model.device import ItemGroupNorm, itemwise_norms
from histosynth.tensors import device as numbers


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("side", [4, 16, 40])
def test_group_norm_for_sampling_equals_torchs_and_is_the_same_in_any_batch(dtype, side):
    random = torch.Generator().manual_seed(0)
    norm = nn.GroupNorm(4, 20)
    nn.init.normal_(norm.weight, 1, 0.2, generator=random)
    nn.init.normal_(norm.bias, 0, 0.2, generator=random)
    norm.to(dtype)
    images = (torch.randn(5, 20, side, side, generator=random) * 2 + 1).to(dtype)
    images = images.contiguous(memory_format=torch.channels_last)
    expected = norm(images)
    painting = itemwise_norms(nn.Sequential(norm))
    assert type(painting[0]) is ItemGroupNorm
    with torch.inference_mode():
        batch = painting(images)
        torch.testing.assert_close(
            batch,
            expected,
            rtol=1e-2 if dtype == torch.bfloat16 else 1e-5,
            atol=1e-2,
        )
        for index in range(5):
            assert torch.equal(painting(images[index : index + 1]), batch[index : index + 1])


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx2": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_instructions_and_no_clock_choose_the_number_type(monkeypatch, capabilities, expected):
    """A busy machine must not change the bytes of a picture."""

    def timed(dtype):
        raise AssertionError("a measurement decides")

    monkeypatch.setattr(device, "_convolution_seconds", timed)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.delenv("HISTOSYNTH_DTYPE", raising=False)
    numbers.has_bf16_instructions.cache_clear()
    try:
        assert numbers.pick_dtype(torch.device("cpu")) == expected
    finally:
        numbers.has_bf16_instructions.cache_clear()


@pytest.mark.parametrize(("amx", "avx", "expected"), [(1, 0, True), (0, 1, True), (0, 0, False)])
def test_earlier_versions_of_torch_know_the_instructions_too(monkeypatch, amx, avx, expected):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False)
    numbers.has_bf16_instructions.cache_clear()
    try:
        assert numbers.has_bf16_instructions() is expected
    finally:
        numbers.has_bf16_instructions.cache_clear()


@pytest.mark.parametrize("side", [4, 64])
def test_an_accelerator_norms_all_items_at_once(monkeypatch, side):
    """On torch's device without memory, which is no CPU; items one by one would be five calls."""
    shapes = []
    plain = nn.GroupNorm.forward

    def counted(self, maps):
        shapes.append(tuple(maps.shape))
        return plain(self, maps)

    monkeypatch.setattr(nn.GroupNorm, "forward", counted)
    norm = itemwise_norms(nn.Sequential(nn.GroupNorm(4, 20)))[0].to("meta")
    maps = torch.empty(5, 20, side, side, device="meta")
    assert norm(maps).shape == maps.shape
    assert shapes == [(5, 20, side, side)]
