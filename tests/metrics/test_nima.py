"""NIMA's network: how it is opened, what it is shown, and each refusal in words."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from histosynth.core.errors import BadWeights, NeedsExtra, NotRGB
from histosynth.metrics.nima import open_nima


def install(monkeypatch, create_metric):
    monkeypatch.setitem(sys.modules, "pyiqa", SimpleNamespace(create_metric=create_metric))


def test_nima_without_its_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(NeedsExtra) as error:
        open_nima(tmp_path / "weights.pth")
    assert str(error.value) == (
        "NIMA is not installed. Install it: pip install 'histosynth[nima]'."
    )


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (None, "there is no such file"),
        (RuntimeError("Invalid magic number\nand more"), "Invalid magic number"),
        (KeyError("params"), "'params'"),
        (OSError("cut off."), "cut off"),
        (ValueError(""), "ValueError"),
    ],
)
def test_weights_that_cannot_be_loaded(monkeypatch, tmp_path, failure, reason):
    path = tmp_path / "weights.pth"

    def create_metric(name, **how):
        raise failure

    install(monkeypatch, create_metric)
    if failure is not None:
        path.write_bytes(b"0")
    with pytest.raises(BadWeights) as error:
        open_nima(str(path))
    assert str(error.value) == (
        f"{path} cannot be loaded as weights: {reason}. "
        "Get the file again and compare its sha256 with the bundle's card."
    )
    assert error.value.__cause__ is failure


def test_a_tile_is_shown_as_a_batch_of_float32_from_0_to_1(monkeypatch, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"0")
    opened = []
    shown = []

    def create_metric(name, **how):
        opened.append((name, how))

        def rate(batch):
            shown.append((batch, torch.is_grad_enabled()))
            return torch.tensor([[5.25]])

        return rate

    install(monkeypatch, create_metric)
    rate = open_nima(path)
    assert opened == [("nima", {"device": "cpu", "pretrained_model_path": str(path)})]
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    rating = rate(pixels)
    assert rating == 5.25
    assert type(rating) is float
    ((batch, has_gradient),) = shown
    assert batch.dtype == torch.float32
    assert batch.shape == (1, 3, 4, 6)
    np.testing.assert_array_equal(batch[0].permute(1, 2, 0), np.float32(pixels) / 255)
    assert not has_gradient
    with pytest.raises(NotRGB) as error:
        rate(pixels[..., :2])
    assert str(error.value).startswith("tile is ")
