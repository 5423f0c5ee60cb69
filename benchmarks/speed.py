"""How fast? Ratios within one run, so that they mean the same on any machine; seconds beside them.

python benchmarks/speed.py [--bundle PATH] [--out bench] [--repeats 3]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

import histosynth as hs
from histosynth.model.maps import make_maps

ROOT = Path(__file__).resolve().parents[1]


def best(function, repeats: int) -> float:
    """Least seconds of some runs, after one that does not count."""
    function()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def cold(code: str, repeats: int) -> float:
    return best(lambda: subprocess.run([sys.executable, "-c", code], check=True), repeats)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "bench")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    bundles = {dtype: hs.open_bundle(args.bundle, device="cpu", dtype=dtype) for dtype in ("fp32", "bf16")}
    own = hs.open_bundle(args.bundle)
    cells = {side: hs.draw_layout((side, side), mpp=own.info.mpp, seed=0) for side in (256, 512, 1024)}
    tile = hs.synthesize(cells[256], bundle=own)[0].pixels.copy()
    hole = np.zeros((256, 256), bool)
    hole[64:192, 64:192] = True
    maps = make_maps([cells[256]], [None], [None], kinds=len(own.info.kinds), size=(256, 256))

    def structure() -> None:
        with torch.inference_mode():
            own.structure(maps)

    seconds = {
        "python -c pass": cold("pass", args.repeats),
        "import histosynth": cold("import histosynth", args.repeats),
        "import torch": cold("import torch", args.repeats),
        "open the bundle": best(lambda: hs.open_bundle(args.bundle), args.repeats),
        "structure encoder, once": best(structure, args.repeats),
        "synthesize 256 px, fp32": best(
            lambda: hs.synthesize(cells[256], bundle=bundles["fp32"]), args.repeats
        ),
        "synthesize 256 px, bf16": best(
            lambda: hs.synthesize(cells[256], bundle=bundles["bf16"]), args.repeats
        ),
        "synthesize 256 px, half the steps": best(
            lambda: hs.synthesize(cells[256], bundle=own, steps=max(own.info.steps // 2, 1)), args.repeats
        ),
        "synthesize 256 px, guidance 1.5": best(
            lambda: hs.synthesize(cells[256], bundle=own, guidance=1.5), args.repeats
        ),
        "synthesize 512 px": best(lambda: hs.synthesize(cells[512], bundle=own), args.repeats),
        "synthesize 1024 px": best(lambda: hs.synthesize(cells[1024], bundle=own), 1),
        "complete 128 px of 256": best(lambda: hs.complete(tile, hole, bundle=own), args.repeats),
    }
    one = seconds[
        "synthesize 256 px, bf16" if own.unet.dtype == torch.bfloat16 else "synthesize 256 px, fp32"
    ]
    ratios = {
        "bf16 is faster by": seconds["synthesize 256 px, fp32"] / seconds["synthesize 256 px, bf16"],
        "our import costs, of torch's": (seconds["import histosynth"] - seconds["python -c pass"])
        / (seconds["import torch"] - seconds["python -c pass"]),
        "structure encoder, share of a tile": seconds["structure encoder, once"] / one,
        "structure once instead of each step saves": (own.info.steps - 1)
        * seconds["structure encoder, once"]
        / one,
        "complete / synthesize": seconds["complete 128 px of 256"] / one,
        "1024 px / 256 px (16 x the area)": seconds["synthesize 1024 px"] / one,
        "guidance / none": seconds["synthesize 256 px, guidance 1.5"] / one,
    }
    result = {
        "seconds": {key: round(value, 4) for key, value in seconds.items()},
        "ratios": {key: round(value, 3) for key, value in ratios.items()},
        "threads": torch.get_num_threads(),
        "steps": own.info.steps,
        "number_type": str(own.unet.dtype),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "speed.json").write_text(json.dumps(result, indent=2) + "\n")
    width = max(map(len, [*seconds, *ratios]))
    for part in ("seconds", "ratios"):
        print(f"\n{part}")
        for key, value in result[part].items():
            print(f"  {key:{width}}  {value:9.3f}")


if __name__ == "__main__":
    main()
