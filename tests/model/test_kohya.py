"""kohya's names: the way there is read by diffusers itself, and the way back is exact."""

import json
from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from histosynth.core.errors import AdapterMismatch, BadWeights
from histosynth.model.adapters import (
    ADAPTER_FILE,
    AdapterInfo,
    adapter_parameters,
    add_adapter,
    read_adapter,
    save_adapter,
)
from histosynth.model.kohya import (
    from_kohya,
    to_kohya,
    write_diffusers,
    write_kohya,
)
from histosynth.model.layer_shapes import layer_shapes, stable_diffusion_shapes
from histosynth.model.strengths import Strengths

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
TARGETS = {
    "cross-attention": tuple(f"attn2.{each}" for each in ATTENTION),
    "attention": ATTENTION,
    "attention+conv": (*ATTENTION, "conv1", "conv2", "conv_shortcut", "proj_in", "conv", "conv_in"),
    "all": (
        *ATTENTION,
        "conv1",
        "time_emb_proj",
        "ff.net.0.proj",
        "ff.net.2",
        "linear_1",
        "conv_out",
    ),
}


def network(seed=0, text=24):
    """A tiny U-Net of Stable Diffusion's make."""
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=text,
        attention_head_dim=8,
        norm_num_groups=8,
    ).eval()


def predict(unet):
    random = torch.Generator().manual_seed(3)
    noisy, text = (torch.randn(shape, generator=random) for shape in ((2, 4, 8, 8), (2, 5, 24)))
    with torch.inference_mode():
        return unet(noisy, torch.tensor([5, 700]), text).sample


def network_with_adapter(
    folder,
    targets,
    alpha=4.0,
    dtype=torch.float32,
):
    """(output of the network with a random adapter, the adapter's file)."""
    unet = network()
    add_adapter(
        unet,
        "global",
        rank=4,
        alpha=alpha,
        targets=targets,
    )
    torch.manual_seed(1)
    for parameter in adapter_parameters(unet, "global"):
        torch.nn.init.normal_(parameter, std=0.2)
    info = AdapterInfo(
        "global",
        4,
        alpha,
        tuple(targets),
        "ab" * 32,
        ("a", "b"),
        0.5,
        data=("d: CC0",),
    )
    return predict(unet), save_adapter(unet, info, folder, dtype=dtype)


def loaded_by_diffusers(file):
    """Output of the network after diffusers' own pipeline has loaded the file."""
    return predict(diffusers_network(file))


def diffusers_network(file):
    """The network after diffusers' own pipeline has loaded the file."""
    parts = dict.fromkeys(
        ("vae", "text_encoder", "tokenizer", "safety_checker", "feature_extractor")
    )
    unet = network()
    pipe = StableDiffusionPipeline(
        **parts,
        unet=unet,
        scheduler=DDIMScheduler(),
        requires_safety_checker=False,
    )
    pipe.load_lora_weights(
        str(file.parent),
        weight_name=file.name,
        local_files_only=True,
    )
    return unet


@pytest.mark.parametrize("alpha", [4.0, 6.0])
@pytest.mark.parametrize("targets", TARGETS.values(), ids=list(TARGETS))
def test_diffusers_own_loader_gives_the_same_output_with_kohyas_file_and_the_one_converted_back(
    tmp_path, targets, alpha
):
    expected, file = network_with_adapter(tmp_path, targets, alpha)
    assert not torch.allclose(expected, predict(network()), atol=1e-2)
    write_kohya(file, tmp_path / "kohya.safetensors")
    assert torch.equal(loaded_by_diffusers(tmp_path / "kohya.safetensors"), expected)
    write_diffusers(tmp_path / "kohya.safetensors", tmp_path / "back.safetensors")
    assert torch.equal(loaded_by_diffusers(tmp_path / "back.safetensors"), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_way_there_and_back_is_exact(tmp_path, dtype):
    _, file = network_with_adapter(tmp_path, TARGETS["attention+conv"], 0.3, dtype)
    write_kohya(file, tmp_path / "kohya.safetensors")
    info, strengths = write_diffusers(tmp_path / "kohya.safetensors", tmp_path / "back.safetensors")
    before = read_adapter(file)
    after = read_adapter(tmp_path / "back.safetensors")
    assert before[0] == after[0] == info and strengths == Strengths(4, 0.3, {}, {})
    assert before[1].keys() == after[1].keys()
    assert all(torch.equal(tensor, after[1][key]) for key, tensor in before[1].items())
    assert {tensor.dtype for tensor in after[1].values()} == {dtype}


def test_names_shapes_and_metadata_are_kohyas(tmp_path):
    _, file = network_with_adapter(tmp_path, TARGETS["attention+conv"], 6.0)
    write_kohya(file, tmp_path / "k.safetensors")
    tensors = load_file(tmp_path / "k.safetensors")
    ours = load_file(file)
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_out_0"
    assert tensors[f"{name}.lora_down.weight"].shape == (4, 16)
    assert tensors[f"{name}.lora_up.weight"].shape == (16, 4)
    assert tensors[f"{name}.alpha"].item() == 6 and tensors[f"{name}.alpha"].shape == ()
    conv = "lora_unet_mid_block_resnets_0_conv1"
    assert tensors[f"{conv}.lora_down.weight"].shape == (4, 32, 3, 3)
    assert tensors[f"{conv}.lora_up.weight"].shape == (32, 4, 1, 1)
    assert len(tensors) == len(ours) * 3 // 2
    assert all(key.startswith("lora_unet_") and "." not in key.split(".", 1)[0] for key in tensors)
    metadata = safe_open(tmp_path / "k.safetensors", "pt").metadata()
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "6.0")
    assert metadata["ss_network_module"] == "networks.lora"
    assert metadata["ss_output_name"] == "global"
    assert metadata["ss_base_model_hash"] == "ab" * 32 and metadata["ss_v2"] == "False"
    assert json.loads(metadata["ss_network_args"]) == {"conv_dim": "4", "conv_alpha": "6.0"}


