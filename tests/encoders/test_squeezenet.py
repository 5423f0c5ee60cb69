"""SqueezeNet: features, distances within masks, and the public weights where they lie beside the
checkout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from histosynth.core.errors import BadWeights
from histosynth.core.store import sha256_of
from histosynth.encoders import squeezenet
from histosynth.encoders.feature_maps import spatial_features
from histosynth.encoders.squeezenet import load_squeezenet

PUBLIC = Path(__file__).parents[3] / "shared" / "weights" / "squeezenet11.safetensors"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("squeezenet") / "net.safetensors"
    shapes = squeezenet._weight_shapes()
    tensors = {
        n: torch.randn(s) * (2 / np.prod(s[1:])) ** 0.5 if len(s) > 1 else torch.randn(s) * 0.1
        for n, s in shapes.items()
    }
    save_file(tensors, path)
    return path


def test_features_are_the_last_maps_averaged(weights, pictures):
    encoder = load_squeezenet(weights)
    found = encoder.embed(pictures)
    assert found.features.shape == (3, 512) and found.features.dtype == np.float32
    assert np.allclose(found.features, encoder.maps(pictures)[-1].mean((2, 3)), rtol=1e-5)
    stride_8 = encoder.maps(pictures)[2]
    assert np.allclose(found.spatial, spatial_features(stride_8), rtol=1e-5)
    assert found.spatial.shape == (3, 8 * 7 * 7) and found.spatial.std(0).max() > 0
    assert encoder.about["weights_sha256"] == sha256_of(weights)


def test_maps_are_at_seven_depths(weights):
    maps = load_squeezenet(weights).maps(np.zeros((1, 64, 64, 3), np.uint8))
    assert [x.shape[1] for x in maps] == [64, 128, 256, 384, 384, 512, 512]
    assert [x.shape[2] for x in maps] == [31, 15, 7, 3, 3, 3, 3]


def test_results_do_not_depend_on_the_batch(weights, pictures, monkeypatch):
    encoder = load_squeezenet(weights)
    masks = np.ones((3, 1, 40, 48), bool)
    other = pictures[::-1].copy()
    features = encoder.embed(pictures).features
    apart = encoder.distance(pictures, other, masks)
    monkeypatch.setattr(squeezenet, "_BATCH", 2)
    assert np.allclose(
        encoder.embed(pictures).features,
        features,
        rtol=1e-5,
        atol=1e-4,
    )
    assert np.allclose(encoder.distance(pictures, other, masks), apart, rtol=1e-5)


def test_distances_depend_on_their_mask_only(weights, pictures):
    encoder = load_squeezenet(weights)
    other = pictures.copy()
    other[:, :8, :8] = 0  # a corner
    masks = np.zeros((3, 3, 40, 48), bool)
    masks[:, 0, :8, :8], masks[:, 1, 36:, 44:] = True, True
    near, far, none = encoder.distance(pictures, other, masks).T
    assert (near > 20 * far).all() and np.isnan(none).all()
    assert (encoder.distance(pictures, pictures, masks)[:, :2] == 0).all()


def test_weights_that_do_not_fit_are_refused(weights, tmp_path):
    tensors = load_file(weights)
    del tensors["features.12.expand3x3.bias"]
    save_file(tensors, tmp_path / "less.safetensors")
    with pytest.raises(BadWeights, match=r"1 tensors are absent .*features.12.expand3x3.bias"):
        load_squeezenet(tmp_path / "less.safetensors")
    with pytest.raises(BadWeights, match="safetensors"):
        load_squeezenet(tmp_path / "net.pth")
    with pytest.raises(BadWeights, match="No such file"):
        load_squeezenet(tmp_path / "none.safetensors")


@pytest.mark.data
@pytest.mark.skipif(
    not PUBLIC.is_file(), reason="the shared weights do not lie beside this checkout"
)
def test_the_public_weights_distinguish_a_blurred_picture_from_a_shifted_one(tile):
    encoder = load_squeezenet(PUBLIC)
    pictures = np.stack([tile[:128], np.roll(tile[:128], 1, 1), tile[:128] // 2])
    masks = np.ones((2, 1, 128, 128), bool)
    shifted, darkened = encoder.distance(pictures[[0, 0]], pictures[1:], masks)[:, 0]
    assert 0 < shifted < darkened
    features = encoder.embed(pictures).features
    apart = np.linalg.norm(features[1:] - features[0], axis=1)
    assert 0 < apart[0] < apart[1]
