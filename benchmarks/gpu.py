"""What a GPU does: painting, and training, in one command of about six minutes. JSON out.

    python benchmarks/gpu.py [--out FILE] [--device cuda] [--only painting adapters base]

Nothing is downloaded: tiles are painted with the bundle in the package, and what is trained has
random weights and random pixels. `--small` tries the command itself on a CPU, in a minute.

- painting: tiles of 256 px a second by `synthesize`, by batch and steps, and where the time goes:
  maps, structure encoder, U-Net step, decoder, search for grain, and the rest; the U-Net's rate
  beside that of a large matrix product; how far one picture alone is from the same in a batch.
- adapters: training at the shape of Stable Diffusion 2.1, against diffusers' own loop
  (train_reference.py): ratios of least times of steps in turn, and of memory.
- base: crops a second of training the compact base.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from train import RANK, THEIRS, Side

import histosynth as hs
from histosynth.core.geometry import Size
from histosynth.model.conditioning import structure_maps, style_length
from histosynth.sampling.grain_search import DeviceGrainSearch
from histosynth.sampling.painter import decode_canonical

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("painting", "adapters", "base")
OURS = "ours"
EARLIER_TILES_PER_S = 31.8
"""Of the build before maps, norms and grain moved to the GPU: an H200, batch 128."""
CONFIGURATIONS = (
    {"crop": 512, "batch": 16, "precision": "bf16", "checkpointing": False},
    {"crop": 512, "batch": 16, "precision": "fp16", "checkpointing": True},
    {"crop": 1024, "batch": 16, "precision": "fp16", "checkpointing": True},
    {"crop": 1024, "batch": 8, "precision": "bf16", "checkpointing": False},
)
SMALL = ({"crop": 128, "batch": 2, "precision": "fp32", "checkpointing": False},)


class Clock:
    """Times work on a device: it waits until the device is at rest."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def rest(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], repeats: int = 5) -> float:
        """Median, after one run that does not count."""
        work()
        found = []
        for _ in range(repeats):
            self.rest()
            began = time.perf_counter()
            work()
            self.rest()
            found.append(time.perf_counter() - began)
        return statistics.median(found)


def matmul_rate(clock: Clock, dtype: torch.dtype, side: int) -> float:
    """Floating point operations a second of a square matrix product."""
    left, right = (torch.randn(side, side, dtype=dtype, device=clock.device) for _ in range(2))
    return 2 * side**3 / clock.seconds(lambda: left @ right, 20)


@torch.inference_mode()
def stages(bundle: hs.Bundle, clock: Clock, batch: int) -> dict[str, float]:
    """Seconds of a batch in each stage, and the U-Net's operations a second."""
    merged = bundle.with_merged_adapter("global")
    info = merged.info
    size = Size(256, 256)
    nuclei = [hs.draw_layout(size, mpp=info.mpp, seed=seed) for seed in range(batch)]
    nothing = [None] * batch

    def draw():
        return structure_maps(
            nuclei,
            nothing,
            nothing,
            classes=len(info.classes),
            size=size,
            device=clock.device,
        )

    maps = draw()
    features = merged.features(maps)
    noisy = torch.randn(batch, len(info.latent_mean), 32, 32, device=clock.device)
    style = torch.zeros(batch, style_length(len(info.style_mean), len(info.labels)))
    style = style.to(clock.device)
    times = torch.full((batch,), 0.5, device=clock.device)

    def step():
        return merged.denoiser.predict(noisy, times, features, style)

    with FlopCounterMode(display=False) as counter:
        step()
    found = {
        "maps": clock.seconds(draw),
        "structure": clock.seconds(lambda: merged.features(maps)),
        "unet_step": clock.seconds(step),
        "decode_and_copy": clock.seconds(lambda: decode_canonical(merged, noisy)),
    }
    if bundle.grain is not None:
        search = DeviceGrainSearch(bundle.grain.patches, clock.device)
        looks = np.zeros((batch * 34 * 34, 36), np.float32)
        found["grain_search"] = clock.seconds(lambda: search(looks))
    found["unet_flop_per_s"] = counter.get_total_flops() / found["unet_step"]
    return found


