"""Families of base networks: each is one object, and what it states is true of its networks."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from histosynth.core.errors import AdapterMismatch, BundleMismatch
from histosynth.model.adapters import AdapterInfo
from histosynth.model.families import FAMILIES, TEXT_FAMILIES
from histosynth.model.families.pixart import PixArtNetwork
from histosynth.model.families.schedule import read_schedule
from histosynth.model.families.text import Text
from histosynth.model.families.text_family import TextBase
from histosynth.model.info import NamedBase
from histosynth.model.kohya import to_kohya
from histosynth.model.layer_shapes import stable_diffusion_shapes
from histosynth.model.loading import load_bundle
from histosynth.testing import tiny_bundle

NETWORKS = {
    "compact": lambda: tiny_bundle().unet,
    "stable-diffusion": lambda: TEXT_FAMILIES["stable-diffusion"].network_class(
        block_out_channels=(32, 32, 64, 64),
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=16,
    ),
    "pixart": lambda: PixArtNetwork(
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=1,
        sample_size=16,
        caption_channels=16,
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_the_name_it_is_found_by_and_states_what_its_bundles_hold(name):
    family = FAMILIES[name]
    assert family.name == name
    assert "structure" in family.held_parts
    assert family.holds_base == (name == "compact")
    assert family.predictions


@pytest.mark.parametrize(
    ("name", "channels", "strides", "grid_px"),
    [
        ("compact", (32, 32, 64), (2, 4, 4), 32),
        ("stable-diffusion", (32, 32, 64, 64), (1, 2, 4, 8), 64),
        ("pixart", (16,), (2,), 16),
    ],
)
def test_residuals_and_grid_are_those_of_the_network(name, channels, strides, grid_px):
    family = FAMILIES[name]
    network = NETWORKS[name]()
    assert family.residual_shapes(network) == (channels, strides)
    assert family.grid_px(network) == grid_px


def test_kohyas_names_cover_every_module_of_stable_diffusion_and_none_of_pixart():
    blocks = {name.split(".")[0] for name in stable_diffusion_shapes()[0]}
    assert blocks <= set(FAMILIES["stable-diffusion"].kohya_blocks)
    assert FAMILIES["compact"].kohya_blocks == FAMILIES["stable-diffusion"].kohya_blocks
    assert FAMILIES["pixart"].kohya_blocks == ()
    module = "transformer_blocks.0.attn2.to_q"
    prefix = FAMILIES["pixart"].adapter_prefix
    tensors = {
        f"{prefix}{module}.lora_A.weight": torch.zeros(2, 8),
        f"{prefix}{module}.lora_B.weight": torch.zeros(8, 2),
    }
    info = AdapterInfo("x", 2, 2.0, ("to_q",), "", ("a",), 0.5)
    with pytest.raises(AdapterMismatch, match="a LoRA of a U-Net alone"):
        to_kohya(tensors, info)


def test_a_bundle_of_an_unknown_family_is_refused(bundle_folder, tmp_path):
    folder = shutil.copytree(bundle_folder, tmp_path / "bundle")
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "family": "dit"}))
    with pytest.raises(BundleMismatch, match="family is 'dit', not one of 'compact', 'stable-diff"):
        load_bundle(folder)


def test_a_family_whose_base_is_named_needs_a_base_and_a_prompt_for_each_label():
    info = tiny_bundle().info
    named = NamedBase("someone/base", "ab" * 32)
    prompts = ("", "tissue", "breast tissue")
    right = {"family": "pixart", "prediction": "epsilon", "base": named, "prompts": prompts}
    assert replace(info, **right).base_family is FAMILIES["pixart"]
    for wrong in ({"base": None}, {"prompts": prompts[:2]}, {"family": "compact"}):
        with pytest.raises(ValueError, match="needs base, and a prompt"):
            replace(info, **{**right, **wrong})


def test_the_name_of_a_base_is_published_without_the_folders_of_this_machine():
    named = NamedBase("/home/me/bases/sd15", "ab" * 32, "/home/me/config")
    assert named.without_folders() == NamedBase("sd15", "ab" * 32, "config")
    hub = NamedBase("someone/base", "ab" * 32)
    assert hub.without_folders() == hub


def text_base(name):
    schedule = read_schedule({"beta_schedule": "scaled_linear"}, "x")
    return TextBase(TEXT_FAMILIES[name], schedule, Text(torch.zeros(3, 1, 4)), flag_index=13)


@pytest.mark.parametrize("name", FAMILIES)
def test_networks_are_laid_out_in_the_order_that_trains_fastest_on_a_cpu(name):
    bundle = tiny_bundle()
    if name != "compact":
        bundle = replace(bundle, base=text_base(name))
    bundle.to(device="cpu")
    weight = bundle.unet.conv_in.weight
    bundle.order_for_training()
    channels_last = bundle.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(bundle.unet.conv_in.weight, weight)
    assert channels_last == FAMILIES[name].trains_channels_last == (name == "compact")


def test_only_text_conditioned_bases_have_discrete_steps():
    assert tiny_bundle().denoiser.steps is None
    assert text_base("pixart").make_denoiser(NETWORKS["pixart"]()).steps == 1000
