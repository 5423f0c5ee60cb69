"""What a base is told in words: a few prompts, embedded once; their encoder is not kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...core.errors import BadRecipe, BadWeights, NeedsExtra, first_line
from ...core.store import atomic_write
from ..info import TEXT
from ..parts import variant_of


@dataclass(frozen=True, eq=False)
class Text:
    """Embedded prompts.

    Attributes:
        states: (P, L, D) float32. Row 0 is the empty prompt, row 1 that of no told label, then one
            a label.
        mask: (P, L), 1 for tokens and 0 for padding; None: the base looks at all of them.
    """

    states: Tensor
    mask: Tensor | None = None

    def rows(self, told: Tensor, labels: Tensor) -> Tensor:
        """Which prompt each item is given, (B,).

        Args:
            told: (B,) 0 where nothing is told in words.
            labels: (B, P - 2) one-hot, or all 0 where no label is told.
        """
        named = (
            labels.argmax(dim=1) + 2 if labels.shape[1] else torch.ones_like(told, dtype=torch.long)
        )
        if labels.shape[1]:
            named = torch.where(labels.amax(dim=1) > 0.5, named, torch.ones_like(named))
        return torch.where(told > 0.5, named, torch.zeros_like(named))

    def save(self, folder: Path) -> Path:
        """Write `prompts.safetensors`."""
        path = folder / TEXT
        tensors = {"states": self.states.half()} | (
            {} if self.mask is None else {"mask": self.mask.half()}
        )
        with atomic_write(path) as temporary:
            save_file({key: value.contiguous() for key, value in tensors.items()}, temporary)
        return path


def load_text(folder: Path, prompts: int) -> Text:
    """Read `prompts.safetensors`, which holds so many prompts.

    Raises:
        BadWeights: it is absent, cannot be read, or holds others.
    """
    path = folder / TEXT
    try:
        tensors = load_file(path)
        states = tensors["states"].float()
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise BadWeights(path, first_line(error)) from error
    mask = tensors.get("mask")
    if states.ndim != 3 or len(states) != prompts or not states.isfinite().all():
        raise BadWeights(
            path, f"it holds prompts of shape {tuple(states.shape)}, not {prompts} of them"
        )
    return Text(states, None if mask is None else mask.float())


@torch.inference_mode()
def embed_clip(folder: Path, prompts: Sequence[str], *, tokenizer: Path | None = None) -> Text:
    """Prompts through the CLIP text encoder of a Stable Diffusion folder.

    Args:
        folder: holds `text_encoder/` and, unless named, `tokenizer/`.
        prompts: cut after the encoder's number of tokens (77).
        tokenizer: another folder for the tokenizer.

    Raises:
        BadWeights: one of the two cannot be loaded.
    """
    transformers = _transformers()
    words, model = _loaded(
        transformers.CLIPTokenizer,
        transformers.CLIPTextModel,
        tokenizer or folder / "tokenizer",
        folder,
    )
    return clip_states(words, model, prompts)


@torch.inference_mode()
def clip_states(words: Any, model: Any, prompts: Sequence[str]) -> Text:
    """Last hidden states of a CLIP text encoder, all tokens of all prompts."""
    length = min(words.model_max_length, model.config.max_position_embeddings)
    _refuse_long(words, prompts, length)
    tokens = words(
        list(prompts),
        padding="max_length",
        max_length=length,
        truncation=True,
        return_tensors="pt",
    )
    return Text(model(tokens.input_ids)[0].float())


@torch.inference_mode()
def embed_t5(folder: Path, prompts: Sequence[str], *, length: int = 120) -> Text:
    """Prompts through the T5 encoder of a PixArt folder, in small letters as PixArt reads them.

    Raises:
        BadWeights: encoder or tokenizer cannot be loaded.
    """
    transformers = _transformers()
    words, model = _loaded(
        transformers.T5TokenizerFast,
        transformers.T5EncoderModel,
        folder / "tokenizer",
        folder,
    )
    prompts = [each.lower().strip() for each in prompts]
    _refuse_long(words, prompts, length)
    tokens = words(
        prompts,
        padding="max_length",
        max_length=length,
        truncation=True,
        return_tensors="pt",
    )
    states = model(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
    return Text(states.float(), tokens.attention_mask.float())


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise NeedsExtra("transformers, which a base that reads needs,", "stable") from error
    return transformers


def _refuse_long(words: Any, prompts: Sequence[str], length: int) -> None:
    """Refuse a prompt whose end, often the label, would be cut off unseen.

    Raises:
        BadRecipe: naming it.
    """
    for prompt in prompts:
        many = len(words(prompt).input_ids)
        if many > length:
            raise BadRecipe(
                "prompts", [f"{prompt!r} has {many} tokens, and the encoder reads {length}"]
            )


def _loaded(
    tokenizer: Any,
    encoder: Any,
    words: Path,
    folder: Path,
) -> tuple[Any, Any]:
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours show what is worth showing
    for each in (words, folder / "text_encoder"):
        if not each.is_dir():  # transformers would take the path for a name on the hub
            raise BadWeights(each, "there is no such folder")
    try:
        spoken = tokenizer.from_pretrained(words, local_files_only=True, trust_remote_code=False)
        model, report = encoder.from_pretrained(
            folder / "text_encoder",
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            variant=variant_of(folder / "text_encoder"),
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise BadWeights(
            folder, f"its text encoder cannot be loaded: {first_line(error)}"
        ) from error
    for what in ("missing_keys", "mismatched_keys"):  # the library would draw them at random
        if wrong := sorted(str(key) for key in report[what] if "position_ids" not in str(key)):
            reason = f"{len(wrong)} weights are {what.partition('_')[0]}, first {wrong[0]}"
            raise BadWeights(folder / "text_encoder", reason)
    return spoken, model.eval().requires_grad_(False)
