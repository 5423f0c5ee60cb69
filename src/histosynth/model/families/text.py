"""The prompts of a base with a text encoder: embedded once; the encoder is not kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...core.errors import BadRecipe, BadWeights, NeedsExtra, first_line
from ...tensors.faults import BROKEN
from ...tensors.files import read_all_tensors, write_tensors
from ...tensors.folders import weight_files
from ...tensors.transformers_networks import load_tokenizer, load_transformers_network
from ..stored_types import refuse_quantised

PROMPTS_FILE = "prompts.safetensors"
"""Embedded prompts in a bundle."""
T5_TOKENS = 120
"""Tokens of a prompt that PixArt reads."""
_EMPTY_ROW = 0
_NO_LABEL_ROW = 1
_FIRST_LABEL_ROW = 2


@dataclass(frozen=True, eq=False)
class Text:
    """Embedded prompts.

    Attributes:
        states: (P, L, D) float32. Row 0 is the empty prompt, row 1 the prompt without a label, and
            then follows one row a label.
        mask: (P, L), 1 for tokens and 0 for padding; None: the base attends to all of them.
    """

    states: Tensor
    mask: Tensor | None = None

    def rows(
        self,
        flags: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """The row of each item's prompt, (B,).

        Args:
            flags: (B,) 0 for the empty prompt, 1 for another.
            labels: (B, P - 2) one-hot, or all 0 for the prompt without a label.
        """
        no_label = torch.full_like(flags, _NO_LABEL_ROW, dtype=torch.long)
        if labels.shape[1]:
            has_label = labels.amax(dim=1) > 0.5
            of_label = labels.argmax(dim=1) + _FIRST_LABEL_ROW
            rows = torch.where(has_label, of_label, no_label)
        else:
            rows = no_label
        empty = torch.full_like(rows, _EMPTY_ROW)
        return torch.where(flags > 0.5, rows, empty)

    def save(self, folder: Path) -> Path:
        """Write `prompts.safetensors`, in float16."""
        tensors = {"states": self.states.half().contiguous()}
        if self.mask is not None:
            tensors["mask"] = self.mask.half().contiguous()
        return write_tensors(folder / PROMPTS_FILE, tensors)


def load_text(folder: Path, prompts: int) -> Text:
    """Read `prompts.safetensors`.

    Args:
        folder: of the bundle.
        prompts: how many it must hold.

    Raises:
        BadWeights: it is absent, cannot be read, or holds another number of prompts.
    """
    path = folder / PROMPTS_FILE
    try:
        tensors, _ = read_all_tensors(path)
        states = tensors["states"].float()
    except KeyError as error:
        raise BadWeights(path, first_line(error)) from error
    fits = states.ndim == 3 and len(states) == prompts
    if not fits or not states.isfinite().all():
        raise BadWeights(
            path,
            f"it holds prompts of shape {tuple(states.shape)}, not {prompts} of them",
        )
    mask = tensors.get("mask")
    return Text(states, None if mask is None else mask.float())


@torch.inference_mode()
def embed_clip(
    folder: Path,
    prompts: Sequence[str],
    *,
    tokenizer: Path | None = None,
) -> Text:
    """Prompts through the CLIP text encoder of a Stable Diffusion folder.

    Args:
        folder: holds `text_encoder/` and, unless named, `tokenizer/`.
        prompts: of at most the encoder's number of tokens (77).
        tokenizer: another folder for the tokenizer.

    Raises:
        BadWeights: one of the two cannot be loaded.
        BadRecipe: a prompt is too long.
    """
    transformers = _transformers()
    loaded = _load_encoder(
        transformers.CLIPTokenizer,
        transformers.CLIPTextModel,
        tokenizer_folder=tokenizer or folder / "tokenizer",
        encoder_folder=folder / "text_encoder",
    )
    return clip_states(*loaded, prompts)


@torch.inference_mode()
def clip_states(
    tokenizer: Any,
    encoder: Any,
    prompts: Sequence[str],
) -> Text:
    """Last hidden states of a CLIP text encoder, all tokens of all prompts."""
    length = min(int(tokenizer.model_max_length), encoder.config.max_position_embeddings)
    with _refusing_misfits(tokenizer):
        _refuse_long(tokenizer, prompts, length)
        tokens = _tokenise(tokenizer, prompts, length)
        states = encoder(tokens.input_ids)[0]
        return Text(states.float())


@torch.inference_mode()
def embed_t5(
    folder: Path,
    prompts: Sequence[str],
    *,
    length: int = T5_TOKENS,
) -> Text:
    """Prompts through the T5 encoder of a PixArt folder, in lower case as PixArt reads them.

    Raises:
        BadWeights: encoder or tokenizer cannot be loaded.
        BadRecipe: a prompt is too long.
    """
    transformers = _transformers()
    tokenizer, encoder = _load_encoder(
        transformers.T5TokenizerFast,
        transformers.T5EncoderModel,
        tokenizer_folder=folder / "tokenizer",
        encoder_folder=folder / "text_encoder",
    )
    prompts = [prompt.lower().strip() for prompt in prompts]
    with _refusing_misfits(tokenizer):
        _refuse_long(tokenizer, prompts, length)
        tokens = _tokenise(tokenizer, prompts, length)
        states = encoder(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
        return Text(states.float(), tokens.attention_mask.float())


@contextmanager
def _refusing_misfits(tokenizer: Any) -> Iterator[None]:
    """Refuse a tokenizer whose tokens the text encoder does not have.

    Raises:
        BadWeights: with the library's reason.
    """
    try:
        yield
    except BROKEN as error:
        name = type(tokenizer).__name__
        reason = f"{name} and text encoder do not fit each other: {first_line(error)}"
        raise BadWeights(Path("text_encoder"), reason) from error


def _tokenise(
    tokenizer: Any,
    prompts: Sequence[str],
    length: int,
) -> Any:
    return tokenizer(
        list(prompts),
        padding="max_length",
        max_length=length,
        truncation=True,
        return_tensors="pt",
    )


def _refuse_long(
    tokenizer: Any,
    prompts: Sequence[str],
    length: int,
) -> None:
    """Refuse a prompt whose end, often the label, would be cut off unnoticed.

    Raises:
        BadRecipe: naming it.
    """
    for prompt in prompts:
        tokens = len(tokenizer(prompt).input_ids)
        if tokens > length:
            problem = f"{prompt!r} has {tokens} tokens, and the encoder reads {length}"
            raise BadRecipe("prompts", [problem])


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise NeedsExtra("transformers, which a base with text needs,", "stable") from error
    return transformers


def _load_encoder(
    tokenizer_class: Any,
    encoder_class: Any,
    *,
    tokenizer_folder: Path,
    encoder_folder: Path,
) -> tuple[Any, Any]:
    """Tokenizer and text encoder of transformers, in float32, frozen."""
    tokenizer = load_tokenizer(tokenizer_folder, tokenizer_class)
    refuse_quantised(weight_files(encoder_folder, "model"))
    try:
        encoder, report = load_transformers_network(encoder_folder, encoder_class)
    except BadWeights as error:
        if error.path != encoder_folder:
            raise
        reason = f"its text encoder cannot be loaded: {error.reason}"
        raise BadWeights(encoder_folder.parent, reason) from error
    _check_report(report, encoder_folder)
    return tokenizer, encoder


def _check_report(report: Any, folder: Path) -> None:
    """Refuse absent or misshapen weights: transformers would initialise them at random.

    Raises:
        BadWeights: naming the first.
    """
    for problem in ("missing", "mismatched"):
        keys = [str(key) for key in report[f"{problem}_keys"]]
        wrong = sorted(key for key in keys if "position_ids" not in key)
        if wrong:
            raise BadWeights(folder, f"{len(wrong)} weights are {problem}, first {wrong[0]}")
