"""Single files of Stable Diffusion: opened, they give the outputs of the folder that they were
written from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from histosynth.core.errors import BadOption, BadWeights
from histosynth.model.families import single_file
from histosynth.model.families.single_file import Parts, open_single_file, published_settings
from histosynth.model.parts import load_part
from histosynth.testing_bases import BaseName, tiny_base, tiny_settings

State = dict[str, Tensor]
UNET = "model.diffusion_model."
WHICH: tuple[BaseName, ...] = ("sd15", "sd20", "sd21", "sd15-inpainting", "sd20-inpainting")


def pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


def ldm_unet_name(key: str) -> str:
    """The name in the published files, from the order in which their code listed its blocks."""
    plain = pairs("time_embedding.linear_1=time_embed.0 time_embedding.linear_2=time_embed.2")
    plain |= pairs("conv_in=input_blocks.0.0 conv_norm_out=out.0 conv_out=out.2")
    stem, leaf = key.rsplit(".", 1)
    if stem in plain:
        return f"{plain[stem]}.{leaf}"
    if match := re.match(r"mid_block\.(resnets|attentions)\.(\d)", key):
        position = f"middle_block.{2 * int(match[2]) if match[1] == 'resnets' else 1}"
    else:
        match = re.match(
            r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)", key
        )
        assert match is not None, key
        block = int(match[2])
        what = match[3]
        layer = int(match[4])
        position = {
            "resnets": f"{3 * block + layer + (match[1] == 'down')}.0",
            "attentions": f"{3 * block + layer + (match[1] == 'down')}.1",
            "downsamplers": f"{3 * block + 3}.0.op",
            "upsamplers": f"{3 * block + 2}.{2 if block else 1}.conv",  # no attention in up block 0
        }[what]
        position = f"{'input' if match[1] == 'down' else 'output'}_blocks.{position}"
        if "samplers" in what:
            return f"{position}.{leaf}"
    rest = key[match.end() :]
    if match[3 if match.re.groups == 4 else 1] == "resnets":
        inside = pairs("norm1=in_layers.0 conv1=in_layers.2 norm2=out_layers.0 conv2=out_layers.3")
        inside |= pairs("time_emb_proj=emb_layers.1 conv_shortcut=skip_connection")
        rest = f".{inside[rest.split('.')[1]]}.{leaf}"
    return position + rest


def ldm_vae_name(key: str) -> str:
    key = re.sub(r"down_blocks\.(\d)\.resnets\.", r"down.\1.block.", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(
        r"up_blocks\.(\d)\.resnets\.",
        lambda match: f"up.{3 - int(match[1])}.block.",
        key,
    )
    key = re.sub(
        r"up_blocks\.(\d)\.upsamplers\.0",
        lambda match: f"up.{3 - int(match[1])}.upsample",
        key,
    )
    key = re.sub(
        r"mid_block\.resnets\.(\d)",
        lambda match: f"mid.block_{int(match[1]) + 1}",
        key,
    )
    key = key.replace("mid_block.attentions.0", "mid.attn_1")
    names = "group_norm=norm to_q=q to_k=k to_v=v to_out.0=proj_out conv_norm_out=norm_out"
    for new, old in pairs(f"{names} conv_shortcut=nin_shortcut").items():
        key = key.replace(f".{new}.", f".{old}.")
    return key


def open_clip(state: State, layers: int) -> State:
    """CLIP's weights as OpenCLIP names them, with the last layer and the ends that are not used."""
    width = state["final_layer_norm.weight"].numel()
    out = {
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": torch.randn(width, width),
        "logit_scale": torch.tensor(4.6),
    }
    names = "layer_norm1=ln_1 layer_norm2=ln_2 mlp.fc1=mlp.c_fc mlp.fc2=mlp.c_proj"
    names += " self_attn.out_proj=attn.out_proj"
    for layer in range(layers + 1):
        own = f"encoder.layers.{min(layer, layers - 1)}."
        published = f"transformer.resblocks.{layer}."
        for leaf in ("weight", "bias"):
            for new, old in pairs(names).items():
                out[f"{published}{old}.{leaf}"] = state[f"{own}{new}.{leaf}"].clone()
            each = [state[f"{own}self_attn.{name}_proj.{leaf}"] for name in "qkv"]
            out[f"{published}attn.in_proj_{leaf}"] = torch.cat(each)
    return out


