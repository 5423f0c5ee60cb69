"""Bundles, bases and adapters of strangers: what their files ask for is refused before it is done.

Every guard is tried with harmless sizes: networks that are asked for are never built.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file

from histosynth.core.errors import AdapterMismatch, BadWeights, BundleMismatch
from histosynth.model.adapters import AdapterInfo, load_adapter, save_adapter
from histosynth.model.families.opening import BaseLocation, embed, open_base
from histosynth.model.info import hashed, read_info
from histosynth.model.layer_shapes import layer_shapes
from histosynth.model.loading import load_bundle
from histosynth.model.packing import bundle_contents
from histosynth.model.parts import load_part
from histosynth.tensors.building import build_empty
from histosynth.tensors.files import write_tensors
from histosynth.testing_bases import tiny_base


@pytest.fixture
def copied(bundle_folder, tmp_path):
    return Path(shutil.copytree(bundle_folder, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return tiny_base(tmp_path_factory.mktemp("base") / "sd", "sd15")


@pytest.fixture
def base(published, tmp_path):
    return Path(shutil.copytree(published, tmp_path / "base"))


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def fit_hashes(folder):
    change(folder / "bundle.json", hashes=hashed(folder))
    return folder


def location(folder):
    return BaseLocation(str(folder), Path())


@pytest.mark.parametrize("part", ["autoencoder", "structure", "unet"])
def test_a_part_that_chooses_how_its_weights_are_loaded_is_refused(copied, part):
    change(copied / part / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(BadWeights) as caught:
        load_bundle(fit_hashes(copied))
    reason = "it is quantised by a library that the file chooses (quantization_config)"
    assert caught.value.reason == reason
    assert caught.value.path == copied / part / "config.json"


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_quantised_base_is_refused(base, part):
    change(base / part / "config.json", quantization_config={"quant_method": "torchao"})
    with pytest.raises(BadWeights, match=r"chooses \(quantization_config"):
        open_base(location(base))
        embed(location(base), open_base(location(base)).family, [""])


def test_keys_that_name_code_are_left_out(base):
    found = open_base(location(base))
    other = {
        "auto_map": {"AutoModel": "a--b.C"},
        "_name_or_path": "owner/name",
        "_attn_implementation": "owner/kernels",
        "attn_implementation": "owner/kernels",
        "torch_dtype": "float8_e4m3fn",
        "transformers_weights": "../../x.bin",
        "fusion_config": {"patch_embeddings": True},
        "return_dict": False,
        "unknown": "harmless",
    }
    for part in ("unet", "vae", "text_encoder"):
        change(base / part / "config.json", **other)
    again = open_base(location(base))
    assert dict(again.network.config) == dict(found.network.config)
    text = embed(location(base), found.family, ["", "tissue"])
    assert text.states.dtype == torch.float32


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        ("unet", {"block_out_channels": [100_000, 100_000, 100_000]}),
        ("unet", {"layers_per_block": 1_000_000}),
        ("unet", {"cross_attention_dim": 10**12}),
        ("unet", {"projection_class_embeddings_input_dim": 10**9}),
        ("structure", {"widths": [10**6] * 3, "outputs": [10**6] * 3}),
        ("structure", {"cell": 10**6}),
        ("autoencoder", {"latent_channels": 10**8}),
        ("autoencoder", {"encoder_layers_per_block": [0, 10**6, 1, 1]}),
    ],
)
def test_a_small_bundle_cannot_ask_for_much(copied, part, settings):
    change(copied / part / "config.json", **settings)
    with pytest.raises(BadWeights):
        load_bundle(fit_hashes(copied))
    assert torch.is_grad_enabled()  # building may end inside a block without gradients


def test_building_ends_where_the_file_ends():
    def layers():
        return torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(10**9)))

    with pytest.raises(ValueError, match="ask for a larger network than its weights are"):
        build_empty(layers, numbers=12, tensors=4)
    with pytest.raises(ValueError, match="ask for a larger network than its weights are"):
        build_empty(lambda: torch.nn.Linear(10**6, 10**6), numbers=12, tensors=2)
    empty = build_empty(lambda: torch.nn.Linear(3, 4), numbers=16, tensors=2)
    assert empty.weight.is_meta


def test_layers_of_a_u_net_are_listed_in_bounds(base):
    change(base / "unet" / "config.json", layers_per_block=10**6, block_out_channels=[32] * 4)
    with pytest.raises(BadWeights, match="ask for a larger network"):
        layer_shapes(base / "unet")


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/x.safetensors", "x.bin", ""])
def test_an_index_names_files_of_its_folder_only(base, name):
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(base / "x.safetensors")
    index = weights.with_name(f"{weights.name}.index.json")
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": name}}))
    with pytest.raises(BadWeights) as caught:
        open_base(location(base))
    assert caught.value.reason == f"{name!r} is no plain name of a .safetensors file"


def test_weights_in_parts_are_read_from_all_of_them(base):
    whole = load_part(base / "unet", UNet2DConditionModel)
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    weights.unlink()
    names = sorted(tensors)
    parts = {}
    for number in (1, 2):
        file = f"diffusion_pytorch_model-0000{number}-of-00002.safetensors"
        own = {name: tensors[name] for name in names[number - 1 :: 2]}
        write_tensors(base / "unet" / file, own)
        parts.update(dict.fromkeys(own, file))
    index = weights.with_name(f"{weights.name}.index.json")
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": parts}))
    again = load_part(base / "unet", UNet2DConditionModel)
    assert all(
        torch.equal(whole.state_dict()[key], each) for key, each in again.state_dict().items()
    )


def test_a_network_is_never_read_from_other_formats(base):
    weights = base / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(BadWeights) as caught:
        load_part(base / "vae", AutoencoderKL)
    assert caught.value.reason == "it holds no diffusion_pytorch_model.safetensors"


def test_steps_of_a_scheduler_are_bounded(base):
    change(base / "scheduler" / "scheduler_config.json", num_train_timesteps=10**12)
    with pytest.raises(BadWeights, match=r"has 1000000000000 steps, not 2 to 100,000"):
        open_base(location(base))


def test_an_adapter_cannot_ask_for_more_than_it_holds(copied, tmp_path):
    bundle = load_bundle(copied)
    unet = bundle.unet
    layer = "down_blocks.0.resnets.0.conv1"
    width = unet.get_submodule(layer).in_channels
    tensors = {
        f"unet.{layer}.lora_A.weight": torch.zeros(2, width, 3, 3),
        f"unet.{layer}.lora_B.weight": torch.zeros(width, 2, 1, 1),
    }
    info = {
        "name": "a",
        "rank": 10**9,
        "alpha": 1.0,
        "targets": ["conv1"],
        "base_sha256": bundle.base_sha256,
        "classes": list(bundle.info.classes),
        "mpp": 0.5,
    }
    path = write_tensors(tmp_path / "a.safetensors", tensors, {"histosynth": json.dumps(info)})
    with pytest.raises(
        AdapterMismatch, match=r"ask for [\d,]+ numbers, and its tensors hold [\d,]+"
    ):
        load_adapter(unet, path, classes=bundle.info.classes, base=bundle.base_sha256)


@pytest.mark.parametrize("values", [{"name": "a.b"}, {"name": "a\nb"}, {"rank": 0}])
def test_names_and_ranks_of_adapters_are_checked(values):
    facts = {"name": "a", "rank": 2, "alpha": 1.0, "targets": (), "base_sha256": "", "mpp": 0.5}
    with pytest.raises(ValueError, match=r"name must|rank must"):
        AdapterInfo(**{**facts, "classes": (), **values})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"classes": [f"c{number}" for number in range(256)]}, "classes has 256 entries, more"),
        ({"name": "x\n---"}, "names must be text of one line"),
        ({"labels": ["a\x1b[2J"]}, "names must be text of one line"),
        ({"licence": "x" * 4_097}, "licence holds 4,097 characters, over the limit of 4,096"),
    ],
)
def test_lists_and_texts_of_a_bundle_are_bounded(copied, values, reason):
    change(copied / "bundle.json", **values)
    with pytest.raises(BundleMismatch) as caught:
        read_info(copied)
    assert reason in caught.value.reason


def test_a_card_shows_a_strangers_texts_as_text(copied):
    change(
        copied / "bundle.json",
        name="<b>x</b> [a](https://a.example)",
        licence="mit\n---\n# free <img src=x>",
        data=["a | b", "x\n## Limits\n- none"],
        classes=["*epithelial*", "lymphocyte", "stromal"],
    )
    card = bundle_contents(fit_hashes(copied))["README.md"].decode()
    front, _, rest = card.removeprefix("---\n").partition("\n---\n")
    assert front.splitlines()[0] == 'license: "mit --- # free <img src=x>"'
    assert "# &lt;b&gt;x&lt;/b&gt; \\[a\\](https&#58;//a.example)\n" in rest
    assert "- a \\| b\n- x ## Limits - none\n" in rest
    assert "Nucleus classes: \\*epithelial\\*, lymphocyte, stromal." in rest
    assert "<img" not in rest and rest.count("\n## Limits\n") == 1


def test_the_same_adapter_has_the_same_bytes(copied, tmp_path):
    from histosynth.model.adapters import add_adapter
    from histosynth.model.kohya import write_kohya

    bundle = load_bundle(copied)
    add_adapter(bundle.unet, "a", rank=2, alpha=3.0, targets=("to_q",))
    facts = (bundle.base_sha256, bundle.info.classes, 0.5)
    info = AdapterInfo("a", 2, 3.0, ("to_q",), *facts)
    files = [save_adapter(bundle.unet, info, tmp_path / str(each)) for each in range(3)]
    assert len({file.read_bytes() for file in files}) == 1
    targets = [tmp_path / f"k{each}.safetensors" for each in range(5)]
    for target in targets:
        write_kohya(files[0], target)
    assert len({target.read_bytes() for target in targets}) == 1
