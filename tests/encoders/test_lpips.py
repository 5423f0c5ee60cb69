"""LPIPS, with a module in the package's place: its inputs, and how its maps are averaged."""

import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from histosynth.core.errors import BadOption, BadWeights, NeedsExtra
from histosynth.core.store import sha256_of
from histosynth.encoders import lpips as ours
from histosynth.encoders.lpips import load_lpips


class FakeLpips(torch.nn.Module):
    """The map is the squared difference of the first channels, seen through one layer of the
    trunk."""

    def __init__(self, **how):
        super().__init__()
        self.how = how
        self.net = torch.nn.Module()
        self.net.slice1 = torch.nn.Sequential()
        self.net.slice1.add_module("0", torch.nn.Conv2d(1, 1, 1))

    def forward(self, first, second):
        layer = self.net.slice1
        return (layer(first[:, :1]) - layer(second[:, :1])) ** 2


@pytest.fixture
def trunk(tmp_path, monkeypatch):
    """The package's place is taken; a trunk that doubles."""
    module = types.ModuleType("lpips")
    module.LPIPS = FakeLpips
    monkeypatch.setitem(sys.modules, "lpips", module)
    path = tmp_path / "alexnet.safetensors"
    tensors = {
        "features.0.weight": torch.full((1, 1, 1, 1), 2.0),
        "features.0.bias": torch.zeros(1),
    }
    save_file(tensors | {"classifier.1.weight": torch.zeros(3, 3)}, path)
    return path


def test_the_map_is_averaged_within_each_mask(trunk, pictures):
    judge = load_lpips("alex", trunk)
    other = pictures[::-1].copy()
    masks = np.zeros((3, 3, 40, 48), bool)
    masks[:, 0], masks[:, 1, 5:9, 7:30] = True, True
    apart = (2 * (pictures[..., 0] / 127.5 - other[..., 0] / 127.5)) ** 2
    found = judge.distance(pictures, other, masks)
    assert found.shape == (3, 3) and found.dtype == np.float32
    assert np.allclose(found[:, 0], apart.mean((1, 2)), rtol=1e-5)
    assert np.allclose(found[:, 1], apart[:, 5:9, 7:30].mean((1, 2)), rtol=1e-5)
    assert np.isnan(found[:, 2]).all()
    assert (judge.distance(pictures, pictures, masks)[:, :2] == 0).all()


def test_distances_do_not_depend_on_the_batch(trunk, pictures, monkeypatch):
    judge = load_lpips("alex", trunk)
    masks = np.ones((3, 1, 40, 48), bool)
    together = judge.distance(pictures, pictures[::-1].copy(), masks)
    monkeypatch.setattr(ours, "_BATCH", 1)
    assert np.allclose(
        judge.distance(pictures, pictures[::-1].copy(), masks),
        together,
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", ["alex", "vgg"])
def test_the_package_fetches_nothing_and_names_are_true(trunk, name):
    judge = load_lpips(name, trunk)
    assert judge.network.how == {
        "net": name,
        "spatial": True,
        "pnet_rand": True,
        "verbose": False,
    }
    assert judge.name == f"LPIPS_{name}"
    assert judge.about["weights_sha256"] == sha256_of(trunk)
    assert not judge.network.training


def test_without_a_file_the_public_one_is_used(trunk, monkeypatch):
    known = []
    monkeypatch.setattr(ours, "cached_or_fetched", lambda files: known.extend(files) or trunk)
    load_lpips("vgg")
    assert known == [ours.TRUNKS["vgg"]]
    assert "-397923af." in known[0].name and known[0].sha256.startswith("397923af")
    assert ours.TRUNKS["alex"].sha256.startswith("7be5be79")


def test_another_trunk_is_refused(trunk):
    save_file({"features.1.weight": torch.zeros(1)}, trunk)
    with pytest.raises(BadWeights, match=r"2 layers are absent, first features.0"):
        load_lpips("alex", trunk)
    path = trunk.with_suffix(".pth")
    path.write_bytes(b"anything")
    with pytest.raises(BadWeights, match="7be5be79"):
        load_lpips("alex", path)


def test_pictures_that_are_too_small_are_refused(trunk, pictures):
    small = pictures[:, :31]
    with pytest.raises(BadOption, match="48 x 31 px"):
        load_lpips("alex", trunk).distance(small, small, np.ones((3, 1, 31, 48), bool))


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(NeedsExtra, match=r"histosynth\[lpips\]"):
        load_lpips()
    with pytest.raises(BadOption, match="alex or vgg"):
        load_lpips("squeeze")
