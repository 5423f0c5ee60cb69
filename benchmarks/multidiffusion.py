"""Sampling a canvas: windows in two phases against half-overlapped MultiDiffusion, in one run.

    python benchmarks/multidiffusion.py [--size 3072] [--rounds 3] [--out FILE]

Both sample the same latents with the same network, steps, windows of 1,024 px and nuclei, by one
thread. MultiDiffusion (Bar-Tal et al. 2023, arXiv 2302.08113) moves its windows by half of their
side and blends the estimates of all windows after each step. A seam is the mean squared step of
latents across the lines where windows begin or end, over the median of the other lines.
Decoding costs both the same and is not in these times.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import histosynth as hs
from histosynth.core.geometry import Box
from histosynth.painting.latents import LatentFiles, paint_window
from histosynth.painting.lattice import OVERLAP_CELLS
from histosynth.painting.opened import open_scene
from histosynth.pipeline.paint import scene_of
from histosynth.sampling.options import SamplingOptions
from histosynth.sampling.painter import guided_denoise, network_features

WINDOW = 128
HALF = WINDOW // 2


def in_phases(opened, folder):
    """Latents (C, h, w) as `paint` samples them."""
    files = LatentFiles(opened, Path(folder))
    lattice = opened.lattice
    for phase in range(opened.plan.count):
        for row in range(lattice.rows.count):
            for column in range(lattice.columns.count):
                paint_window(files, phase, column, row)
    return files.blended(opened.plan.count - 1, lattice.canvas)[0]


@torch.inference_mode()
def multidiffusion(opened):
    """Latents (C, h, w) of half-overlapped windows, blended after each step."""
    canvas = opened.lattice.canvas
    starts = [range(0, side - WINDOW + 1, HALF) for side in (canvas.width, canvas.height)]
    windows = [Box(x, y, WINDOW, WINDOW) for y in starts[1] for x in starts[0]]
    along = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW) ** 2
    weights = torch.from_numpy(np.outer(along, along).astype(np.float32))
    total = torch.zeros(canvas.height, canvas.width)
    denoisers = []
    for cells in windows:
        total[cells.slices] += weights
        features = network_features(opened.bundle, opened.maps(cells), opened.scene.settings)
        denoisers.append(
            guided_denoise(opened.bundle, features, opened.style, opened.scene.settings)
        )
    noise = opened.noise(canvas)
    plan = opened.plan.plan
    estimates = []

    def mixed(share, parts):
        value = share * noise
        for weight, estimate in zip(parts, estimates, strict=False):
            value = value + weight * estimate
        return value

    for call in plan.calls:
        noisy = mixed(call.noise, call.estimates)
        blended = torch.zeros_like(noise)
        time_of = torch.full((1,), call.time)
        for cells, denoise in zip(windows, denoisers, strict=True):
            rows, columns = cells.slices
            clean = denoise(noisy[..., rows, columns], time_of)
            blended[..., rows, columns] += weights * clean.float()
        estimates.append(blended / total)
    return mixed(plan.noise, plan.estimates)[0].numpy()


def seam(latents, lines):
    """Mean squared step across some lines over that of the others, both ways."""
    side = latents.shape[-1]
    others = [line for line in range(1, side) if line not in lines]
    ratios = []
    for values in (latents, latents.swapaxes(1, 2)):
        steps = np.square(np.diff(values, axis=2)).mean(axis=(0, 1))
        typical = np.median(steps[np.array(others) - 1])
        ratios.extend(steps[np.array(lines) - 1] / typical)
    return float(np.mean(ratios))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=3072)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    layout = hs.draw_slide_layout((args.size, args.size), seed=1, like="model")
    opened = open_scene(scene_of(layout, None, SamplingOptions(device="cpu"), None))
    layout.window(Box(0, 0, args.size, args.size))  # drawn before either begins
    cells = args.size // 8
    stride = WINDOW - OVERLAP_CELLS
    starts = range(stride, cells - OVERLAP_CELLS, stride)
    own_lines = sorted({*starts, *(start + OVERLAP_CELLS for start in starts)})
    half_lines = list(range(HALF, cells - HALF + 1, HALF))
    seconds = {"phases": [], "multidiffusion": []}
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            own = in_phases(opened, folder)
            seconds["phases"].append(time.perf_counter() - began)
        began = time.perf_counter()
        other = multidiffusion(opened)
        seconds["multidiffusion"].append(time.perf_counter() - began)
    ratios = [b / a for a, b in zip(seconds["phases"], seconds["multidiffusion"], strict=True)]
    result = {
        "size_px": args.size,
        "seconds": seconds,
        "ratio": statistics.median(ratios),
        "ratios": [min(ratios), max(ratios)],
        "seam": {"phases": seam(own, own_lines), "multidiffusion": seam(other, half_lines)},
    }
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
