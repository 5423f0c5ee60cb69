"""`doctor`: facts about this machine and the bundle, and how fast it samples."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..core.shipped import COMPACT
from ..model.adapters import adapter_names
from ..model.bundle import Bundle
from ..model.device import bf16_gain
from ..model.opening import open_bundle
from ..sampling.few_steps import with_few_steps
from ..sampling.provenance import GLOBAL
from ..sampling.settings import default_settings
from ..tensors.device import pick_device, pick_dtype
from ..tissue.layout import LAYOUT_CLASSES, draw_layout
from .doctor_machine import examine_machine
from .synthesize import synthesize

PROBE_SIZE = (256, 256)


def examine(
    bundle_path: Path | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
) -> dict[str, Any]:
    """Facts about this machine and a bundle, in plain values.

    Args:
        bundle_path: the bundle's folder; None: the compact one.
        device: where to compute; None: a GPU if there is one.
        dtype: number type; None: bf16 where it is faster.

    Raises:
        BadOption: the device or the number type cannot be used.
    """
    facts = examine_machine()
    problems = facts.pop("problems")
    facts |= _speed_facts(device, dtype)
    began = time.perf_counter()
    bundle = open_bundle(bundle_path, device=device, dtype=dtype)
    load_s = time.perf_counter() - began
    facts |= _bundle_facts(bundle)
    facts["bundle_folder"] = str(bundle_path or COMPACT)
    facts["bundle_load_s"] = round(load_s, 2)
    if set(LAYOUT_CLASSES) <= set(bundle.info.classes):
        facts["tile_256_px_s"] = round(_seconds_per_tile(bundle), 2)
    facts["problems"] = problems
    return facts


def _speed_facts(wanted: str | None, dtype: str | None) -> dict[str, Any]:
    device = pick_device(wanted)
    return {
        "device": str(device),
        "bf16_gain_on_cpu": round(bf16_gain(), 2),
        "number_type": str(pick_dtype(device, dtype)).removeprefix("torch."),
    }


def _bundle_facts(bundle: Bundle) -> dict[str, Any]:
    info = bundle.info
    adapters = adapter_names(bundle.unet)
    settings = default_settings(bundle, "synthesize")
    _, settings = with_few_steps(bundle, GLOBAL, settings)
    return {
        "bundle": info.name,
        "adapters": ", ".join(adapters) or "none (the base samples alone)",
        "classes": list(info.classes),
        "labels": list(info.labels),
        "palette": [entry.name for entry in info.palette],
        "mpp": info.mpp,
        "size_px": f"{info.least_px} to {info.most_px}, multiples of {info.multiple_px}",
        "default_steps": settings.steps,
        "default_guidance": settings.guidance,
        "default_solver": settings.solver,
        "completion_steps": default_settings(bundle, "complete").steps,
    }


def _seconds_per_tile(bundle: Bundle) -> float:
    """Seconds to synthesize one tile of 256 px, the faster of two."""
    nuclei = draw_layout(PROBE_SIZE, mpp=bundle.info.mpp, seed=0)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        synthesize(nuclei, bundle=bundle)
        seconds.append(time.perf_counter() - began)
    return min(seconds)