def load(folder: Path) -> tuple[Any, Any, Any]:
    text = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    return (
        load_part(folder / "unet", UNet2DConditionModel),
        load_part(folder / "vae", AutoencoderKL),
        text,
    )


def write_ldm(folder: Path, path: Path, *, dtype: torch.dtype = torch.float32) -> State:
    """Write a base as one file under the names of the published ones; returns what was written."""
    unet, vae, text = load(folder)
    state: State = {"model_ema.decay": torch.tensor(0.9999), "betas": torch.linspace(0, 1, 1000)}
    state |= {f"{UNET}{ldm_unet_name(key)}": value for key, value in unet.state_dict().items()}
    for key, value in vae.state_dict().items():
        wide = ".attentions." in key and value.ndim == 2  # there a convolution of one pixel
        state[f"first_stage_model.{ldm_vae_name(key)}"] = value[:, :, None, None] if wide else value
    if text.config.hidden_act == "gelu":
        words = open_clip(text.state_dict(), text.config.num_hidden_layers)
        state |= {f"cond_stage_model.model.{key}": value for key, value in words.items()}
    else:
        words = {f"text_model.{key}": value for key, value in text.state_dict().items()}
        words["text_model.embeddings.position_ids"] = torch.arange(77).unsqueeze(0)
        state |= {f"cond_stage_model.transformer.{key}": value for key, value in words.items()}
    state = {
        key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()
    }
    save_file(state, path)
    return state


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Folder and file of each base, of narrow text."""
    root = tmp_path_factory.mktemp("single")
    both = {
        each: (tiny_base(root / each, each, width=64), root / f"{each}.safetensors")
        for each in WHICH
    }
    for folder, path in both.values():
        write_ldm(folder, path)
    return both


@torch.inference_mode()
def answers(unet: Any, vae: Any, text: Any) -> list[Tensor]:
    random = torch.Generator().manual_seed(3)
    tokens = torch.randint(0, 500, (2, 77), generator=random)
    states = text(tokens).last_hidden_state
    noisy = torch.randn(
        2,
        unet.config.in_channels,
        16,
        16,
        generator=random,
    )
    picture = torch.randn(1, 3, 32, 32, generator=random)
    latents = vae.encode(picture).latent_dist
    output = unet(noisy, 321, states).sample
    decoded = vae.decode(latents.mean).sample
    return [states, output, latents.mean, latents.logvar, decoded]


def same(parts: Parts, folder: Path) -> bool:
    found = answers(parts.unet, parts.autoencoder, parts.text_encoder)
    return all(
        torch.equal(one, other) for one, other in zip(found, answers(*load(folder)), strict=True)
    )


@pytest.mark.parametrize("which", WHICH)
def test_a_file_gives_the_same_outputs_as_its_folder(
    bases: dict[str, tuple[Path, Path]], which: str
) -> None:
    folder, path = bases[which]
    parts = open_single_file(path, config=folder)
    assert same(parts, folder)
    assert parts.version == ("sd1" if which.startswith("sd15") else "sd2")
    assert parts.inpainting == which.endswith("inpainting")
    assert parts.scheduler_config["prediction_type"] == (
        "v_prediction" if which == "sd21" else "epsilon"
    )
    assert parts.tokenizer_folder == folder / "tokenizer" and len(parts.sha256) == 64
    for part in (parts.unet, parts.autoencoder, parts.text_encoder):
        assert not part.training and not any(
            p.requires_grad or p.is_meta for p in part.parameters()
        )


def test_settings_inside_the_package_are_enough_but_for_the_tokenizer(
    bases: dict[str, tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = []
    all_settings = {which: tiny_settings(which, width=64) for which in WHICH}

    def narrow(version: str, *, channels: int, prediction: str) -> Any:
        requested.append((version, channels, prediction))
        return settings

    monkeypatch.setattr(single_file, "published_settings", narrow)
    for which in WHICH:
        settings = all_settings[which]
        folder, path = bases[which]
        given: Any = "v_prediction" if which == "sd21" else None
        parts = open_single_file(path, tokenizer=folder / "tokenizer", prediction=given)
        assert same(parts, folder), which
        assert parts.scheduler_config["prediction_type"] == (given or "epsilon")
    assert requested[2] == ("sd2", 4, "v_prediction") and requested[3] == ("sd1", 9, "epsilon")


@pytest.mark.parametrize(
    ("version", "unet", "text"), [("sd1", 859520964, 123060480), ("sd2", 865910724, 340387840)]
)
def test_published_settings_make_networks_of_the_published_sizes(
    version: Any, unet: int, text: int
) -> None:
    settings = published_settings(version)
    with init_empty_weights():
        parts = [
            UNet2DConditionModel.from_config(settings["unet"]),
            AutoencoderKL.from_config(settings["vae"]),
            CLIPTextModel(CLIPTextConfig(**settings["text_encoder"])),
        ]
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [unet, 83653863, text]


def test_half_files_become_float_and_averages_come_first(
    bases: dict[str, Any], tmp_path: Path
) -> None:
    folder, _ = bases["sd15"]
    path = tmp_path / "both.safetensors"
    state = write_ldm(folder, path, dtype=torch.float16)
    unets = [key for key in state if key.startswith(UNET)]
    averaged = {
        "model_ema." + key.removeprefix("model.").replace(".", ""): state[key] for key in unets
    }
    current = {**state, **{key: state[key] + 1 for key in unets}}
    part = dict(list(averaged.items())[1:])  # no average
    for extra, shift in ((averaged, 0), (part, 1)):
        save_file({**current, **{key: value.clone() for key, value in extra.items()}}, path)
        unet = open_single_file(path, config=folder).unet
        assert unet.dtype == torch.float32
        wanted = (state["model.diffusion_model.out.2.bias"] + shift).float()
        assert torch.equal(unet.state_dict()["conv_out.bias"], wanted)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(BadWeights) as caught:
        open_single_file(path, **options)
    return str(caught.value)


@pytest.fixture
def broken(bases: dict[str, Any], tmp_path: Path) -> Any:
    """Write a base's file with some weights changed (None: taken out); the path of the new file."""

    def write(which: str, **changes: Tensor | None) -> Path:
        path = tmp_path / "broken.safetensors"
        state = {**load_file(bases[which][1]), **changes}
        save_file({key: value for key, value in state.items() if value is not None}, path)
        return path

    return write


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.bin", "model"])
def test_pickles_are_not_opened(tmp_path: Path, name: str) -> None:
    torch.save({"state_dict": {}}, tmp_path / name)
    assert re.search("may run code .* save_file of safetensors", refusal(tmp_path / name))