@pytest.mark.parametrize(("width", "second"), [(768, "False"), (1024, "True")])
def test_the_version_of_stable_diffusion_follows_from_the_width_of_its_text(width, second):
    info = AdapterInfo("x", 2, 2.0, ("to_k",), "", ("a",), 0.5)
    key = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    pair = {
        f"{key}.lora_A.weight": torch.zeros(2, width),
        f"{key}.lora_B.weight": torch.zeros(8, 2),
    }
    assert to_kohya(pair, info)[1]["ss_v2"] == second


def file_of_another_program(folder, alpha=6.0):
    """A file as others write it: no word of ours in it."""
    expected, file = network_with_adapter(folder, TARGETS["attention+conv"], alpha)
    tensors, _ = to_kohya(read_adapter(file)[1], read_adapter(file)[0])
    save_file(
        tensors,
        folder / "other.safetensors",
        metadata={"ss_network_dim": "4"},
    )
    return expected, folder / "other.safetensors", read_adapter(file)[1]


def test_files_of_other_programs_get_the_names_of_the_networks_modules_and_keep_their_scale(
    tmp_path,
):
    expected, file, tensors = file_of_another_program(tmp_path)
    with pytest.raises(AdapterMismatch, match="the network has no such modules"):
        write_diffusers(file, tmp_path / "back.safetensors")
    assert not (tmp_path / "back.safetensors").exists()
    network().save_config(tmp_path / "unet")
    networks = [layer_shapes(tmp_path / "unet")]
    found = write_diffusers(file, tmp_path / "back.safetensors", networks=networks)
    assert found == (None, Strengths(4, 6.0, {}, {}))
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[key], value) for key, value in tensors.items())
    assert torch.equal(loaded_by_diffusers(tmp_path / "back.safetensors"), expected)


def test_without_alpha_it_is_the_rank(tmp_path):
    tensors = load_file(file_of_another_program(tmp_path)[1])
    bare = {key: value for key, value in tensors.items() if not key.endswith(".alpha")}
    modules = [name for name, _ in network().named_modules()]
    assert from_kohya(bare, {}, modules)[1] == Strengths(4, 4.0, {}, {})


def test_files_of_several_ranks_and_alphas_keep_the_scale_of_each_module_in_diffusers(tmp_path):
    """sd-scripts gives convolutions a rank and an alpha of their own (conv_dim, conv_alpha)."""
    _, file, _ = file_of_another_program(tmp_path)
    tensors = load_file(file)
    for key in sorted(tensors):
        module, _, end = key.partition(".")
        if not module.endswith("conv1"):
            continue
        if end == "alpha":
            tensors[key] = torch.tensor(1.0)
        elif end == "lora_down.weight":
            tensors[key] = tensors[key][:2].clone()
        else:
            tensors[key] = tensors[key][:, :2].clone()
    save_file(tensors, file, metadata={"ss_network_dim": "4"})
    network().save_config(tmp_path / "unet")
    _, found = write_diffusers(
        file, tmp_path / "back.safetensors", networks=[layer_shapes(tmp_path / "unet")]
    )
    convolutions = {name for name, _ in network().named_modules() if name.endswith("conv1")}
    assert (found.rank, found.alpha) == (4, 6.0)
    assert found.ranks == dict.fromkeys(convolutions, 2)
    assert found.alphas == dict.fromkeys(convolutions, 1.0)
    unet = diffusers_network(tmp_path / "back.safetensors")
    for name, module in unet.named_modules():
        if hasattr(module, "lora_A") and module.lora_A:
            is_convolution = name in convolutions
            assert list(module.r.values()) == [2 if is_convolution else 4], name
            assert list(module.scaling.values()) == [0.5 if is_convolution else 1.5], name
    torch.testing.assert_close(predict(unet), merged_by_hand(tensors))


