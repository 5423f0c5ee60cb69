"""Networks and tokenizers of transformers from a folder, which decides sizes and words only.

The library reads no file by itself: it gets settings that its class takes, tensors from safetensors
files, and a tokenizer's files in a folder of ours.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.errors import BadWeights, first_line
from ..core.temporary import temporary_folder
from .building import build_empty
from .faults import BROKEN
from .files import read_all_tensors
from .folders import stored_in, weight_files
from .header import count_numbers
from .settings import network_settings, read_settings

_STEM = "model"
"""The name of a network's weights, without its ending."""
_TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "vocab.json",
)
_MAX_TOKENIZER_BYTES = 64 << 20
_TOKENIZER_SETTINGS = (
    "add_prefix_space",
    "added_tokens_decoder",
    "additional_special_tokens",
    "bos_token",
    "clean_up_tokenization_spaces",
    "do_lower_case",
    "eos_token",
    "errors",
    "extra_ids",
    "extra_special_tokens",
    "legacy",
    "model_max_length",
    "pad_token",
    "unk_token",
)
"""Of `tokenizer_config.json`: those that decide tokens."""


def load_transformers_network(
    folder: Path,
    network_class: Any,
    *,
    changes: Mapping[str, Any] | None = None,
) -> tuple[Any, Mapping[str, Any]]:
    """A network of transformers in float32, frozen, and the library's report of its weights.

    Args:
        folder: holds its `config.json` and weights.
        network_class: of transformers.
        changes: settings that replace the folder's.

    Raises:
        BadWeights: a file is absent, damaged, or asks for code or for too much.
    """
    from transformers.utils import logging

    # histosynth has progress bars of its own
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    files = weight_files(folder, _STEM)
    shapes = {name: each.shape for name, each in stored_in(files).items()}
    config_class = network_class.config_class
    settings = network_settings(folder / "config.json", config_class.__annotations__)
    try:
        config = config_class(**{**settings, **(changes or {})})
        build_empty(
            lambda: network_class(config),
            numbers=count_numbers(shapes),
            tensors=len(shapes),
        )
        tensors: dict[str, Any] = {}
        for path in files:
            tensors.update(read_all_tensors(path)[0])
        network, report = network_class.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except BROKEN as error:
        raise BadWeights(folder, first_line(error)) from error
    return network.eval().requires_grad_(False), report


def load_tokenizer(folder: Path, tokenizer_class: Any) -> Any:
    """A tokenizer of transformers.

    Raises:
        BadWeights: a file is absent, damaged, too large, or asks for code.
    """
    if not folder.is_dir():
        raise BadWeights(folder, "there is no such folder")
    with temporary_folder(Path(tempfile.gettempdir())) as copied:
        _copy_tokenizer(folder, copied)
        temporary = str(copied)
        try:
            return tokenizer_class.from_pretrained(
                temporary,
                local_files_only=True,
                trust_remote_code=False,
            )
        except Exception as error:  # its library in Rust raises plain ones
            reason = first_line(error).replace(temporary, str(folder))
            raise BadWeights(folder, f"its tokenizer cannot be loaded: {reason}") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of the same library, no Exception
                raise
            raise BadWeights(folder, "its tokenizer cannot be loaded") from error


def _copy_tokenizer(folder: Path, target: Path) -> None:
    """Copy a tokenizer's files, with those of its settings that decide tokens.

    Raises:
        BadWeights: a file is too large, or settings ask for code.
    """
    for name in _TOKENIZER_FILES:
        path = folder / name
        if not path.is_file():
            continue
        if path.stat().st_size > _MAX_TOKENIZER_BYTES:
            raise BadWeights(path, f"it has more than {_MAX_TOKENIZER_BYTES:,} bytes")
        if name.endswith(".json"):
            read_settings(path)
        shutil.copyfile(path, target / name)
    config = folder / "tokenizer_config.json"
    if not config.is_file():
        return
    settings = read_settings(config)
    kept = {name: settings[name] for name in _TOKENIZER_SETTINGS if name in settings}
    if type(kept.get("model_max_length")) not in (int, float):
        kept.pop("model_max_length", None)
    (target / config.name).write_text(json.dumps(kept), encoding="utf-8")