def painting(device: torch.device, *, small: bool) -> dict:
    clock = Clock(device)
    bundle = hs.open_bundle(device=str(device))
    batch = 4 if small else 128
    count = batch * (1 if small else 4)
    layouts = [hs.draw_layout((256, 256), mpp=0.5, seed=seed) for seed in range(count)]
    result: dict = {"batch": batch, "tiles": count, "dtype": str(bundle.unet.dtype)}
    for name, options in {
        "default": {},
        "8 steps, unipc": {"steps": 8, "solver": "unipc"},
        "16 steps, dpm": {"steps": 16, "solver": "dpm"},
    }.items():
        hs.synthesize(layouts[:batch], bundle=bundle, batch=batch, **options)
        clock.rest()
        began = time.perf_counter()
        hs.synthesize(layouts, bundle=bundle, batch=batch, **options)
        rate = count / (time.perf_counter() - began)
        result[name] = {
            "tiles_per_s": round(rate, 2),
            "against_31.8": round(rate / EARLIER_TILES_PER_S, 2),
        }
    result["stages_s"] = stages(bundle, clock, batch)
    peak = matmul_rate(clock, bundle.unet.dtype, 1024 if small else 8192)
    result["matmul_flop_per_s"] = peak
    result["unet_share_of_peak"] = result["stages_s"]["unet_flop_per_s"] / peak
    together = hs.synthesize(layouts[:batch], bundle=bundle, batch=batch, grain=False)
    (alone,) = hs.synthesize(layouts[0], bundle=bundle, grain=False)
    apart = np.abs(together[0].pixels.astype(int) - alone.pixels)
    result["alone_and_in_a_batch"] = {
        "greatest_levels": int(apart.max()),
        "mean_levels": float(apart.mean()),
    }
    if device.type == "cuda":
        result["peak_memory_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
    return result


def adapters(device: str, *, small: bool, rounds: int) -> dict:
    """Ours against diffusers' loop, step by step in turn."""
    name = "tiny" if small else "true21"
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        configurations = SMALL if small else CONFIGURATIONS
        largest = max(each["crop"] for each in configurations)
        making = {"make": folder, "bases": [name], "data": folder, "crop": largest}
        Side("train_ours.py", making).hear()
        for index, configuration in enumerate(configurations):
            ask = {
                **configuration,
                "base": str(work / name),
                "tissue": str(work / "tissue"),
                "work": str(work / f"runs-{index}"),
                "name": "run",
                "steps": rounds + 2,
                "threads": 4,
                "rank": RANK,
                "device": device,
            }
            sides = {OURS: Side("train_ours.py", ask), THEIRS: Side("train_reference.py", ask)}
            for _ in range(ask["steps"]):
                for side in sides.values():
                    side.step()
            for side in sides.values():
                side.end()
            rows = {}
            for side_name, side in sides.items():
                rows[side_name] = {
                    "images_per_s": round(ask["batch"] / min(side.counted), 2),
                    "gpu_gib": round(side.rows[-1]["gpu_mb"] * 1e6 / 2**30, 2),
                }
            ours, theirs = rows[OURS], rows[THEIRS]
            rows["speed_ratio"] = round(ours["images_per_s"] / theirs["images_per_s"], 3)
            if theirs["gpu_gib"]:
                rows["memory_ratio"] = round(ours["gpu_gib"] / theirs["gpu_gib"], 3)
            label = ", ".join(f"{key} {value}" for key, value in configuration.items())
            table[label] = rows
            print(label, json.dumps(rows), flush=True)
    return table


BASE_RECIPE = """task = "base"
name = "base"
start = "compact"
seed = 0
[loop]
steps = {steps}
batch = {batch}
warmup = 0
validate_every = {steps}
checkpoint_every = {steps}
trackers = []
[data]
root = "{root}"
mpp = 0.5
views = 1
classes = ["epithelial", "lymphocyte", "stromal"]
[[data.train]]
images = "images"
points = "points"
patient = "^(.{{12}})"
mpp = 0.5
label = "breast"
[[data.validation]]
images = "held"
points = "points"
patient = "^(.{{12}})"
mpp = 0.5
label = "breast"
[conditions]
crops = [256]
[base]
labels = ["breast"]
"""


def base(device: str, *, small: bool, rounds: int) -> dict:
    """Crops a second of the compact base, after its first steps."""
    from train_ours import write_tissue

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_tissue(work, work, side=256)
        for batch in (2,) if small else (8, 64):
            recipe = work / f"base-{batch}.toml"
            recipe.write_text(
                BASE_RECIPE.format(
                    steps=rounds + 4,
                    batch=batch,
                    root=work,
                )
            )
            ends: list[float] = []
            hs.train(
                recipe,
                work / f"run-{batch}",
                device=device,
                on_step=lambda step, numbers, ends=ends: ends.append(time.perf_counter()),
            )
            took = np.diff(ends[3:-1])
            found[f"batch {batch}"] = {"crops_per_s": round(batch / float(np.median(took)), 1)}
            print("base", batch, found[f"batch {batch}"], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "benchmarks" / "results" / "gpu.json",
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=8, help="steps that count")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    device = torch.device(args.device)
    result: dict = {"torch": torch.__version__, "small": args.small}
    if device.type == "cuda":
        result["gpu"] = torch.cuda.get_device_name(device)
    began = time.perf_counter()
    for part in args.only:
        if part == "painting":
            found = painting(device, small=args.small)
        elif part == "adapters":
            found = adapters(args.device, small=args.small, rounds=args.rounds)
        else:
            found = base(args.device, small=args.small, rounds=args.rounds)
        result[part] = found
        result["seconds"] = round(time.perf_counter() - began, 1)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=2) + "\n")
        print(part, json.dumps(found, indent=2), flush=True)


if __name__ == "__main__":
    main()