def merged_by_hand(tensors):
    """Output of the network with up @ down * alpha / rank added to each weight."""
    unet = network()
    for name, module in unet.named_modules():
        flat = f"lora_unet_{name.replace('.', '_')}"
        if f"{flat}.alpha" not in tensors:
            continue
        down = tensors[f"{flat}.lora_down.weight"]
        up = tensors[f"{flat}.lora_up.weight"]
        scale = tensors[f"{flat}.alpha"] / len(down)
        change = scale * (up.flatten(1) @ down.flatten(1))
        module.weight.data += change.reshape(module.weight.shape)
    return predict(unet)


def adapter_of_width(folder, width, *, convolution=False):
    """Two layers as Stable Diffusion has them, for text of a width."""
    block = "lora_unet_down_blocks_0_attentions_0"
    shape = (4, 320, 1, 1) if convolution else (4, 320)
    tensors = {
        f"{block}_proj_in.lora_down.weight": torch.zeros(shape),
        f"{block}_proj_in.lora_up.weight": torch.zeros((320, 4, 1, 1) if convolution else (320, 4)),
        f"{block}_transformer_blocks_0_attn2_to_k.lora_down.weight": torch.zeros(4, width),
        f"{block}_transformer_blocks_0_attn2_to_k.lora_up.weight": torch.zeros(320, 4),
    }
    save_file(tensors, folder / "other.safetensors")
    return folder / "other.safetensors"


def test_an_adapter_of_stable_diffusion_1_is_refused_for_version_2_and_the_other_way_round(
    tmp_path,
):
    version_1, version_2 = stable_diffusion_shapes()
    out = tmp_path / "out.safetensors"
    block = "down_blocks.0.attentions.0"
    with pytest.raises(AdapterMismatch) as caught:
        write_diffusers(
            adapter_of_width(tmp_path, 768, convolution=True), out, networks=[version_2]
        )
    assert str(caught.value) == (
        "Adapter 'other' does not fit this base: 2 of its 2 layers have other shapes: "
        f"{block}.transformer_blocks.0.attn2.to_k takes text of width 768, this base's is 1024. "
        "Use the base it was trained on, or train the adapter again."
    )
    assert not out.exists()
    write_diffusers(tmp_path / "other.safetensors", out, networks=[version_2, version_1])
    with pytest.raises(AdapterMismatch, match="takes text of width 1024, this base's is 768"):
        write_diffusers(adapter_of_width(tmp_path, 1024), out, networks=[version_1])


def test_a_linear_layer_does_not_fit_a_convolution(tmp_path):
    version_1, _ = stable_diffusion_shapes()
    file = adapter_of_width(tmp_path, 768)
    sentence = r"proj_in is linear 320 x 320, this base's is a convolution of 320 x 320 x 1 x 1"
    with pytest.raises(AdapterMismatch, match=sentence):
        write_diffusers(file, tmp_path / "out.safetensors", networks=[version_1])


def test_a_width_that_no_stable_diffusion_has_fits_neither(tmp_path):
    file = adapter_of_width(tmp_path, 512)
    with pytest.raises(AdapterMismatch, match=r"1 of its 2 layers .* of width 512, this base's"):
        write_diffusers(file, tmp_path / "out.safetensors", networks=stable_diffusion_shapes())


def test_modules_of_stable_diffusion_are_known():
    names, of_version_2 = stable_diffusion_shapes()
    assert names.keys() == of_version_2.keys()
    assert "up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_out.0" in names
    assert "down_blocks.2.resnets.1.conv1" in names and "mid_block.attentions.0.proj_in" in names
    assert len({name.replace(".", "_") for name in names}) == len(names)


def test_names_that_underscores_make_the_same_are_refused():
    info = AdapterInfo("x", 2, 2.0, ("c",), "", ("a",), 0.5)
    pair = {"lora_A.weight": torch.zeros(2, 8), "lora_B.weight": torch.zeros(8, 2)}
    alike = ("mid_block.a_b.c", "mid_block.a.b_c")
    both = {f"unet.{module}.{end}": tensor for module in alike for end, tensor in pair.items()}
    with pytest.raises(AdapterMismatch, match="would share a name"):
        to_kohya(both, info)
    one, metadata = to_kohya({key: value for key, value in both.items() if "a_b" in key}, info)
    assert set(from_kohya(one, metadata)[0]) == {f"unet.mid_block.a_b.c.{end}" for end in pair}
    with pytest.raises(AdapterMismatch, match="or several so named"):
        from_kohya(one, metadata, alike)


