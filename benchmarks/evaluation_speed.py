"""How fast are the judges' sums? Against torchmetrics and prdc on the same features, in one run.

    python benchmarks/evaluation_speed.py [--n 10000] [--width 2048] [--out FOLDER]

Ratios are of the least of `--repeats` times. Features are random, of a falling spectrum, float32.
Writes evaluation-speed.json. Needs torchmetrics and prdc (in the dev extra).
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from histosynth.core.store import ensure_folder, write_json
from histosynth.metrics.distances import KernelSums, Moments, frechet_of_moments, kernel_distance
from histosynth.metrics.neighbours import prdc

ROOT = Path(__file__).resolve().parents[1]


class Given(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.num_features = width

    def forward(self, x):
        return x.flatten(1)


def features(n, width, seed):
    random = np.random.default_rng(seed)
    spectrum = np.arange(1, width + 1) ** -0.5
    mix = np.linalg.qr(np.random.default_rng(7).normal(size=(width, width)))[0]
    return ((random.normal(size=(n, width)) * spectrum + 0.02 * seed) @ mix).astype(np.float32)


def metric_fid(real, synthetic):
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=Given(real.shape[1]), normalize=False)
    metric.used_custom_model = True
    metric.set_dtype(torch.float64)
    return fed(metric, real, synthetic)


def metric_kid(real, synthetic):
    from torchmetrics.image.kid import KernelInceptionDistance

    metric = KernelInceptionDistance(
        feature=Given(real.shape[1]),
        subsets=100,
        subset_size=1000,
    )
    return float(fed(metric, real, synthetic)[0])


def fed(metric, real, synthetic):
    for rows, is_real in ((real, True), (synthetic, False)):
        for batch in torch.from_numpy(rows).split(1000):
            metric.update(batch[:, :, None, None], real=is_real)
    return metric.compute()


def our_fd(real, synthetic):
    sides = [Moments.of(np.array_split(side, 10)) for side in (synthetic, real)]
    return frechet_of_moments(*sides)


def our_kid_with_interval(real, synthetic):
    """All pairs, and 1,000 draws over 100 patients: what torchmetrics' 100 subsets do not give."""
    groups = np.arange(len(real)) % 100
    sums = KernelSums.of(real, groups, synthetic, groups)
    times = np.random.default_rng(0).multinomial(100, np.full(100, 0.01), size=1000).astype(float)
    return float(np.std(sums.distances(times, times)))


def their_prdc(real, synthetic):
    from prdc import compute_prdc

    return compute_prdc(real, synthetic, nearest_k=5)


def timed(work, *args, repeats):
    best = np.inf
    out = None
    for _ in range(repeats):
        began = time.perf_counter()
        out = work(*args)
        best = min(best, time.perf_counter() - began)
    return best, out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    real = features(asked.n, asked.width, 1)
    synthetic = features(asked.n, asked.width, 2)
    few = slice(0, min(asked.n, 4000))
    pairs = {
        "FD": (our_fd, metric_fid, (real, synthetic)),
        "KID": (kernel_distance, metric_kid, (real, synthetic)),
        "KID with an interval over patients": (
            our_kid_with_interval,
            metric_kid,
            (real, synthetic),
        ),
        "PRDC": (lambda a, b: prdc(a, b, 5), their_prdc, (real[few], synthetic[few])),
    }
    table = {}
    for name, (ours, theirs, args) in pairs.items():
        mine, value = timed(ours, *args, repeats=asked.repeats)
        other, reference = timed(theirs, *args, repeats=asked.repeats)
        table[name] = {
            "ours_s": round(mine, 2),
            "theirs_s": round(other, 2),
            "ratio": round(other / mine, 2),
        }
        if name in ("FD", "KID"):
            table[name] |= {"ours": float(value), "theirs": float(reference)}
        print(
            f"{name:36} ours {mine:7.2f} s   theirs {other:7.2f} s   {other / mine:5.2f} x",
            table[name],
        )
    small = Moments.of(np.array_split(real, 10))
    facts = {
        "n": asked.n,
        "width": asked.width,
        "prdc_n": few.stop,
        "threads": torch.get_num_threads(),
        "moments_mb": round((small.scatter.nbytes + small.mean.nbytes) / 1e6, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    write_json(ensure_folder(asked.out) / "evaluation-speed.json", facts | {"table": table})


if __name__ == "__main__":
    main()
