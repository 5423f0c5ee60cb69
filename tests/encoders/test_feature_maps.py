"""What encoders do with their maps: spatial features, and distances of channels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from histosynth.encoders.feature_maps import channel_distance, spatial_features
from histosynth.encoders.histo import fit_whitening, load_encoder, raw_features
from histosynth.encoders.info import EncoderInfo


def test_spatial_features_are_eight_channels_on_seven_by_seven():
    maps = torch.randn(2, 20, 14, 14, generator=torch.Generator().manual_seed(0))
    found = spatial_features(maps)
    assert found.shape == (2, 8 * 7 * 7)
    blocks = maps[:, :8].reshape(2, 8, 7, 2, 7, 2).mean((3, 5))
    assert torch.allclose(found, blocks.flatten(1), atol=1e-6)


def test_the_distance_ignores_how_strong_a_channel_vector_is():
    one = torch.zeros(1, 2, 1, 3)
    one[0, 0] = torch.tensor([1.0, 5.0, 2.0])
    other = torch.zeros(1, 2, 1, 3)
    other[0, 0] = torch.tensor([3.0, 0.0, 0.0])
    other[0, 1] = torch.tensor([0.0, 1.0, 0.0])
    apart = channel_distance(one, other)
    assert apart.shape == (1, 1, 3)
    assert apart[0, 0].tolist() == pytest.approx([0, 2, 1], abs=1e-6)


def test_spatial_features_of_the_embedded_encoder_are_those_at_stride_8():
    encoder = load_encoder()
    pictures = np.random.default_rng(0).integers(0, 256, (1, 128, 96, 3)).astype(np.uint8)
    maps = encoder.maps(pictures)
    assert maps[1].shape[-2:] == (16, 12)
    found = encoder.embed(pictures).spatial
    assert torch.equal(torch.from_numpy(found), spatial_features(maps[1]))


def test_raw_features_are_mean_and_spread_of_each_channel():
    maps = [torch.arange(12.0).reshape(1, 2, 2, 3), torch.ones(1, 1, 4, 4)]
    found = raw_features(maps)[0].tolist()
    spread = float(torch.arange(6.0).std(unbiased=False))
    assert found == pytest.approx([2.5, 8.5, spread, spread, 1.0, 0.0])


def test_directions_of_little_variance_are_not_blown_up():
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(500, 1, generator=generator)
    raw = shared.repeat(1, 4) + 0.01 * torch.randn(500, 4, generator=generator)
    features = fit_whitening(raw, 4).apply(raw)
    spread = features.std(0)
    assert spread[0] > 0.8 and (spread[1:] < 0.05).all(), "the ridge is the mean variance"


@pytest.mark.parametrize(
    "wrong",
    [
        {"mpp": 0.04},
        {"widths": (), "blocks": ()},
        {"widths": (8,)},
        {"widths": (8, 2049)},
        {"blocks": (1, 33)},
        {"widths": (8,) * 9, "blocks": (1,) * 9},
    ],
)
def test_a_card_out_of_its_limits_is_refused(wrong):
    values = {"name": "x", "mpp": 0.5, "widths": (8, 8), "blocks": (1, 1)}
    assert EncoderInfo(**values).name == "x"
    with pytest.raises(ValueError, match="must"):
        EncoderInfo(**{**values, **wrong})


def test_a_mask_counts_by_the_share_of_each_cell_that_it_covers():
    from histosynth.encoders.histo import _share_of_cells

    inside = torch.zeros(1, 2, 8, 12)
    inside[0, 0, :4, :4] = 1
    inside[0, 1, :, 10:] = 1
    share = _share_of_cells(inside, torch.zeros(1, 2, 3))
    assert share[0].tolist() == [[1, 0, 0], [0, 0, 0]]
    assert share[1].tolist() == [[0, 0, 0.5], [0, 0, 0.5]]
    assert torch.equal(share, F.avg_pool2d(inside, 4)[0])
