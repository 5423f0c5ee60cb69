"""Forms of adapters other than a plain LoRA of a U-Net, by the names of their tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_MERGE = "Merge it into its base with the program that trained it, or train a plain LoRA."


@dataclass(frozen=True)
class LoraForm:
    """One form.

    Attributes:
        pattern: found in the name of a tensor that only this form has.
        reason: what the file is.
        remedy: what to do with it.
    """

    pattern: str
    reason: str
    remedy: str


_FORMS = (
    LoraForm(
        r"\.dora_scale$",
        "it is a DoRA, which a plain LoRA cannot hold",
        _MERGE,
    ),
    LoraForm(
        r"\.(hada|lokr|oft|on_input|glora|a1|a2|b1|b2)[_.]?",
        "it is of LyCORIS (LoHa, LoKr or the like), which a plain LoRA cannot hold",
        _MERGE,
    ),
    LoraForm(
        r"\.lora_mid\.",
        "its convolutions have a third matrix (Tucker form), which a plain LoRA cannot hold",
        _MERGE,
    ),
    LoraForm(
        r"\.(diff|diff_b|w_norm|b_norm)$",
        "it holds whole weights besides the LoRA, which a plain LoRA cannot hold",
        _MERGE,
    ),
    LoraForm(
        r"^lora_te",
        "it holds layers of a text encoder too, and a LoRA of a U-Net alone is converted",
        "Train it for the U-Net alone (--network_train_unet_only), or take those layers out.",
    ),
    LoraForm(
        r"lora_[AB]\.|\.lora\.(down|up)\.",
        "its tensors have the names of diffusers or peft, not those of kohya",
        "Load it in diffusers as it is.",
    ),
)
_OTHER = LoraForm(
    "", "it is no plain LoRA of a U-Net alone", "Give a LoRA as sd-scripts writes it."
)


def lora_form_of(names: Iterable[str]) -> LoraForm:
    """The form that tensors of these names show; the first that any of them has."""
    names = list(names)
    for form in _FORMS:
        if any(re.search(form.pattern, name) for name in names):
            return form
    return _OTHER
