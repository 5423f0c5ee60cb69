"""Stand-ins for public bases: the library's own pipelines load them whole, and their settings and
weights are those of the real ones in small."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    PixArtAlphaPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file
from transformers import AutoTokenizer, CLIPTextModel, CLIPTokenizer, T5EncoderModel

from histosynth.testing_bases import KNOWN_WORDS, BaseName, tiny_base

ALL: tuple[BaseName, ...] = get_args(BaseName)
PARTS: dict[str, Any] = {
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "text_encoder": CLIPTextModel,
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {which: tiny_base(folder / which, which) for which in ALL}


def pipeline_of(which: str) -> Any:
    if which == "pixart":
        return PixArtAlphaPipeline
    return (
        StableDiffusionInpaintPipeline if which.endswith("inpainting") else StableDiffusionPipeline
    )


def generate(pipeline: Any, which: str, prompt: str) -> torch.Tensor:
    pipeline.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {"generator": torch.Generator().manual_seed(0), "output_type": "pt"}
    if which.endswith("inpainting"):
        options |= {"image": torch.zeros(1, 3, 64, 64), "mask_image": torch.ones(1, 1, 64, 64)}
    if which == "pixart":
        options |= {"use_resolution_binning": False, "clean_caption": False}
    pictures: torch.Tensor = pipeline(
        prompt,
        height=64,
        width=64,
        num_inference_steps=2,
        **options,
    ).images
    return pictures


@pytest.mark.filterwarnings("ignore")  # the library's own, of old settings
@pytest.mark.parametrize("which", ALL)
def test_the_librarys_pipeline_generates_and_follows_the_prompt(
    bases: dict[str, Path], which: str
) -> None:
    pipeline = pipeline_of(which).from_pretrained(bases[which], local_files_only=True)
    one, other = (generate(pipeline, which, prompt) for prompt in ("breast sarcoma", "pink stroma"))
    assert one.shape == (1, 3, 64, 64) and one.isfinite().all() and one.std() > 0.05
    assert (one - other).abs().max() > 0.01
    assert "torchvision" not in sys.modules


@pytest.mark.parametrize("which", [which for which in ALL if which != "pixart"])
def test_every_weight_on_disk_is_the_networks(bases: dict[str, Path], which: str) -> None:
    for name, part_class in PARTS.items():
        folder = bases[which] / name
        part, report = part_class.from_pretrained(
            folder, output_loading_info=True, local_files_only=True
        )
        assert not any(
            report[f"{what}_keys"] for what in ("missing", "unexpected", "mismatched")
        ), name
        (path,) = folder.glob("*.safetensors")
        stored = {key: value for key, value in load_file(path).items() if "position_ids" not in key}
        loaded = part.state_dict()
        assert len(stored) == len(loaded)
        assert sorted(float(v.double().sum()) for v in stored.values()) == sorted(
            float(v.double().sum()) for v in loaded.values()
        )
    keys = load_file(bases[which] / "text_encoder" / "model.safetensors")
    assert "text_model.embeddings.position_ids" in keys
    assert all(key.startswith("text_model.") for key in keys)


def test_pixart_reads_a_t5_in_two_shards(bases: dict[str, Path]) -> None:
    folder = bases["pixart"] / "text_encoder"
    assert (folder / "model.safetensors.index.json").is_file()
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) == 2
    text = T5EncoderModel.from_pretrained(folder, local_files_only=True)
    transformer = json.loads((bases["pixart"] / "transformer" / "config.json").read_text())
    assert transformer["caption_channels"] == text.config.d_model
    named = ("in_channels", "out_channels", "patch_size", "norm_type")
    assert [transformer[key] for key in named] == [4, 8, 2, "ada_norm_single"]
    for path in shards:
        for key, value in load_file(path).items():
            assert torch.equal(text.state_dict()[key], value), key


@pytest.mark.parametrize(
    ("which", "channels", "size", "prediction", "width", "linear"),
    [
        ("sd15", 4, 64, None, 768, None),
        ("sd20", 4, 64, "epsilon", 1024, True),
        ("sd21", 4, 96, "v_prediction", 1024, True),
        ("sd15-inpainting", 9, 64, None, 768, None),
        ("sd20-inpainting", 9, 64, "epsilon", 1024, True),
    ],
)
def test_settings_are_those_that_were_published(
    bases: dict[str, Path],
    *,
    which: str,
    channels: int,
    size: int,
    prediction: str | None,
    width: int,
    linear: bool | None,
) -> None:
    base = bases[which]
    unet = json.loads((base / "unet" / "config.json").read_text())
    scheduler = json.loads((base / "scheduler" / "scheduler_config.json").read_text())
    text = json.loads((base / "text_encoder" / "config.json").read_text())
    assert (unet["in_channels"], unet["sample_size"], unet["cross_attention_dim"]) == (
        channels,
        size,
        width,
    )
    assert unet.get("use_linear_projection") is linear
    assert scheduler.get("prediction_type") == prediction  # the first ones had no such key
    assert (scheduler["beta_start"], scheduler["beta_end"]) == (0.00085, 0.012)
    assert (text["hidden_size"], text["hidden_act"]) == (width, "gelu" if linear else "quick_gelu")
    assert json.loads((base / "model_index.json").read_text())["safety_checker"] == [None, None]


@pytest.mark.parametrize(("which", "pad"), [("sd15", "<|endoftext|>"), ("sd20", "!")])
def test_the_tokenizer_has_tokens_for_words_spells_others_and_pads_as_its_model_does(
    bases: dict[str, Path], which: str, pad: str
) -> None:
    folder = bases[which] / "tokenizer"
    names = {path.name for path in folder.iterdir()}
    assert names == {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"}
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    assert [len(tokenizer(word)["input_ids"]) for word in KNOWN_WORDS] == [3] * len(KNOWN_WORDS)
    numbers = tokenizer("H&E, näive", padding="max_length")["input_ids"]
    assert len(numbers) == tokenizer.model_max_length == 77
    end = len(tokenizer) - 1
    assert tokenizer.decode(numbers[1 : numbers.index(end)]) == "h & e , näive"
    assert numbers[0] == end - 1 and end in numbers  # CLIP finds the end as the largest number
    assert tokenizer.pad_token == pad and numbers[-1] == (0 if pad == "!" else end)
    assert end not in numbers[1 : numbers.index(end)]


def test_t5s_tokenizer_has_tokens_for_the_same_words(bases: dict[str, Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bases["pixart"] / "tokenizer", local_files_only=True)
    assert [len(tokenizer(word)["input_ids"]) for word in KNOWN_WORDS] == [2] * len(KNOWN_WORDS)
    numbers = tokenizer("H&E of sarcoma", padding="max_length", max_length=120)["input_ids"]
    assert (numbers[-1], len(numbers)) == (
        tokenizer.pad_token_id,
        120,
    ) and tokenizer.pad_token_id == 0
    assert tokenizer.unk_token_id not in numbers and tokenizer.decode(numbers).startswith(
        "H&E of sarcoma</s>"
    )


@pytest.mark.parametrize("which", ["sd15", "pixart"])
def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(
    tmp_path: Path, which: BaseName
) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    folders = [
        tiny_base(tmp_path / str(i), which, seed, width=64) for i, seed in enumerate((0, 0, 1))
    ]
    assert torch.equal(before, torch.random.get_rng_state())
    files = {path.relative_to(folders[0]) for path in folders[0].rglob("*") if path.is_file()}
    for name in files:
        first, again, other = ((folder / name).read_bytes() for folder in folders)
        assert first == again, name
        assert (first != other) == (name.suffix == ".safetensors"), name


def test_a_narrow_text_makes_a_narrow_base(tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "narrow", "sd20", width=64)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True)
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True)
    seen = text(torch.tensor([[1, 2, 3]])).last_hidden_state
    assert unet(torch.zeros(1, 4, 8, 8), 5, seen).sample.shape == (1, 4, 8, 8)
