"""InceptionV3 as FID knows it: shapes, patches, files. For its numbers see
benchmarks/encoder_parity.py."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from histosynth.core.errors import BadWeights
from histosynth.encoders import inception
from histosynth.encoders.inception import load_inception
from histosynth.encoders.inception_net import InceptionNet
from histosynth.encoders.resizing import clean_resize, whole_signal
from histosynth.encoders.weight_files import PublicFile


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights that keep signals alive, float16."""
    torch.manual_seed(0)
    network = InceptionNet()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.bias.data.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    path = tmp_path_factory.mktemp("inception") / "net.safetensors"
    save_file(
        {k: v.half() for k, v in network.state_dict().items() if "num_batches" not in k}, path
    )
    return path


@pytest.fixture(scope="module")
def encoder(weights):
    return load_inception(weights)


def test_names_are_those_of_the_public_file(weights):
    shapes = {key: tuple(value.shape) for key, value in load_file(weights).items()}
    assert len(shapes) == 94 * 5  # convolutions, each with a weight and four numbers of its norm
    assert shapes["Conv2d_1a_3x3.conv.weight"] == (32, 3, 3, 3)
    assert shapes["Conv2d_4a_3x3.bn.running_var"] == (192,)
    assert shapes["Mixed_5b.branch1x1.conv.weight"] == (64, 192, 1, 1)
    assert shapes["Mixed_5d.branch_pool.bn.bias"] == (64,)
    assert shapes["Mixed_6a.branch3x3.conv.weight"] == (384, 288, 3, 3)
    assert shapes["Mixed_6d.branch7x7dbl_5.conv.weight"] == (192, 160, 1, 7)
    assert shapes["Mixed_7a.branch7x7x3_4.conv.weight"] == (192, 192, 3, 3)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert (
        sum(np.prod(shape) for shape in shapes.values()) == 21_785_568 + 2 * 17_216
    )  # trained; means and variances


def test_average_pools_do_not_count_padding_and_the_last_pool_is_a_maximum():
    network = InceptionNet()
    ones = torch.ones(1, 1, 4, 4)
    peak = torch.zeros(1, 1, 3, 3)
    peak[..., 1, 1] = 9
    for name in ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b"):
        pool = network.get_submodule(f"Mixed_{name}").pool
        assert torch.equal(pool(ones), ones) and pool(peak)[0, 0, 1, 1] == 1, name
        assert pool(peak)[0, 0, 0, 0] == 9 / 4, name
    assert (network.Mixed_7c.pool(peak) == 9).all()


@torch.inference_mode()
def test_features_are_the_last_map_averaged_and_the_first_channels_of_mixed_6d(encoder, pictures):
    network = encoder.forward.args[0]
    kept = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: kept.update({name: out})
        )
        for name in ("Mixed_6d.branch1x1", "Mixed_7c")
    ]
    found = encoder.embed(pictures[:2])
    for hook in hooks:
        hook.remove()
    assert found.features.shape == (2, 2048) and found.features.dtype == np.float32
    assert found.spatial.shape == (2, 7 * 17 * 17) and found.spatial.dtype == np.float32
    assert kept["Mixed_7c"].shape == (2, 2048, 8, 8)
    assert np.allclose(found.features, kept["Mixed_7c"].mean((2, 3)), rtol=1e-5)
    branch = kept["Mixed_6d.branch1x1"]
    assert found.spatial.reshape(2, 17, 17, 7)[1, 3, 5, 6] == branch[1, 6, 3, 5]
    assert found.features.std(0).max() > 1e-3  # two pictures are not the same


def test_features_do_not_depend_on_the_batch(encoder, pictures, monkeypatch):
    together = encoder.embed(pictures)
    monkeypatch.setattr(inception, "_BATCH", 2)
    parted = encoder.embed(pictures)
    alone = encoder.embed(pictures[2:])
    scale = np.abs(together.features).max()
    assert np.abs(parted.features - together.features).max() < 1e-5 * scale
    assert np.abs(alone.features - together.features[2:]).max() < 1e-5 * scale
    assert (
        np.abs(alone.spatial - together.spatial[2:]).max() < 1e-5 * np.abs(together.spatial).max()
    )


def test_the_network_sees_x_less_128_by_128(encoder, pictures, monkeypatch):
    network = encoder.forward.args[0]
    seen = []
    hook = network.Conv2d_1a_3x3.register_forward_pre_hook(
        lambda _, given: seen.append(given[0].clone())
    )
    encoder.embed(
        np.stack([np.zeros((299, 299, 3), np.uint8), np.full((299, 299, 3), 255, np.uint8)])
    )
    hook.remove()
    assert (seen[0][0] == -1).all() and (seen[0][1] == 127 / 128).all()


