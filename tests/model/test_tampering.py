"""Bundles that were changed by hand: refused with a message, or recorded in the recipes of their
pictures."""

import json
import shutil
import sys

import pytest

import histosynth as hs
from histosynth.core.errors import BadWeights, BundleMismatch, HistosynthError
from histosynth.core.shipped import COMPACT
from histosynth.model.info import hashed, read_info
from histosynth.model.loading import load_bundle

PARTS = ("autoencoder", "structure", "unet")


@pytest.fixture
def copied(bundle_folder, tmp_path):
    return shutil.copytree(bundle_folder, tmp_path / "bundle")


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def older(folder):
    """The bundle as it was written before its settings were hashed."""
    hashes = {k: v for k, v in read_info(folder).hashes.items() if not k.endswith("config.json")}
    change(folder / "bundle.json", hashes=hashes)
    return folder


def recorded(folder):
    """What the recipe of a picture records of its bundle."""
    bundle = hs.open_bundle(folder, device="cpu", dtype="fp32")
    return hs.synthesize(hs.draw_layout((128, 128), mpp=0.5, seed=0), bundle=bundle)[0].recipe[
        "bundle"
    ]


@pytest.mark.parametrize("folder", ["tiny", "compact"])
def test_settings_are_hashed_like_weights(bundle_folder, folder):
    path_of_bundle = bundle_folder if folder == "tiny" else COMPACT
    assert read_info(path_of_bundle).hashes == hashed(path_of_bundle)
    assert {f"{part}/config.json" for part in PARTS} < set(hashed(path_of_bundle))


@pytest.mark.parametrize("part", PARTS)
def test_changed_settings_of_a_network_are_noticed(copied, part):
    change(copied / part / "config.json", _diffusers_version="0")
    with pytest.raises(BundleMismatch, match=r"config\.json.*its sha256 is another"):
        load_bundle(copied)


def test_weights_that_bundle_json_does_not_name_are_refused(copied):
    (copied / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text("{}")
    with pytest.raises(BundleMismatch, match="names no sha256 for it"):
        load_bundle(copied)


def test_an_older_bundle_loads_and_its_recipes_contain_its_settings(copied):
    whole = recorded(copied)
    assert recorded(older(copied)) == whole
    change(copied / "unet" / "config.json", act_fn="gelu")
    assert recorded(copied)["sha256"] != whole["sha256"]


def test_recipes_change_with_every_value_of_bundle_json(copied):
    before = recorded(copied)
    change(copied / "bundle.json", latent_std=[1.5] * 4)
    assert recorded(copied)["sha256"] != before["sha256"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"mpp_tolerance": -5.0}, "mpp_tolerance must lie in 0..1"),
        ({"guidance_span": [5.0, -3.0]}, "guidance_span must lie in 0..1"),
        ({"shift": 1e300}, "shift must lie in"),
        ({"latent_std": [1e300] * 4}, "must lie within 1,000,000"),
        ({"labels": ["a", "a"]}, "labels must be different"),
        ({"labels": ["a", "b", "c"]}, "do not fit bundle.json"),
        ({"classes": ["a", "b"]}, "do not fit bundle.json"),
        ({"latent_mean": [0.0] * 5, "latent_std": [1.0] * 5}, "do not fit bundle.json"),
        ({"style_mean": [0.0] * 3, "style_std": [1.0] * 3}, "styles need 13"),
        ({"least_px": 1}, "do not fit bundle.json"),
        ({"most_px": 10**9}, "tile sides must lie in"),
        (
            {
                "palette": [
                    {
                        "name": "a",
                        "scale": [0.0] * 3,
                        "style": [0.0] * 13,
                    }
                ]
            },
            "three scales from 0.2 to 5",
        ),
        (
            {
                "palette": [
                    {
                        "name": "a",
                        "scale": [1.0] * 3,
                        "style": [1e38] * 13,
                    }
                ]
            },
            "numbers of style",
        ),
        ({"hashes": {"unet/a.safetensors": "", "a\0b": ""}}, "names no sha256"),
    ],
)
def test_values_of_bundle_json_that_cannot_be_are_refused_on_opening(copied, values, sentence):
    change(copied / "bundle.json", **values)
    with pytest.raises(BundleMismatch, match=sentence) as caught:
        hs.open_bundle(copied)
    assert "run again" not in str(caught.value), "one remedy, not two"


def test_a_hash_for_an_impossible_file_name_is_refused(copied):
    change(copied / "bundle.json", hashes={**read_info(copied).hashes, "a\0b": ""})
    with pytest.raises(BundleMismatch, match="is no file's name"):
        load_bundle(copied)


def test_a_bundle_json_nested_too_deeply_is_refused(copied):
    (copied / "bundle.json").write_text("[" * 100 * sys.getrecursionlimit())
    with pytest.raises(BundleMismatch, match="nested too deeply"):
        read_info(copied)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("unet", {"block_out_channels": []}),
        ("unet", {"norm_num_groups": 0}),
        ("unet", {"norm_eps": "x"}),
        ("unet", {"attention_head_dim": 0}),
        ("unet", {"in_channels": None}),
        ("unet", {"act_fn": "foo"}),
        ("structure", {"widths": 0}),
        ("structure", {"strides": [0, 0, 0]}),
        ("structure", {"cell": 0}),
        ("structure", {"cell": "x"}),
        ("structure", {"classes": None}),
        ("structure", {"outputs": "x"}),
        ("autoencoder", {"encoder_block_types": 0}),
        ("autoencoder", {"latent_channels": 0}),
        ("autoencoder", {"decoder_layers_per_block": "x"}),
        ("autoencoder", {"decoder_norm_types": "x"}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_settings_that_build_no_network_are_refused(copied, part, values):
    change(older(copied) / part / "config.json", **values)
    with pytest.raises((BadWeights, BundleMismatch)):
        load_bundle(copied)


@pytest.mark.parametrize("text", ["[]", "{", "3", ""])
def test_settings_that_are_no_table_are_refused(copied, text):
    (older(copied) / "unet" / "config.json").write_text(text)
    with pytest.raises(HistosynthError):
        load_bundle(copied)


def test_hidden_folders_and_files_are_no_part_of_a_bundle(copied):
    (copied / "adapters" / ".ipynb_checkpoints").mkdir(parents=True)
    (copied / "unet" / "._diffusion_pytorch_model.safetensors").write_text("")
    assert hs.open_bundle(copied).adapters == {}
