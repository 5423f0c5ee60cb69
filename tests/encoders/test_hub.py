"""timm's networks, with a module in timm's place: what it is requests, what is read, what is
refused."""

import json
import sys
import types

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import GatedRepoError
from safetensors.torch import save_file

from histosynth.core.errors import BadOption, BadWeights, NeedsExtra
from histosynth.core.store import sha256_of
from histosynth.encoders import hub
from histosynth.encoders.hub import load_hub
from histosynth.encoders.resizing import whole_signal

CONFIG = {
    "architecture": "small_net",
    "model_args": {"img_size": 32},
    "pretrained_cfg": {
        "input_size": [3, 32, 24],
        "mean": [0.7, 0.5, 0.7],
        "std": [0.2, 0.3, 0.2],
    },
}


class SmallNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.look = torch.nn.Conv2d(3, 5, 8, stride=8)

    def forward(self, x):
        return self.look(x).mean((2, 3))


@pytest.fixture
def requests(monkeypatch):
    """What the module in timm's place was requests."""
    calls = []

    def create_model(name, **more):
        calls.append((name, more))
        if "unknown" in more:
            raise TypeError("unexpected argument 'unknown'")
        return SmallNet()

    data = types.ModuleType("timm.data")
    data.resolve_model_data_config = lambda model, pretrained_cfg: dict(pretrained_cfg)
    timm = types.ModuleType("timm")
    timm.create_model = create_model
    timm.data = data
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.data", data)
    return calls


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "UNI"
    place.mkdir()
    (place / "config.json").write_text(json.dumps(CONFIG))
    torch.manual_seed(0)
    tensors = SmallNet().state_dict() | {"head.weight": torch.zeros(2, 5)}
    save_file(tensors, place / "model.safetensors")
    return place


@torch.inference_mode()
def test_a_folder_is_built_filled_and_gets_pictures_as_its_config_states(
    requests, folder, pictures
):
    encoder = load_hub(f"local-dir:{folder}")
    assert requests == [
        (
            "small_net",
            {
                "img_size": 32,
                "num_classes": 0,
                "pretrained": False,
            },
        )
    ]
    torch.manual_seed(0)
    wanted = SmallNet()(
        whole_signal(
            pictures,
            (32, 24),
            (0.7, 0.5, 0.7),
            (0.2, 0.3, 0.2),
        )
    )
    found = encoder.embed(pictures)
    assert np.allclose(found.features, wanted, atol=1e-6) and found.features.dtype == np.float32
    assert found.spatial is None
    assert encoder.name == "UNI" and encoder.about["resize"].startswith("24 x 32")
    assert encoder.about["weights_sha256"] == sha256_of(folder / "model.safetensors")


def test_features_do_not_depend_on_the_batch(
    requests,
    folder,
    pictures,
    monkeypatch,
):
    encoder = load_hub(str(folder))
    together = encoder.embed(pictures).features
    monkeypatch.setattr(hub, "_BATCH", 2)
    assert np.allclose(encoder.embed(pictures).features, together, atol=1e-6)
    assert np.allclose(encoder.embed(pictures[1:]).features, together[1:], atol=1e-6)


def test_arguments_after_the_name_add_to_the_config(requests, folder):
    encoder = load_hub(f"{folder}?init_values=1e-5&dynamic_img_size=true&act=gelu")
    assert requests[0][1] == {
        "img_size": 32,
        "init_values": 1e-5,
        "dynamic_img_size": True,
        "act": "gelu",
        "num_classes": 0,
        "pretrained": False,
    }
    assert encoder.about["arguments"].startswith("init_values")


@pytest.mark.parametrize("arguments", ["nonsense", "pretrained=true", "checkpoint_path=a.bin"])
def test_arguments_that_cannot_be_are_refused(requests, folder, arguments):
    with pytest.raises(BadOption):
        load_hub(f"{folder}?{arguments}")
    assert not requests


def test_the_message_for_what_timm_cannot_build_names_what_may_be_missing(requests, folder):
    with pytest.raises(BadWeights, match=r"unexpected argument.*\?init_values"):
        load_hub(f"{folder}?unknown=1")


def test_only_tensors_and_a_config_are_requested_from_the_hub(requests, folder, monkeypatch):
    calls = []

    def snapshot_download(name, **how):
        calls.append((name, how))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert load_hub("hf-hub:MahmoodLab/UNI@main").name == "UNI"
    assert (
        load_hub("vit_small_patch16_224.dino").about["encoder"] == "timm/vit_small_patch16_224.dino"
    )
    assert [call[0] for call in calls] == ["MahmoodLab/UNI", "timm/vit_small_patch16_224.dino"]
    for _, how in calls:
        assert how["allow_patterns"] == ["config.json", "model.safetensors"]


def test_a_folder_of_weights_is_taken_instead_of_the_hub(requests, folder, monkeypatch):
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda *_, **__: pytest.fail("requests"),
    )
    encoder = load_hub("hf-hub:MahmoodLab/UNI", folder)
    assert encoder.name == "UNI" and encoder.about["encoder"] == "MahmoodLab/UNI"


def test_the_message_for_a_gated_model_names_where_to_get_access(requests, monkeypatch):
    response = types.SimpleNamespace(headers={}, request=None)

    def snapshot_download(*_, **__):
        raise GatedRepoError("gated", response=response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(
        BadWeights, match=r"https://huggingface.co/MahmoodLab/UNI .*hf auth login.*--weights"
    ):
        load_hub("hf-hub:MahmoodLab/UNI")


def test_weights_that_are_not_safetensors_are_never_read(requests, folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadWeights, match="convert its weights once"):
        load_hub(str(folder))
    assert not requests


@pytest.mark.parametrize("change", ["less", "more"])
def test_weights_fit_whole_or_are_refused(requests, folder, change):
    tensors = SmallNet().state_dict()
    if change == "less":
        del tensors["look.bias"]
    else:
        tensors["blocks.0.weight"] = torch.zeros(1)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(BadWeights, match="1 absent" if change == "less" else "1 unknown"):
        load_hub(str(folder))


def test_a_config_without_an_architecture_is_refused(requests, folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(BadWeights, match="names no architecture"):
        load_hub(str(folder))


def test_a_network_that_gives_maps_is_refused(
    requests,
    folder,
    pictures,
    monkeypatch,
):
    monkeypatch.setattr(SmallNet, "forward", lambda self, x: self.look(x))
    with pytest.raises(BadOption, match="one that gives"):
        load_hub(str(folder)).embed(pictures)


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(NeedsExtra, match=r"histosynth\[encoders\]"):
        load_hub("hf-hub:MahmoodLab/UNI")
