"""Bundles on disk: whole, hashed, and never executing anything."""

import json
import shutil

import pytest
import torch

import histosynth as hs
from histosynth.core.errors import BadWeights, BundleMismatch
from histosynth.model.adapters import AdapterInfo, add_adapter, base_sha256, save_adapter
from histosynth.model.bundle import load_bundle
from histosynth.model.info import read_info
from histosynth.testing import tiny_bundle


@pytest.fixture
def copied(bundle_folder, tmp_path):
    return shutil.copytree(bundle_folder, tmp_path / "bundle")


def test_a_bundle_is_the_same_after_saving_and_loading(bundle_folder):
    made, loaded = tiny_bundle(), load_bundle(bundle_folder)
    assert loaded.info.kinds == made.info.kinds and loaded.info.palette == made.info.palette
    for name in ("autoencoder", "unet", "structure"):
        pairs = zip(
            getattr(made, name).state_dict().items(), getattr(loaded, name).state_dict().items(), strict=True
        )
        for (key, before), (again, after) in pairs:
            assert key == again
            torch.testing.assert_close(before, after, atol=1e-3, rtol=1e-3)  # float16 on disk


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
def test_a_broken_card_is_refused(copied, text):
    (copied / "bundle.json").write_text(text)
    with pytest.raises(BundleMismatch):
        read_info(copied)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleMismatch, match="the folder is no bundle"):
        hs.open_bundle(tmp_path)


def test_the_opened_bundle_wears_global_for_synthesis(copied):
    plain = hs.open_bundle(copied, device="cpu", dtype="fp32")
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)
    before = hs.synthesize(nuclei, bundle=plain)[0]
    fresh = load_bundle(copied)
    sha256 = base_sha256(fresh.unet)
    add_adapter(fresh.unet, "global", rank=4, alpha=4.0, targets=["conv1"])
    for key, parameter in fresh.unet.named_parameters():
        if ".lora_B." in key:
            torch.nn.init.normal_(parameter, std=0.3)
    info = AdapterInfo("global", 4, 4.0, ("conv1",), sha256, fresh.info.kinds, 0.5)
    save_adapter(fresh.unet, info, copied / "adapters" / "global")
    worn = hs.open_bundle(copied, device="cpu", dtype="fp32")
    after = hs.synthesize(nuclei, bundle=worn)[0]
    assert (before.pixels != after.pixels).any()
    assert before.recipe["bundle"]["adapter"] is None and after.recipe["bundle"]["adapter"] == "global"


def test_a_saved_bundle_tells_nobody_where_it_came_from(bundle_folder, tmp_path):
    load_bundle(bundle_folder).save(tmp_path / "again")
    for path in (tmp_path / "again").rglob("*.json"):
        assert str(bundle_folder) not in path.read_text()
        assert "_name_or_path" not in path.read_text()


def test_the_compact_bundle_is_whole_and_small():
    from histosynth.pipeline import COMPACT

    bundle = load_bundle(COMPACT)
    assert bundle.info.kinds == hs.KINDS and len(bundle.info.palette) == 8
    assert sum(path.stat().st_size for path in COMPACT.rglob("*")) <= 48_000_000
    assert "not for diagnosis" in (COMPACT / "README.md").read_text()
    assert not [path for path in COMPACT.rglob("*.json") if "_name_or_path" in path.read_text()]
