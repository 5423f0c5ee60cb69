"""How fast? Ratios within one run, so that they mean the same on any machine; seconds beside them.

python benchmarks/speed.py [--bundle PATH] [--out FOLDER] [--repeats 3]
"""

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from controlnet import assemble, runner
from torch.utils.flop_counter import FlopCounterMode

import histosynth as hs
from histosynth.core.geometry import Size
from histosynth.model.conditioning import structure_maps, style_length

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


def matmul_rate(dtype: torch.dtype, repeats: int, side: int = 1024) -> float:
    """Floating point operations a second of a square matrix product: what this machine can do."""
    first, second = (torch.randn(side, side, dtype=dtype) for _ in range(2))
    return 2 * side**3 / best(lambda: first @ second, 5 * repeats)


@torch.inference_mode()
def unet_rate(bundle, repeats: int, *, batch: int = 8) -> float:
    """The same of the U-Net on latents of 256 px."""
    info = bundle.info
    cells = [hs.draw_layout((256, 256), mpp=info.mpp, seed=0)] * batch
    maps = structure_maps(
        cells,
        [None] * batch,
        [None] * batch,
        classes=len(info.classes),
        size=Size(256, 256),
    )
    features = bundle.structure(maps)
    noisy = torch.randn(batch, len(info.latent_mean), 32, 32)
    style = torch.zeros(batch, style_length(len(info.style_mean), len(info.labels)))
    times = torch.full((batch,), 0.5)

    def forward() -> None:
        bundle.denoiser.predict(noisy, times, features, style)

    with FlopCounterMode(display=False) as counter:
        forward()
    return counter.get_total_flops() / best(forward, 3 * repeats)


def peak_gb(bundle: Path | None) -> float:
    """Most memory of a fresh process that makes one tile of 1,024 px, GB."""
    code = (
        "import resource, sys, histosynth as hs\n"
        "b = hs.open_bundle(sys.argv[1] or None)\n"
        "hs.synthesize(hs.draw_layout((1024, 1024), mpp=b.info.mpp, seed=0), bundle=b)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(bundle or "")],
        check=True,
        capture_output=True,
        text=True,
    )
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return int(said.stdout) * unit / 1e9


GUIDED = (
    ("no guidance", 1.0, 1.0),
    ("guidance 1.5, ours within its span", 1.5, 1.5),
    ("as each is used: learnt, against 1.5", None, 1.5),
)
"""Name, our guidance (None: the bundle's default) and theirs, which guides at every step."""


def against_controlnet(bundle, repeats: int) -> dict[str, float]:
    """Tiles a second over those of diffusers' ControlNet pipeline at the same steps."""
    steps = bundle.info.steps
    cells = hs.draw_layout((256, 256), mpp=bundle.info.mpp, seed=0)
    own = bundle.unet.dtype
    ways = {
        "same number type, channels last": (own, torch.channels_last),
        "same number type": (own, torch.contiguous_format),
        "as it comes (fp32)": (torch.float32, torch.contiguous_format),
    }
    ratios = {}
    for way, (dtype, order) in ways.items():
        pipeline = assemble(bundle, dtype=dtype)
        for part in (pipeline.unet, pipeline.controlnet, pipeline.vae):
            part.to(memory_format=order)
        for count in (1, 4):
            for what, guidance, other in GUIDED:
                theirs = runner(
                    pipeline,
                    side=256,
                    steps=steps,
                    guidance=other,
                    count=count,
                )
                paint = partial(hs.synthesize, cells, n=count, guidance=guidance, bundle=bundle)
                ours = best(paint, repeats)
                name = f"tiles/s over ControlNet's, {way}: {count} at a time, {what}"
                ratios[name] = best(theirs, repeats) / ours
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    bundles = {
        dtype: hs.open_bundle(args.bundle, device="cpu", dtype=dtype) for dtype in ("fp32", "bf16")
    }
    own = hs.open_bundle(args.bundle)
    cells = {
        side: hs.draw_layout((side, side), mpp=own.info.mpp, seed=0) for side in (256, 512, 1024)
    }
    tile = hs.synthesize(cells[256], bundle=own)[0].pixels.copy()
    mask = np.zeros((256, 256), bool)
    mask[64:192, 64:192] = True
    maps = structure_maps(
        [cells[256]],
        [None],
        [None],
        classes=len(own.info.classes),
        size=Size(256, 256),
    )

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
            lambda: hs.synthesize(cells[256], bundle=own, steps=max(own.info.steps // 2, 1)),
            args.repeats,
        ),
        "synthesize 256 px, guided at 1.5": best(
            lambda: hs.synthesize(cells[256], bundle=own, guidance=1.5), args.repeats
        ),
        "synthesize 8 x 256 px": best(
            lambda: hs.synthesize(cells[256], n=8, bundle=own), args.repeats
        ),
        "synthesize 512 px": best(lambda: hs.synthesize(cells[512], bundle=own), args.repeats),
        "synthesize 1024 px": best(lambda: hs.synthesize(cells[1024], bundle=own), 1),
        "complete 128 px of 256": best(lambda: hs.complete(tile, mask, bundle=own), args.repeats),
    }
    one = seconds[
        "synthesize 256 px, bf16" if own.unet.dtype == torch.bfloat16 else "synthesize 256 px, fp32"
    ]
    seconds["synthesize 256 px, in a batch of 8"] = seconds.pop("synthesize 8 x 256 px") / 8
    ratios = {
        "U-Net at batch 8, of this machine's matrix product rate": unet_rate(own, args.repeats)
        / matmul_rate(own.unet.dtype, args.repeats),
        "batch of 8 is faster by": one / seconds["synthesize 256 px, in a batch of 8"],
        "bf16 is faster by": seconds["synthesize 256 px, fp32"]
        / seconds["synthesize 256 px, bf16"],
        "our import costs, of torch's": (seconds["import histosynth"] - seconds["python -c pass"])
        / (seconds["import torch"] - seconds["python -c pass"]),
        "structure encoder, share of a tile": seconds["structure encoder, once"] / one,
        "structure once instead of each step saves": (own.info.steps - 1)
        * seconds["structure encoder, once"]
        / one,
        "complete / synthesize": seconds["complete 128 px of 256"] / one,
        "1024 px / 256 px (16 x the area)": seconds["synthesize 1024 px"] / one,
        "guidance learnt instead of sampled is faster by": seconds[
            "synthesize 256 px, guided at 1.5"
        ]
        / one,
        **against_controlnet(own, args.repeats),
    }
    result = {
        "seconds": {key: round(value, 4) for key, value in seconds.items()},
        "ratios": {key: round(value, 3) for key, value in ratios.items()},
        "tiles_per_second": round(1 / seconds["synthesize 256 px, in a batch of 8"], 2),
        "peak_gb_1024_px": round(peak_gb(args.bundle), 2),
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
    print(
        f"\n{result['tiles_per_second']} tiles/s in batches; 1,024 px take "
        f"{result['peak_gb_1024_px']} GB"
    )


if __name__ == "__main__":
    main()
