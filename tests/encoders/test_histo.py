"""The embedded encoder: what is in the batch does not matter, distances are distances, and it is
small."""

import numpy as np
import pytest
import torch

from histosynth.core.weights_folder import WEIGHTS_FILE
from histosynth.encoders.histo import fit_whitening, load_encoder
from histosynth.encoders.info import SHIPPED_ENCODER, read_encoder_info


@pytest.fixture(scope="module")
def encoder():
    return load_encoder()


def test_it_ships_small_with_its_card(encoder):
    assert (SHIPPED_ENCODER / WEIGHTS_FILE).stat().st_size <= 8_000_000
    assert encoder.about["weights_sha256"] == read_encoder_info(SHIPPED_ENCODER).sha256
    assert (SHIPPED_ENCODER / "README.md").is_file()


def test_features_of_a_picture_do_not_depend_on_the_batch(encoder):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 72, 90, 3)).astype(np.uint8)
    together = encoder.embed(pictures)
    alone = encoder.embed(pictures[3:4])
    np.testing.assert_allclose(together.features[3], alone.features[0], atol=1e-4)
    np.testing.assert_allclose(together.spatial[3], alone.spatial[0], atol=1e-4)
    assert together.features.shape == (5, 256)
    assert together.spatial.shape[1] == 7 * 7 * 8


def test_an_odd_or_tiny_picture_has_finite_features(encoder):
    for shape in ((1, 33, 65, 3), (1, 5, 4, 3)):
        assert np.isfinite(encoder.embed(np.full(shape, 200, np.uint8)).features).all()


def test_distance_is_measured_within_each_mask_alone(encoder):
    random = np.random.default_rng(0)
    first = random.integers(0, 256, (1, 128, 128, 3)).astype(np.uint8)
    second = first.copy()
    second[:, :32, :32] = 255 - second[:, :32, :32]
    masks = np.zeros((1, 3, 128, 128), bool)
    masks[0, 0, :32, :32] = True
    masks[0, 1, 96:, 96:] = True
    found = encoder.distance(first, second, masks)
    assert found.shape == (1, 3)
    assert found[0, 0] > 10 * found[0, 1] >= 0
    assert np.isnan(found[0, 2])  # an empty mask
    assert np.abs(encoder.distance(first, first, masks)[0, :2]).max() == 0


def test_a_frame_brings_directions_to_like_spread():
    generator = torch.Generator().manual_seed(0)
    raw = (
        torch.randn(400, 6, generator=generator) * torch.tensor([100.0, 10, 1, 0.1, 0.01, 1e-3]) + 7
    )
    mean, matrix = fit_whitening(raw, 6)
    spread = ((raw - mean) @ matrix).std(0)
    assert spread.max() / spread.min() < 1.3
    assert fit_whitening(raw, 3)[1].shape == (6, 3)
