"""Painting of slides: cost and memory by size, workers, plain windows, seams. All in one run.

    python benchmarks/paint.py [--sizes 2048,4096] [--two 4096]
        [--out benchmarks/results/paint.json]

Each slide is painted in a process of its own by one thread, from a layout without glass, so that
every window runs the networks. Times are those of the pieces of work: without opening the bundle,
pilot tiles and writing the file. A machine's speed drifts over an hour, so plain windows of the
same size are timed before and after every slide, and costs are also given over them. A seam is
the mean squared step across the lines where windows begin or end, over the median of the other
lines at multiples of 8 px.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

WINDOW_PX = 1024
STRIDE_PX = 960
OVERLAP_PX = 64
PLAIN_SIZE = 3072


def paint_one(size, workers, out):
    """Paint a slide in this process and print its numbers."""
    from histosynth.engine import EngineOptions
    from histosynth.pipeline.paint import PaintOptions, paint
    from histosynth.pipeline.slide_layouts import draw_slide_layout
    from histosynth.sampling.options import SamplingOptions

    marks = []
    engine = EngineOptions("local") if workers == 1 else EngineOptions("pool", workers)
    paint(
        draw_slide_layout((size, size), seed=1, like="model"),
        out,
        options=PaintOptions(SamplingOptions(device="cpu"), codec="deflate", engine=engine),
        on_painted=lambda done, total: marks.append(time.perf_counter()),
    )
    # workers open their networks with their first pieces of work
    first = 0 if workers == 1 else 2 * workers
    done = len(marks) - 1
    seconds = (marks[-1] - marks[first]) * done / (done - first)
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(json.dumps({"seconds": seconds, "peak_mib": peak / 1024}))


def plain_windows(size):
    """Seconds a Mpx of tiles of 1,024 px from the same layout, each by itself, one thread."""
    import torch

    import histosynth as hs

    torch.set_num_threads(1)
    layout = hs.draw_slide_layout((size, size), seed=1, like="model")
    tiles = [
        layout.window(hs.Box(x, y, WINDOW_PX, WINDOW_PX))
        for y in range(0, size, WINDOW_PX)
        for x in range(0, size, WINDOW_PX)
    ]
    bundle = hs.open_bundle(device="cpu")
    hs.synthesize(tiles[0], bundle=bundle, batch=1)
    began = time.perf_counter()
    for tile in tiles:
        hs.synthesize(tile, bundle=bundle, batch=1)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds_per_mpx": seconds / (size * size / 1e6)}))


def seam_of(path):
    """Mean squared step at the windows' lines over that of other lines, both ways."""
    pixels = tifffile.imread(path).astype(np.float32).mean(axis=2)
    side = pixels.shape[0]
    starts = np.arange(STRIDE_PX, side - OVERLAP_PX, STRIDE_PX)
    lines = sorted({*starts, *(starts + OVERLAP_PX // 2), *(starts + OVERLAP_PX)})
    lines = [line for line in lines if 0 < line < side]
    others = [line for line in range(8, side, 8) if line not in lines]
    ratios = []
    for values in (pixels, pixels.T):
        steps = np.square(np.diff(values, axis=1)).mean(axis=0)
        typical = np.median(steps[np.array(others) - 1])
        ratios.extend(steps[np.array(lines) - 1] / typical)
    return {"mean": float(np.mean(ratios)), "most": float(np.max(ratios)), "lines": len(ratios)}


def child(*words):
    command = [sys.executable, __file__, *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="2048,4096")
    parser.add_argument("--two", type=int, help="the size that two workers paint: the last one")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs="+")
    arguments = parser.parse_args()
    if arguments.child:
        what, *values = arguments.child
        if what == "plain":
            plain_windows(int(values[0]))
        else:
            paint_one(int(values[0]), int(values[1]), Path(values[2]))
        return
    sizes = [int(size) for size in arguments.sizes.split(",")]
    result = {"slides": {}}
    with tempfile.TemporaryDirectory() as folder:
        before = child("--child", "plain", PLAIN_SIZE)["seconds_per_mpx"]
        for size in sizes:
            out = Path(folder) / f"{size}.ome.tiff"
            numbers = child("--child", "paint", size, 1, out)
            after = child("--child", "plain", PLAIN_SIZE)["seconds_per_mpx"]
            seconds_per_mpx = numbers["seconds"] * 1e6 / size**2
            result["slides"][size] = {
                "seconds_per_mpx": seconds_per_mpx,
                "plain_before_after": [before, after],
                "cost_over_plain": seconds_per_mpx / np.mean([before, after]),
                "peak_mib": numbers["peak_mib"],
                "seam": seam_of(out),
            }
            before = after
            print(size, result["slides"][size], flush=True)
        # the last size may be too long to paint twice
        size = arguments.two or sizes[-1]
        out = Path(folder) / f"{size}.ome.tiff"
        two = child("--child", "paint", size, 2, Path(folder) / "two.ome.tiff")
        one = result["slides"][size]["seconds_per_mpx"] * size * size / 1e6
        same = (Path(folder) / "two.ome.tiff").read_bytes() == out.read_bytes()
        result["two_workers"] = {"ratio": one / two["seconds"], "same_bytes": same}
    print(json.dumps(result, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
