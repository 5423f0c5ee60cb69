"""Small versions of public bases: random weights with the layout, names and settings of real ones.

They have the peculiarities of the real folders too: settings that were not yet written at their
time (Stable Diffusion 1.5 names no prediction type), old names of the autoencoder's attention, the
prefix and the position ids of CLIP's weights, a T5 in two shards.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

BaseName = Literal["sd15", "sd20", "sd21", "sd15-inpainting", "sd20-inpainting", "pixart"]

KNOWN_WORDS = (
    "histology",
    "tissue",
    "nuclei",
    "breast",
    "sarcoma",
    "tumour",
    "stroma",
    "purple",
    "pink",
    "photo",
)
"""Words that are one token; the tokenizers split all others into letters."""
_SPECIALS = ("<|startoftext|>", "<|endoftext|>")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789&.,:;-+/()'%"
_T5_WIDTH = 64
_T5_SHARD = "250KB"


def tiny_base(
    folder: Path,
    which: BaseName,
    seed: int = 0,
    *,
    width: int | None = None,
) -> Path:
    """Write a base of random weights, float32, as diffusers lays it out; returns `folder`.

    Args:
        folder: created if absent.
        which: `sd15` and `sd20` predict noise at 512 px, `sd21` velocity at 768 px; those for
            inpainting take 9 channels: 4 of noisy latents, the mask, 4 of the masked picture's
            latents. `pixart` is a transformer that is conditioned on T5.
        seed: of the weights; the same seed gives the same bytes.
        width: of the text embedding of Stable Diffusion. None is the real one, 768 or 1024, in
            folders of 40 or 56 MB; with 64 they have 16 MB.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _quiet(seed):
        if which == "pixart":
            _write_pixart(folder)
        else:
            _write_stable_diffusion(folder, tiny_settings(which, width=width))
    return folder


def tiny_settings(which: BaseName, *, width: int | None = None) -> dict[str, dict[str, Any]]:
    """Settings by part of a small Stable Diffusion: real ones with fewer channels and layers."""
    from .model.families.single_file import published_settings

    first = which.startswith("sd15")
    settings = published_settings(
        "sd1" if first else "sd2",
        channels=9 if which.endswith("inpainting") else 4,
        prediction="v_prediction" if which == "sd21" else "epsilon",
    )
    settings["unet"]["block_out_channels"] = [32, 32, 64, 64]
    if not first:
        settings["unet"]["attention_head_dim"] = [2, 2, 4, 4]
    settings["vae"]["block_out_channels"] = [32, 32, 64, 64]
    settings["text_encoder"] |= {
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "vocab_size": len(clip_vocabulary()[0]),
    }
    if which in ("sd21", "sd15-inpainting"):
        settings["scheduler"]["_class_name"] = "DDIMScheduler"
    if which == "sd15-inpainting":
        del settings["scheduler"]["skip_prk_steps"]
    if width is not None:
        settings["unet"]["cross_attention_dim"] = settings["text_encoder"]["hidden_size"] = width
        settings["text_encoder"]["num_attention_heads"] = 4
    return settings


