"""Bundles on disk: whole, hashed, and never executing anything."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import histosynth as hs
from histosynth.core.errors import BadWeights, BundleMismatch
from histosynth.model.adapters import AdapterInfo, add_adapter, base_sha256, save_adapter
from histosynth.model.autoencoder import decode, encode
from histosynth.model.info import read_info
from histosynth.model.loading import load_bundle
from histosynth.model.structure import StructureMaps
from histosynth.testing import tiny_bundle


@pytest.fixture
def copied(bundle_folder, tmp_path):
    return shutil.copytree(bundle_folder, tmp_path / "bundle")


def test_a_bundle_is_the_same_after_saving_and_loading(bundle_folder):
    saved = tiny_bundle()
    loaded = load_bundle(bundle_folder)
    assert loaded.info.classes == saved.info.classes and loaded.info.palette == saved.info.palette
    for name in ("autoencoder", "unet", "structure"):
        pairs = zip(
            getattr(saved, name).state_dict().items(),
            getattr(loaded, name).state_dict().items(),
            strict=True,
        )
        for (key, before), (again, after) in pairs:
            assert key == again
            torch.testing.assert_close(
                before,
                after,
                atol=1e-3,
                rtol=1e-3,
            )  # float16 on disk


def test_the_hash_of_a_base_survives_saving(bundle_folder):
    assert base_sha256(load_bundle(bundle_folder).unet) == base_sha256(tiny_bundle().unet)


def test_a_changed_weights_file_is_noticed(copied):
    path = copied / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleMismatch, match="its sha256 is another"):
        load_bundle(copied)


def test_a_truncated_weights_file_is_refused(copied):
    path = copied / "structure" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadWeights, match="cannot be loaded as weights"):
        load_bundle(copied, verify=False)


def test_a_missing_part_is_refused(copied):
    shutil.rmtree(copied / "unet")
    with pytest.raises(BundleMismatch, match="it is missing"):
        load_bundle(copied)


def test_a_hash_that_leads_out_of_the_folder_is_refused(copied):
    path = copied / "bundle.json"
    values = json.loads(path.read_text())
    values["hashes"]["../../secret"] = "0" * 64
    path.write_text(json.dumps(values))
    with pytest.raises(BundleMismatch, match="leads out of the bundle"):
        load_bundle(copied)


@pytest.mark.parametrize("text", ["", "{", '{"name": "x"}', '{"nam": 1}'])
def test_a_broken_bundle_json_is_refused(copied, text):
    (copied / "bundle.json").write_text(text)
    with pytest.raises(BundleMismatch):
        read_info(copied)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleMismatch, match="the folder is no bundle"):
        hs.open_bundle(tmp_path)


def test_synthesis_uses_the_global_adapter_of_an_opened_bundle(copied):
    plain = hs.open_bundle(copied, device="cpu", dtype="fp32")
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)
    before = hs.synthesize(nuclei, bundle=plain)[0]
    fresh = load_bundle(copied)
    sha256 = base_sha256(fresh.unet)
    add_adapter(
        fresh.unet,
        "global",
        rank=4,
        alpha=4.0,
        targets=["conv1"],
    )
    for key, parameter in fresh.unet.named_parameters():
        if ".lora_B." in key:
            torch.nn.init.normal_(parameter, std=0.3)
    info = AdapterInfo(
        "global",
        4,
        4.0,
        ("conv1",),
        sha256,
        fresh.info.classes,
        0.5,
    )
    save_adapter(fresh.unet, info, copied / "adapters" / "global")
    opened = hs.open_bundle(copied, device="cpu", dtype="fp32")
    after = hs.synthesize(nuclei, bundle=opened)[0]
    assert (before.pixels != after.pixels).any()
    assert (
        before.recipe["bundle"]["adapter"] is None and after.recipe["bundle"]["adapter"] == "global"
    )


def test_a_saved_bundle_does_not_contain_its_origin(bundle_folder, tmp_path):
    load_bundle(bundle_folder).save(tmp_path / "again")
    for path in (tmp_path / "again").rglob("*.json"):
        assert str(bundle_folder) not in path.read_text()
        assert "_name_or_path" not in path.read_text()


def test_the_compact_bundle_is_whole_and_small():
    from histosynth.core.shipped import COMPACT

    bundle = load_bundle(COMPACT)
    assert bundle.info.classes == hs.CLASSES and len(bundle.info.palette) == 8
    assert sum(path.stat().st_size for path in COMPACT.rglob("*")) <= 48_000_000
    assert "not for diagnosis" in (COMPACT / "README.md").read_text()
    assert not [path for path in COMPACT.rglob("*.json") if "_name_or_path" in path.read_text()]


def test_a_bundle_with_adapters_is_saved_with_the_weights_of_its_base(bundle_folder, tmp_path):
    bundle = load_bundle(bundle_folder)
    add_adapter(
        bundle.unet,
        "global",
        rank=4,
        alpha=4.0,
        targets=["conv1"],
    )
    bundle.save(tmp_path / "again")
    assert {parameter.dtype for parameter in bundle.unet.parameters()} == {torch.float32}, (
        "left as it was"
    )
    loaded = load_bundle(tmp_path / "again")
    before = load_bundle(bundle_folder)
    assert loaded.base_sha256 == before.base_sha256
    for key, value in before.unet.state_dict().items():
        assert torch.equal(loaded.unet.state_dict()[key], value)


def test_weights_of_the_averages_are_written_in_their_own_precision(bundle_folder, tmp_path):
    bundle = load_bundle(bundle_folder).to(dtype=torch.bfloat16)
    exact = torch.full_like(
        bundle.unet.state_dict()["conv_out.bias"],
        1 + 2**-10,
        dtype=torch.float32,
    )
    bundle.save(tmp_path / "again", weights={"unet": {"conv_out.bias": exact}})
    assert torch.equal(load_bundle(tmp_path / "again").unet.state_dict()["conv_out.bias"], exact)


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_weights_that_are_not_all_there_are_refused(copied, change):
    path = copied / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    state["another"] = state["conv_in.weight"].clone()
    if change == "missing":
        del state["another"], state["conv_in.weight"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(BadWeights, match=f"weights are {change}"):
        load_bundle(copied, verify=False)


def test_a_bundle_json_that_names_no_hash_is_refused(copied):
    path = copied / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "hashes": {}}))
    with pytest.raises(BundleMismatch, match="names no sha256"):
        load_bundle(copied)


@pytest.mark.parametrize(
    "change",
    [
        {"guidance": float("nan")},
        {"shift": -1.0},
        {"latent_std": [0.0] * 4},
        {"palette": []},
        {"steps": 0},
        {"style_mean": [0.0]},
        {"classes": ["a", "a", "b"]},
        {"classes": ["any", "a", "b"]},
        {"format": 99},
    ],
)
def test_impossible_values_in_bundle_json_are_refused(copied, change):
    path = copied / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BundleMismatch):
        load_bundle(copied)


def test_weights_whose_pictures_are_not_finite_are_refused(bundle_folder):
    bundle = hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")
    next(iter(bundle.unet.parameters())).data.fill_(float("nan"))
    with pytest.raises(BadWeights, match="not all finite"):
        hs.synthesize(hs.draw_layout((128, 128), mpp=0.5, seed=0), bundle=bundle)


def test_a_base_with_another_prediction_type_is_refused(copied):
    path = copied / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "prediction": "v_prediction"}))
    with pytest.raises(BundleMismatch, match="compact base cannot predict v_prediction"):
        load_bundle(copied)


def test_every_input_is_moved_to_the_device_of_the_networks():
    """On the device that holds no numbers: a tensor left on the CPU would be refused there."""
    bundle = tiny_bundle().to(device="meta")
    maps = StructureMaps(
        torch.zeros(2, 3, 64, 64),
        torch.ones(2),
        torch.zeros(2, 3, 128, 128),
        torch.ones(2, 1, 128, 128),
    )
    features = bundle.structure(maps)
    assert features.fine.device.type == "meta"
    assert encode(bundle.autoencoder, torch.zeros(1, 3, 64, 64)).device.type == "meta"
    assert decode(bundle.autoencoder, torch.zeros(1, 4, 8, 8)).device.type == "meta"
