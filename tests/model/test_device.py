"""Networks prepared for sampling."""

import pytest
import torch
from torch import nn

from histosynth.model.device import ItemGroupNorm, itemwise_norms


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