def clip_vocabulary() -> tuple[dict[str, int], list[str]]:
    """Numbers of the pieces, and merges, of a byte-level CLIP tokenizer.

    `KNOWN_WORDS` are one piece each.

    As in the real one, "!" is 0 and the marks of start and end are the last two.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    symbols = sorted(ByteLevel.alphabet())  # by code point: the order of CLIP's own table
    merges: dict[str, None] = {}
    for word in KNOWN_WORDS:
        letters = [*word[:-1], f"{word[-1]}</w>"]
        for end in range(1, len(letters)):
            merges[f"{''.join(letters[:end])} {letters[end]}"] = None
    whole = dict.fromkeys(merge.replace(" ", "") for merge in merges)
    pieces = [*symbols, *(f"{symbol}</w>" for symbol in symbols), *whole, *_SPECIALS]
    return {piece: number for number, piece in enumerate(pieces)}, list(merges)


def _write_stable_diffusion(folder: Path, settings: dict[str, dict[str, Any]]) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    _save(
        UNet2DConditionModel.from_config(settings["unet"]),
        folder / "unet",
        settings["unet"],
    )
    second = settings["text_encoder"]["hidden_act"] == "gelu"
    inpainting = settings["unet"]["in_channels"] == 9
    vae = folder / "vae"
    _save(AutoencoderKL.from_config(settings["vae"]), vae, settings["vae"])
    _rename_weights(vae / "diffusion_pytorch_model.safetensors", _old_attention)
    text = folder / "text_encoder"
    _save(
        CLIPTextModel(CLIPTextConfig(**settings["text_encoder"])),
        text,
        settings["text_encoder"],
    )
    _rename_weights(
        text / "model.safetensors", lambda key: f"text_model.{key.removeprefix('text_model.')}"
    )
    _add_position_ids(
        text / "model.safetensors", settings["text_encoder"]["max_position_embeddings"]
    )
    _write_clip_tokenizer(folder / "tokenizer", pad="!" if second else _SPECIALS[1])
    scheduler = settings["scheduler"]
    _write(folder / "scheduler" / "scheduler_config.json", scheduler)
    _write(
        folder / "model_index.json",
        {
            "_class_name": f"StableDiffusion{'Inpaint' if inpainting else ''}Pipeline",
            "_diffusers_version": settings["unet"]["_diffusers_version"],
            "feature_extractor": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", scheduler["_class_name"]],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )


def _write_pixart(folder: Path) -> None:
    from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtTransformer2DModel
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    heads = 4
    width = 64
    transformer = PixArtTransformer2DModel(
        num_attention_heads=heads,
        attention_head_dim=width // heads,
        cross_attention_dim=width,
        num_layers=2,
        sample_size=64,
        caption_channels=_T5_WIDTH,
    )
    _save(transformer, folder / "transformer")
    vae: dict[str, Any] = {**tiny_settings("sd20")["vae"], "_diffusers_version": "0.22.0.dev0"}
    vae |= {
        "force_upcast": True,
        "sample_size": 512,
        "scaling_factor": 0.18215,
    }
    _save(AutoencoderKL.from_config(vae), folder / "vae", vae)
    pieces = _t5_pieces()
    text = T5Config(
        d_model=_T5_WIDTH,
        d_kv=16,
        d_ff=128,
        num_heads=4,
        num_layers=2,
        vocab_size=len(pieces),
        feed_forward_proj="gated-gelu",
    )
    _save(T5EncoderModel(text), folder / "text_encoder", max_shard_size=_T5_SHARD)
    T5Tokenizer(
        vocab=pieces,
        extra_ids=0,
        model_max_length=120,
    ).save_pretrained(folder / "tokenizer")
    DPMSolverMultistepScheduler(
        beta_start=0.0001,
        beta_end=0.02,
        beta_schedule="linear",
    ).save_pretrained(folder / "scheduler")
    _write(
        folder / "model_index.json",
        {
            "_class_name": "PixArtAlphaPipeline",
            "_diffusers_version": "0.22.0.dev0",
            "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
            "text_encoder": ["transformers", "T5EncoderModel"],
            "tokenizer": ["transformers", "T5Tokenizer"],
            "transformer": ["diffusers", "PixArtTransformer2DModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )


def _t5_pieces() -> list[tuple[str, float]]:
    """Pieces of a Unigram tokenizer with their log probabilities.

    Words are likelier than their letters.
    """
    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = [(letter, -6.0) for letter in dict.fromkeys(f"▁{_LETTERS}{_LETTERS.upper()}")]
    return [*specials, *letters, *((f"▁{word}", -7.0) for word in KNOWN_WORDS)]


def _write_clip_tokenizer(folder: Path, *, pad: str) -> None:
    """The four files of the real folders, without the `tokenizer.json` of today."""

    def token(content: str) -> dict[str, Any]:
        flags = {
            "lstrip": False,
            "normalized": True,
            "rstrip": False,
            "single_word": False,
        }
        return {"content": content, **flags}

    start, end = _SPECIALS
    named: dict[str, Any] = {
        "bos_token": token(start),
        "eos_token": token(end),
        "unk_token": token(end),
    }
    vocabulary, merges = clip_vocabulary()
    _write(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    _write(folder / "special_tokens_map.json", {**named, "pad_token": pad})
    _write(
        folder / "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "do_lower_case": True,
            "errors": "replace",
            "model_max_length": 77,
            "pad_token": pad,
            "tokenizer_class": "CLIPTokenizer",
            **{name: {"__type": "AddedToken", **value} for name, value in named.items()},
        },
    )


def _save(part: Any, folder: Path, settings: dict[str, Any] | None = None, **options: Any) -> None:
    """Save one network.

    `settings` are written as they are, without those that the library of today would add.
    """
    _perturb(part)
    part.save_pretrained(folder, safe_serialization=True, **options)
    if settings is not None:
        _write(folder / "config.json", settings)


def _perturb(part: nn.Module) -> None:
    """Move biases and norms a little.

    New ones are all 0 or all 1, so that a test would not detect if they were exchanged.
    """
    import torch

    with torch.no_grad():
        for parameter in part.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.05 * torch.randn_like(parameter))


def _rename_weights(path: Path, name: Any) -> None:
    from safetensors.torch import load_file, save_file

    save_file(
        {name(key): value for key, value in load_file(path).items()},
        path,
        metadata={"format": "pt"},
    )


def _old_attention(key: str) -> str:
    """Name of the autoencoder's attention in diffusers when these bases were published."""
    if ".attentions." not in key:
        return key
    for new, old in _OLD_ATTENTION_NAMES.items():
        key = key.replace(f".{new}.", f".{old}.")
    return key


_OLD_ATTENTION_NAMES = {
    "to_q": "query",
    "to_k": "key",
    "to_v": "value",
    "to_out.0": "proj_attn",
}


def _add_position_ids(path: Path, length: int) -> None:
    """Add a buffer of 0, 1, 2, ... that CLIP's files of that time hold.

    The network of today has no such tensor.
    """
    import torch
    from safetensors.torch import load_file, save_file

    ids = {"text_model.embeddings.position_ids": torch.arange(length).unsqueeze(0)}
    save_file({**load_file(path), **ids}, path, metadata={"format": "pt"})


def _write(path: Path, value: Any) -> None:
    from .core.store import write_json

    write_json(path, value)


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """Seed torch without changing the caller's random state, and show no progress bars."""
    import torch
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # has no types
    was_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        if was_shown:
            logging.enable_progress_bar()