def test_what_must_be_reported_is_in_about(encoder, weights):
    about = encoder.about
    assert encoder.name == "inception"
    assert about["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert "not the public file" in about["weights"]
    assert about["numbers"] == "float32" and "128" in about["input"] and "299" in about["resize"]


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file({"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 5, 5)}, path)
    with pytest.raises(BadWeights, match=r"469 absent .*1 of another shape"):
        load_inception(path)


@pytest.mark.parametrize("name", ["net.pth", "net.pt"])
def test_a_file_that_is_not_pinned_is_refused_with_all_sums(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"anything")
    with pytest.raises(BadWeights) as caught:
        load_inception(path)
    for sha256 in (hashlib.sha256(b"anything").hexdigest(), inception.PYTORCH_FID.sha256):
        assert sha256 in caught.value.problem
    assert inception.TORCHSCRIPT.sha256 in caught.value.problem
    assert "6726825d" in caught.value.remedy


def test_the_public_file_is_read_by_names_and_called_by_its_own(weights, tmp_path, monkeypatch):
    path = tmp_path / "net.pth"
    torch.save(load_file(weights) | {"fc.weight": torch.zeros(2, 2)}, path)
    known = PublicFile("public.pth", "", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(inception, "PYTORCH_FID", known)
    encoder = load_inception(path)
    assert (
        encoder.about["weights"] == "public.pth" and encoder.about["weights_sha256"] == known.sha256
    )


class Script(torch.nn.Module):
    """Means of the picture in 2048 places, if features are requested."""

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        out = img.mean(dim=(1, 2, 3))[:, None].repeat(1, 2048)
        return out if return_features else -out


def script_file(path: Path, monkeypatch, module=None) -> Path:
    torch.jit.script(module or Script()).save(str(path))
    known = PublicFile("script.pt", "", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(inception, "TORCHSCRIPT", known)
    return path


def test_the_script_gives_features_of_levels_0_to_255(tmp_path, monkeypatch):
    encoder = load_inception(script_file(tmp_path / "script.pt", monkeypatch))
    found = encoder.embed(np.full((2, 20, 20, 3), 200, np.uint8))
    assert found.spatial is None and found.features.shape == (2, 2048)
    assert np.allclose(found.features, 200)
    assert encoder.about["spatial"] == "none" and encoder.about["weights"] == "script.pt"


def test_a_script_is_not_run_before_its_sum_is_checked(tmp_path, monkeypatch):
    path = script_file(tmp_path / "script.pt", monkeypatch)
    path.write_bytes(path.read_bytes() + b" ")
    monkeypatch.setattr(
        torch.jit,
        "load",
        lambda *_, **__: pytest.fail("it was loaded"),
    )
    with pytest.raises(BadWeights, match="its sha256 is"):
        load_inception(path)


def test_a_script_that_does_not_do_it_is_refused(tmp_path, monkeypatch):
    with pytest.raises(BadWeights):
        load_inception(script_file(tmp_path / "script.pt", monkeypatch, torch.nn.Linear(1, 1)))


def test_the_resize_keeps_order_and_range():
    picture = np.zeros((30, 60, 3), np.uint8)
    picture[15:, :, 1] = 255
    out = clean_resize(picture, 299)
    assert out.shape == (299, 299, 3) and out.dtype == np.float32
    assert (out[:120, :, 1] < 1).all() and (out[180:, :, 1] > 254).all()
    assert (out[..., 0] == 0).all() and out.min() == 0 and out.max() == 255
    same = np.random.default_rng(0).integers(0, 256, (299, 299, 3)).astype(np.uint8)
    assert np.array_equal(clean_resize(same, 299), same)


def test_the_resize_is_antialiased_and_does_not_round():
    board = (np.indices((598, 598)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, -1)
    middle = clean_resize(board, 299)[20:-20, 20:-20]
    assert np.abs(middle - 127.5).max() < 1  # without antialiasing it would be 0 or 255
    ramp = np.arange(100, dtype=np.uint8)[None, :, None].repeat(100, 0).repeat(3, -1)
    out = clean_resize(ramp, 299)
    assert np.abs(out - out.round()).max() > 0.3


def test_pictures_are_normalized_by_channel():
    picture = np.full((1, 10, 20, 3), (255, 0, 51), np.uint8)
    out = whole_signal(
        picture,
        (8, 4),
        (0.5, 0.25, 0.1),
        (0.5, 0.25, 0.1),
    )
    assert out.shape == (1, 3, 8, 4) and out.dtype == torch.float32
    assert torch.allclose(out.mean((0, 2, 3)), torch.tensor([1.0, -1.0, 1.0]))
