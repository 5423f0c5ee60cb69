"""DINOv2 and related networks: a tiny one from a folder, without the internet."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

from histosynth.core.errors import BadWeights, NeedsExtra
from histosynth.core.store import sha256_of
from histosynth.encoders import dinov2
from histosynth.encoders.dinov2 import load_dinov2
from histosynth.encoders.resizing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
    whole_signal,
)

SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    model = Dinov2Model(Dinov2Config(**SMALL))
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.2)
    place = tmp_path_factory.mktemp("dino") / "dinov2-tiny"
    model.save_pretrained(place)
    processor = {
        "do_center_crop": True,
        "crop_size": {"height": 112, "width": 112},
        "size": {"shortest_edge": 128},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.1],
    }
    (place / "preprocessor_config.json").write_text(json.dumps(processor))
    return place


@pytest.fixture
def copy(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@torch.inference_mode()
def test_features_are_the_class_token_and_a_grid_of_the_patches(folder, pictures):
    encoder = load_dinov2(str(folder))
    found = encoder.embed(pictures)
    tokens = encoder.model(
        pixel_values=whole_signal(
            pictures,
            (112, 112),
            (0.5, 0.4, 0.3),
            (0.2, 0.3, 0.1),
        )
    ).last_hidden_state
    assert tokens.shape == (3, 1 + 8 * 8, 24)
    assert np.allclose(found.features, tokens[:, 0], atol=1e-5)
    assert found.spatial.shape == (3, 8 * 7 * 7)
    corner = (
        tokens[:, 1:].reshape(3, 8, 8, 24)[:, :2, :2, 5].mean((1, 2))
    )  # 8 patches on 7 places overlap
    assert np.allclose(found.spatial.reshape(3, 8, 7, 7)[:, 5, 0, 0], corner, atol=1e-5)
    assert found.features.std(0).max() > 1e-3


def test_features_do_not_depend_on_the_batch(folder, pictures, monkeypatch):
    encoder = load_dinov2(str(folder))
    together = encoder.embed(pictures)
    monkeypatch.setattr(dinov2, "_BATCH", 2)
    parted = encoder.embed(pictures)
    assert np.abs(parted.features - together.features).max() < 1e-5
    assert np.abs(parted.spatial - together.spatial).max() < 1e-5


def test_what_must_be_reported_is_in_about(folder):
    encoder = load_dinov2(str(folder))
    assert encoder.name == "dinov2-tiny"
    assert encoder.about["weights_sha256"] == sha256_of(folder / "model.safetensors")
    assert encoder.about["resize"].startswith("112 x 112")
    assert "(0.5, 0.4, 0.3)" in encoder.about["input"] and encoder.about["numbers"] == "float32"


def test_without_a_processor_it_is_224_px_by_imagenet(copy):
    (copy / "preprocessor_config.json").unlink()
    encoder = load_dinov2(str(copy))
    assert encoder.preprocessing == Preprocessing((224, 224), IMAGENET_MEAN, IMAGENET_STD)
    assert encoder.name == "dinov2-copy"


@pytest.mark.parametrize(
    "wrong", [{"image_std": [0, 1, 1]}, {"crop_size": {"height": 9}}, {"image_mean": 3}]
)
def test_a_processor_that_cannot_be_is_refused(copy, wrong):
    path = copy / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
    with pytest.raises(BadWeights, match="does not specify how pictures go in"):
        load_dinov2(str(copy))


def test_registers_are_no_patches(tmp_path, pictures):
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(1)
    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SMALL, num_register_tokens=3))
    model.save_pretrained(tmp_path / "related")
    encoder = load_dinov2(str(tmp_path / "related"))
    assert encoder.first_patch == 4
    assert encoder.embed(pictures[:1]).spatial.shape == (1, 8 * 7 * 7)


def test_weights_that_are_not_safetensors_are_never_read(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(BadWeights, match=r"holds no model.safetensors.*convert"):
        load_dinov2(str(copy))


def test_weights_that_lack_a_layer_are_refused(copy):
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["encoder.layer.1.mlp.fc1.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadWeights, match="1 of its tensors are absent"):
        load_dinov2(str(copy))


def test_a_network_of_another_make_is_refused(copy):
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "bert"}))
    with pytest.raises(BadWeights, match="it is a bert"):
        load_dinov2(str(copy))


def refusing(monkeypatch, error):
    requested = []

    def snapshot_download(name, **how):
        requested.append((name, how))
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return requested


def test_offline_the_message_names_the_option_for_a_folder(monkeypatch):
    requested = refusing(monkeypatch, LocalEntryNotFoundError("offline"))
    with pytest.raises(
        BadWeights, match=r"the hub cannot be reached.*dinov2:FOLDER, or --weights FOLDER"
    ):
        load_dinov2()
    assert requested[0][0] == "facebook/dinov2-base"
    assert not any(
        pattern.endswith((".bin", ".py", "*")) for pattern in requested[0][1]["allow_patterns"]
    )


def test_the_message_for_a_gated_model_names_where_to_get_access(monkeypatch):
    requested = refusing(
        monkeypatch, GatedRepoError("gated", response=SimpleNamespace(headers={}, request=None))
    )
    with pytest.raises(
        BadWeights, match=r"agreed to their terms.*https://huggingface.co/owner/net"
    ):
        load_dinov2("owner/net@v2")
    assert requested[0][0] == "owner/net" and requested[0][1]["revision"] == "v2"


def test_a_fetched_folder_is_read_like_any(monkeypatch, folder, pictures):
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda *_, **__: str(folder),
    )
    encoder = load_dinov2("owner/phikon@v2")
    assert encoder.name == "dinov2-phikon"
    assert encoder.about["encoder"] == "owner/phikon@v2"


def test_a_path_that_is_no_folder_is_not_requested_from_the_hub(monkeypatch, tmp_path):
    requested = refusing(monkeypatch, AssertionError("the hub was requested"))
    with pytest.raises(BadWeights, match="there is no such folder"):
        load_dinov2(str(tmp_path / "nowhere"))
    assert not requested


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(NeedsExtra, match=r"histosynth\[quality\]"):
        load_dinov2()
