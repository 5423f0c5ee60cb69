"""Processor time of a tile's networks in torch and in onnxruntime, in turn, on one thread.

    python benchmarks/onnx_speed.py

Needs the extra `onnx`. The compact bundle is exported first.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

import histosynth as hs
from histosynth.core.geometry import Size
from histosynth.model.conditioning import random_maps
from histosynth.model.onnx_info import DECODER_FILE, DENOISER_FILE, STRUCTURE_FILE
from histosynth.sampling.painter import decode_canonical

SIZE = Size(256, 256)
RUNS = 11
WARM = 2


def processor_ms(functions: dict[str, object]) -> dict[str, float]:
    """Median of each, called in turn."""
    found = {name: [] for name in functions}
    for number in range(WARM + RUNS):
        for name, function in functions.items():
            began = time.process_time()
            function()
            if number >= WARM:
                found[name].append(1000 * (time.process_time() - began))
    return {name: statistics.median(values) for name, values in found.items()}


def opened_sessions(folder: Path) -> dict[str, object]:
    """Of one thread each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {}
    for name in (STRUCTURE_FILE, DENOISER_FILE, DECODER_FILE):
        sessions[name] = onnxruntime.InferenceSession(
            str(folder / name),
            options,
            providers=["CPUExecutionProvider"],
        )
    return sessions


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    bundle = hs.open_bundle(device="cpu", dtype="fp32").with_merged_adapter("global")
    random = torch.Generator().manual_seed(0)
    classes = len(bundle.info.classes)
    maps = random_maps(1, classes=classes, size=SIZE, generator=random)
    with torch.inference_mode():
        features = bundle.features(maps)
    noisy = torch.randn(1, len(bundle.info.latent_mean), 32, 32, generator=random)
    moment = torch.tensor([0.7])
    style = torch.randn(1, bundle.unet.config.projection_class_embeddings_input_dim)
    scales = {f"scale_{index}": each for index, each in enumerate(features.scales)}
    inputs = {
        STRUCTURE_FILE: {
            "nuclei": maps.nuclei,
            "has_nuclei": maps.has_nuclei,
            "known": maps.known,
            "mask": maps.mask,
            "shapes": torch.zeros(1, 2, 128, 128),
        },
        DENOISER_FILE: {
            "noisy": noisy,
            "time": moment,
            "style": style,
            "fine": features.fine,
            **scales,
        },
        DECODER_FILE: {"latents": noisy},
    }
    denoiser = bundle.denoiser
    of_torch = {
        STRUCTURE_FILE: lambda: bundle.features(maps),
        DENOISER_FILE: lambda: denoiser.predict_x0(noisy, moment, features, style),
        DECODER_FILE: lambda: decode_canonical(bundle, noisy),
    }
    with tempfile.TemporaryDirectory() as place, torch.inference_mode():
        folder = Path(place) / "onnx"
        hs.export_onnx(out=folder)
        for name, session in opened_sessions(folder).items():
            feeds = {key: np.asarray(value) for key, value in inputs[name].items()}
            found = processor_ms(
                {
                    "torch": of_torch[name],
                    "onnxruntime": lambda session=session, feeds=feeds: session.run(None, feeds),
                }
            )
            ratio = found["torch"] / found["onnxruntime"]
            print(
                f"{name:16} torch {found['torch']:6.1f} ms, onnxruntime "
                f"{found['onnxruntime']:6.1f} ms, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
