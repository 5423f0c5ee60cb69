"""`doctor`: what this machine can do, which bundle is used, and how fast it paints."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ..core.shipped import COMPACT
from ..model.adapters import adapter_names
from ..model.device import bf16_gain, pick_device, pick_dtype
from ..model.opening import open_bundle
from ..sampling.settings import default_settings
from ..tissue.layout import draw_layout
from .synthesize import synthesize

PACKAGES = ("histosynth", "torch", "diffusers", "peft", "safetensors", "numpy", "scipy", "pillow")


def examine(bundle_path: Path | None = None) -> dict[str, Any]:
    """Facts about this machine and bundle, with a painted tile as speed probe."""
    device = pick_device()
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "device": str(device),
        "cpu_cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "bf16_gain_on_cpu": round(bf16_gain(), 2),
        "number_type": str(pick_dtype(device)).removeprefix("torch."),
    }
    began = time.perf_counter()
    bundle = open_bundle(bundle_path)
    info = bundle.info
    facts |= {
        "bundle": info.name,
        "bundle_folder": str(bundle_path or COMPACT),
        "bundle_load_s": round(time.perf_counter() - began, 2),
        "adapters": ", ".join(adapter_names(bundle.unet)) or "none (the base paints alone)",
        "classes": list(info.classes),
        "labels": list(info.labels),
        "palette": [entry.name for entry in info.palette],
        "mpp": info.mpp,
        "size_px": f"{info.least_px} to {info.most_px}, multiples of {info.multiple_px}",
        "default_steps": info.steps,
        "default_guidance": default_settings(bundle, "synthesize").guidance,
    }
    if set(info.classes) >= {"epithelial", "lymphocyte", "stromal"}:
        facts["tile_256_px_s"] = round(_probe(bundle), 2)
    return facts


def _probe(bundle: Any) -> float:
    """Seconds to synthesize one 256-px tile, the better of two."""
    nuclei = draw_layout((256, 256), mpp=bundle.info.mpp, seed=0)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        synthesize(nuclei, bundle=bundle)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