SPOILT = {
    "no LoRA": (lambda t: t.clear(), "no plain LoRA"),
    "text": (
        lambda t: t.update({"lora_te_x.lora_down.weight": torch.zeros(4, 4)}),
        "layers of a text encoder too.*--network_train_unet_only",
    ),
    "loha": (
        lambda t: t.update({"lora_unet_conv_in.hada_w1_a": torch.zeros(4, 4)}),
        "it is of LyCORIS .*Merge it into its base",
    ),
    "lokr": (
        lambda t: t.update({"lora_unet_conv_in.lokr_w1": torch.zeros(4, 4)}),
        "it is of LyCORIS",
    ),
    "dora": (
        lambda t: t.update({"lora_unet_conv_in.dora_scale": torch.zeros(4)}),
        "it is a DoRA.*Merge it",
    ),
    "tucker": (
        lambda t: t.update({"lora_unet_conv_in.lora_mid.weight": torch.zeros(4, 4, 3, 3)}),
        "third matrix",
    ),
    "whole": (lambda t: t.update({"lora_unet_conv_in.diff": torch.zeros(4)}), "whole weights"),
    "peft": (
        lambda t: t.update({"unet.conv_in.lora_A.weight": torch.zeros(4, 4)}),
        "names of diffusers or peft.*Load it in diffusers",
    ),
    "other": (lambda t: t.update({"weight": torch.zeros(4)}), "no plain LoRA of a U-Net alone"),
    "half": (lambda t: t.pop("lora_unet_conv_in.lora_up.weight"), "1 missing"),
    "alone": (lambda t: t.update({"lora_unet_conv_out.alpha": torch.ones(())}), "2 missing"),
    "many": (
        lambda t: t.update({"lora_unet_conv_in.alpha": torch.ones(3)}),
        "alpha must be one number",
    ),
    "shape": (
        lambda t: t.update({"lora_unet_conv_in.lora_up.weight": torch.ones(16, 3, 1, 1)}),
        "do not fit",
    ),
    "flat": (
        lambda t: t.update({"lora_unet_conv_in.lora_up.weight": torch.ones(16, 4)}),
        "do not fit",
    ),
}


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    SPOILT.values(),
    ids=list(SPOILT),
)
def test_files_other_than_a_plain_lora_of_the_network_are_refused(tmp_path, spoil, sentence):
    tensors = load_file(file_of_another_program(tmp_path)[1])
    spoil(tensors)
    with pytest.raises(AdapterMismatch, match=sentence):
        from_kohya(tensors, {}, [name for name, _ in network().named_modules()])


def test_own_metadata_that_no_longer_fit_the_tensors_are_refused(tmp_path):
    _, file = network_with_adapter(tmp_path, ATTENTION)
    info, tensors = read_adapter(file)
    renamed, metadata = to_kohya(tensors, info)
    for wrong in ({**metadata, "histosynth": "{"}, {**metadata, "histosynth": '{"name": 3}'}):
        with pytest.raises(AdapterMismatch):
            from_kohya(renamed, wrong)
    scaled = {key: value * 2 if key.endswith(".alpha") else value for key, value in renamed.items()}
    with pytest.raises(
        AdapterMismatch, match="its metadata state rank 4 and alpha 4, and its tensors have 4 and 8"
    ):
        from_kohya(scaled, metadata)
    with pytest.raises(AdapterMismatch, match="its metadata state rank 8"):
        to_kohya(tensors, replace(info, rank=8))


def test_a_transformers_adapter_and_half_an_adapter_are_not_renamed(tmp_path):
    info, tensors = read_adapter(network_with_adapter(tmp_path, ATTENTION)[1])
    for key in (
        "unet.transformer_blocks.0.attn2.to_q.lora_A.weight",
        "text_encoder.x.lora_A.weight",
    ):
        with pytest.raises(AdapterMismatch, match="1 unexpected"):
            to_kohya({**tensors, key: torch.zeros(4, 4)}, info)
    tensors.popitem()
    with pytest.raises(AdapterMismatch, match="1 missing"):
        to_kohya(tensors, info)


def test_files_that_are_no_adapters_are_refused_and_nothing_is_written(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04pickle")
    for name in ("plain", "pickle", "nowhere"):
        with pytest.raises(BadWeights):
            write_kohya(tmp_path / f"{name}.safetensors", tmp_path / ADAPTER_FILE)
    with pytest.raises(AdapterMismatch):
        write_diffusers(tmp_path / "plain.safetensors", tmp_path / ADAPTER_FILE)
    assert not (tmp_path / ADAPTER_FILE).exists()


@pytest.mark.parametrize("text", [None, "{", "[]", '{"down_block_types": "x"}'])
def test_settings_that_build_no_network_are_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(BadWeights):
        layer_shapes(tmp_path)
