"""How much faster than another checkout? Both in turn, in one run; ratios of processor time.

    git worktree add --detach ../before COMMIT
    python benchmarks/against_checkout.py ../before [--rounds 7] [--threads 1] [--out FILE]

Each checkout is a process of its own with the bundle of its package and its default settings. They
take turns: a tile of 256 px, then a completion of a square of 128 px in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORKER = """
import json, sys, time
import numpy as np
import torch
torch.set_num_threads(int(sys.argv[1]))
import histosynth as hs
bundle = hs.open_bundle()
nuclei = [hs.draw_layout((256, 256), mpp=bundle.info.mpp, seed=seed) for seed in range(3)]
mask = np.zeros((256, 256), bool)
mask[64:192, 64:192] = True
tile = hs.synthesize(nuclei[:1], bundle=bundle, seed=0)[0]
tasks = {
    "tile": lambda seed: hs.synthesize(nuclei, bundle=bundle, seed=seed),
    "completion": lambda seed: [
        hs.complete(tile.pixels, mask, nuclei=nuclei[0], bundle=bundle, seed=seed)
    ],
}
for line in sys.stdin:
    task, seed = json.loads(line)
    began = time.process_time()
    made = tasks[task](seed)
    took = (time.process_time() - began) / len(made)
    settings = made[0].recipe["settings"]
    print(json.dumps([took, settings["steps"], settings["solver"]]), flush=True)
"""


class Checkout:
    """A process that paints with the code and the bundle of a checkout."""

    def __init__(self, folder: Path, threads: int) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(folder / "src"),
            "OMP_NUM_THREADS": str(threads),
            "HISTOSYNTH_DEVICE": "cpu",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WORKER, str(threads)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.settings: dict[str, str] = {}

    def seconds(self, task: str, seed: int) -> float:
        """Processor time of one picture of a task."""
        self.process.stdin.write(json.dumps([task, seed]) + "\n")
        self.process.stdin.flush()
        took, steps, solver = json.loads(self.process.stdout.readline())
        self.settings[task] = f"{steps} steps of {solver}"
        return took

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    sides = {
        "other": Checkout(args.other.resolve(), args.threads),
        "this": Checkout(ROOT, args.threads),
    }
    result: dict = {"threads": args.threads, "rounds": args.rounds}
    for task in ("tile", "completion"):
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for turn in range(args.rounds + 1):
            for name, side in sides.items():
                seconds[name].append(side.seconds(task, turn))
        counted = {name: values[1:] for name, values in seconds.items()}  # the first one warms up
        pairs = zip(counted["other"], counted["this"], strict=True)
        ratios = sorted(other / this for other, this in pairs)
        result[task] = {
            name: {
                "seconds": round(statistics.median(values), 3),
                "settings": sides[name].settings[task],
            }
            for name, values in counted.items()
        }
        result[task]["ratio"] = round(statistics.median(ratios), 2)
        result[task]["ratios"] = [round(ratios[0], 2), round(ratios[-1], 2)]
        print(task, json.dumps(result[task]), flush=True)
    for side in sides.values():
        side.end()
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