def test_damaged_files_and_files_of_other_networks_are_refused(
    bases: dict[str, Any], broken: Any, tmp_path: Path
) -> None:
    folder, path = bases["sd15"]
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-1000])
    assert "damaged" in refusal(cut, config=folder)
    coarse = {key: value.to(torch.float8_e5m2) for key, value in load_file(path).items()}
    save_file(coarse, tmp_path / "fp8.safetensors")
    assert "are of the type F8_E5M2, too coarse" in refusal(tmp_path / "fp8.safetensors")
    pickled = tmp_path / "renamed.safetensors"
    torch.save({}, pickled)
    assert "no safetensors file" in refusal(pickled, config=folder)
    assert "no such file" in refusal(tmp_path / "nothing.safetensors")
    alone = folder / "vae" / "diffusion_pytorch_model.safetensors"
    assert "no Stable Diffusion U-Net; its first name is decoder.conv_in.bias" in refusal(
        alone, config=folder
    )
    context = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    assert "another type" in refusal(broken("sd15", **{context: None}), config=folder)
    first = {
        "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(32, 5, 3, 3)
    }  # as for depth
    assert "takes 5 channels" in refusal(broken("sd20", **first), config=bases["sd20"][0])
    for prefix, message in (
        ("first_stage_model.", "no autoencoder"),
        ("cond_stage_model.", "0 text encoders"),
    ):
        gone = {key: None for key in load_file(path) if key.startswith(prefix)}
        assert message in refusal(broken("sd15", **gone), config=folder)


