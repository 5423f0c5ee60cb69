"""`histosynth doctor`: facts about this machine and the bundle."""

from __future__ import annotations

from typing import Any

from .options import BundlePath, Device, Dtype, Json, Quiet
from .output import Output


def doctor(
    bundle: BundlePath = None,
    device: Device = None,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show this machine's devices, the bundle in use, and how fast it samples."""
    from ..pipeline.doctor import examine

    facts = examine(bundle, device=device, dtype=dtype)
    lines = [f"{name:24} {_text(value)}" for name, value in facts.items()]
    Output(as_json, quiet).done(facts, lines)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return str(value)
