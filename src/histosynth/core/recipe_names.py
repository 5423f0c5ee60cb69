"""Names of keys in recipes: those of earlier versions, and what a wrong one may have meant."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from .recipe_checks import type_hints

OLD_KEYS = {
    "any_kind": "any_class",
    "drop_kinds": "drop_classes",
    "few": "rare_labels",
    "floor": "min_learning_rate_share",
    "hole_share": "mask_share",
    "kind_weight": "class_weight",
    "kinds": "classes",
    "least_patients": "min_patients",
}
"""Keys of files written by earlier versions, and their present names."""
_KEYS_ELSEWHERE = {
    "adam_beta1": "betas",
    "batch_size": "batch",
    "caption": "template",
    "ema_decay": "ema",
    "epochs": "steps",
    "gradient_accumulation_steps": "accumulate",
    "gradient_checkpointing": "checkpointing",
    "image_dir": "images",
    "lora_alpha": "alpha",
    "lora_rank": "rank",
    "lr": "learning_rate",
    "lr_warmup_steps": "warmup",
    "max_grad_norm": "clip_norm",
    "max_train_steps": "steps",
    "min_snr_gamma": "min_snr",
    "mixed_precision": "precision",
    "network_alpha": "alpha",
    "network_dim": "rank",
    "network_dropout": "dropout",
    "optimizer": "optimiser",
    "optimizer_type": "optimiser",
    "pretrained_model_name_or_path": "base",
    "report_to": "trackers",
    "resolution": "crops",
    "snr_gamma": "min_snr",
    "target_modules": "targets",
    "train_batch_size": "batch",
    "train_data_dir": "root",
}
"""Keys of the training programs of diffusers, kohya and peft, and the nearest ones of recipes."""
_MIN_SIMILARITY = 0.65
"""Of a name that is suggested, as `difflib` measures it, 0..1."""
_MIN_SIMILARITY_ELSEWHERE = 0.8
"""Of a key of another table."""
_MAX_LENGTH = 80
"""Characters of a name that others are compared with: comparing takes longer with the square."""


def nearest_name(name: str, known: Sequence[str]) -> str:
    """The known name that one resembles most; "" if it resembles none."""
    return _similar(name, known, _MIN_SIMILARITY)


def nearest_key(
    key: str,
    prefix: str,
    recipe_type: Any,
    table_type: Any,
) -> str:
    """The key, with the tables that lead to it, that an unknown one may have meant; "" for none.

    Args:
        key: the unknown one.
        prefix: tables that lead to it, each followed by a dot.
        recipe_type: dataclass of the whole recipe.
        table_type: dataclass of the table that the key stands in.
    """
    name = _plain_name(key)
    by_name: dict[str, list[str]] = {}
    for path in _key_paths(recipe_type):
        by_name.setdefault(path.rpartition(".")[2], []).append(path)
    own = [field.name for field in dataclasses.fields(table_type) if field.init]
    for candidate in (name, _KEYS_ELSEWHERE.get(name, "")):
        if candidate in own:
            return prefix + candidate
        if candidate in by_name:
            return min(by_name[candidate], key=len)
    similar = _similar(name, own, _MIN_SIMILARITY)
    if similar:
        return prefix + similar
    elsewhere = _similar(name, list(by_name), _MIN_SIMILARITY_ELSEWHERE)
    return min(by_name[elsewhere], key=len) if elsewhere else ""


def _similar(
    name: str,
    known: Sequence[str],
    cutoff: float,
) -> str:
    if len(name) > _MAX_LENGTH:
        return ""
    of_plain = {_plain_name(each): each for each in known}
    found = difflib.get_close_matches(
        _plain_name(name),
        list(of_plain),
        n=1,
        cutoff=cutoff,
    )
    return of_plain[found[0]] if found else ""


def _plain_name(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _key_paths(target: Any, prefix: str = "") -> Iterator[str]:
    """All keys of a recipe with the tables that lead to them, outer ones first."""
    tables = []
    for field in dataclasses.fields(target):
        if not field.init:
            continue
        yield f"{prefix}{field.name}"
        for inner in _tables_in(type_hints(target)[field.name]):
            tables.append((field.name, inner))
    for name, inner in tables:
        yield from _key_paths(inner, f"{prefix}{name}.")


def _tables_in(hint: Any) -> Iterator[Any]:
    """Dataclasses in the type of a field: itself, or items of a list or map."""
    if dataclasses.is_dataclass(hint):
        yield hint
    elif get_origin(hint) in (Annotated, Union, types.UnionType, tuple, dict, Mapping):
        for argument in get_args(hint):
            yield from _tables_in(argument)