def test_every_weight_must_be_there_and_fit(bases: dict[str, Any], broken: Any) -> None:
    folder, _ = bases["sd20"]
    name = "model.diffusion_model.output_blocks.11.0.in_layers.2.weight"
    message = refusal(broken("sd20", **{name: None}), config=folder)
    assert (
        "1 weights of its UNet2DConditionModel are missing, first "
        "up_blocks.3.resnets.2.conv1.weight" in message
    )
    extra = {"model.diffusion_model.label_emb.0.0.weight": torch.zeros(4)}
    assert "1 weights of its U-Net have no place" in refusal(broken("sd20", **extra), config=folder)
    message = refusal(
        broken("sd20", **{"first_stage_model.quant_conv.bias": torch.zeros(6)}), config=folder
    )
    assert "1 weights of its AutoencoderKL are of other shapes, first quant_conv.bias" in message
    block = "cond_stage_model.model.transformer.resblocks"
    assert "are missing" in refusal(broken("sd20", **{f"{block}.1.ln_1.bias": None}), config=folder)
    unused = {key: None for key in load_file(bases["sd20"][1]) if key.startswith(f"{block}.2.")}
    assert same(open_single_file(broken("sd20", **unused), config=folder), folder)
    more = {f"{block}.3.ln_1.bias": torch.zeros(64)}
    assert "more layers than 2" in refusal(broken("sd20", **more), config=folder)


def test_settings_of_another_base_are_refused(bases: dict[str, Any], tmp_path: Path) -> None:
    folder, path = bases["sd15"]
    message = refusal(path, tokenizer=folder / "tokenizer")
    assert "text of width 64, and its settings state 4 and 768" in message
    assert "takes 4 channels" in refusal(path, config=bases["sd15-inpainting"][0])
    assert "cannot be read as settings" in refusal(
        path, config=tmp_path, tokenizer=folder / "tokenizer"
    )
    assert "of other shapes" in refusal(
        path, config=bases["sd20"][0]
    )  # linear projections, other heads


def test_a_prediction_type_that_no_file_records_must_be_given(
    bases: dict[str, Any], tmp_path: Path
) -> None:
    folder, path = bases["sd15"]
    assert "holds no tokenizer" in refusal(path)
    assert "there is no tokenizer in it" in refusal(path, config=folder, tokenizer=tmp_path)
    with pytest.raises(BadOption, match="epsilon or v_prediction"):
        open_single_file(path, config=folder, prediction="flow")
    parts = open_single_file(path, config=folder, prediction="v_prediction")
    assert parts.scheduler_config["prediction_type"] == "v_prediction"
    true = write_ldm(tiny_base(tmp_path / "true", "sd21"), tmp_path / "true.safetensors")
    assert true["cond_stage_model.model.ln_final.bias"].numel() == 1024
    message = refusal(tmp_path / "true.safetensors", tokenizer=folder / "tokenizer")
    for part in ("epsilon or v", "prediction='epsilon'", "'v_prediction'"):
        assert part in message
