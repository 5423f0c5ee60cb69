"""Decoding the middle of latents gives the pixels of decoding all of them."""

import pytest
import torch

from histosynth.model.autoencoder import build_autoencoder, decode
from histosynth.model.inner_decoding import Rim, decode_inside


def autoencoder(decoder_layers):
    torch.manual_seed(0)
    return build_autoencoder(
        latent_channels=4,
        widths=(8, 8, 16, 32),
        encoder_layers=(0, 1, 1, 1),
        decoder_layers=decoder_layers,
    ).eval()


@pytest.mark.parametrize("margins", [(9, 9, 9, 9), (0, 12, 10, 0), (2, 0, 1, 3), (0, 0, 0, 0)])
@pytest.mark.parametrize("decoder_layers", [(0, 1, 1, 1), (1, 2, 1, 2)])
@torch.inference_mode()
def test_it_is_the_crop_of_the_whole_where_margins_cover_the_reach(decoder_layers, margins):
    network = autoencoder(decoder_layers)
    latents = torch.randn(2, 4, 40, 32)
    left, top, right, bottom = (8 * side for side in margins)
    whole = decode(network, latents)
    height, width = whole.shape[-2:]
    expected = whole[..., top : height - bottom, left : width - right]
    found = decode_inside(network, latents, Rim(*margins))
    assert torch.allclose(found, expected, atol=1e-5)
    assert found.shape == expected.shape


@torch.inference_mode()
def test_margins_are_no_longer_decoded_at_fine_scales():
    network = autoencoder((0, 1, 1, 1))
    sizes = []
    network.decoder.conv_out.register_forward_hook(
        lambda layer, values, result: sizes.append(tuple(result.shape[-2:]))
    )
    decode_inside(network, torch.randn(1, 4, 40, 32), Rim(9, 9, 9, 9))
    assert sizes == [(8 * 22 + 4, 8 * 14 + 4)]
