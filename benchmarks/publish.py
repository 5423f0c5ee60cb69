"""Put a trained base, its adapters and its measured numbers together as a bundle with a card.

python benchmarks/publish.py RUN/weights --out BUNDLE [--adapter RUN/weights ...] [--quality
quality.json]
                             [--steps 20] [--solver unipc] [--guidance 1.0]
                             [--guidance-span 0.2 0.8]
                             [--autoencoder RUN/weights]
"""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

from diffusers import AutoencoderDC

from histosynth.core.store import write_text
from histosynth.model.adapters import ADAPTER_FILE, read_adapter
from histosynth.model.card import write_card
from histosynth.model.info import hashed, read_info, write_info
from histosynth.model.loading import load_bundle

MOST_BYTES = 48_000_000
WHOSE = {
    "validation_patients": "validation patients",
    "train_patients_left_out": "training patients, each against all others",
}


def table(quality: dict) -> str:
    """Rows of the card's table from quality.json."""
    real = quality["realism"]
    psnr = quality["reconstruction_psnr_db"]
    classes = quality["kind_ratio"]
    mending = quality.get("mending", {})
    copies = quality["copies"]

    def told(each: dict) -> str:
        return f"{each['value']:.2f} ({each['low']:.2f} to {each['high']:.2f})"

    def distance(name: str) -> str:
        low, high = real[f"{name}_ratio_over_groups"]
        return (
            f"{real[f'{name}_ratio']:.2f} ({low:.2f} to {high:.2f} over groups of train patients)"
        )

    masks = [(key, value) for key, value in mending.items() if "_to_" in key]
    rows = [
        ("reconstruction, PSNR in dB", told(psnr)),
        ("FD_squeezenet / that between different patients", distance("FD")),
        ("KID_squeezenet / that between different patients", distance("KID")),
        (
            "for comparison, FD of halves of the same real tiles",
            f"{real['FD_same_tiles_ratio']:.2f}",
        ),
        ("nuclei found where requested / on real tiles", told(quality["found_ratio"])),
        *(
            (f"{kind}: classified as requested / on real tiles", told(value))
            for kind, value in classes.items()
        ),
        *(
            (f"masked region, perceptual_squeezenet: {hole_row(key)}", told(value))
            for key, value in masks
        ),
        *(
            (
                "change of colour across the mask's boundary: "
                f"{key.replace('_', ' ')} / real (1 wanted)",
                told(value),
            )
            for key, value in quality.get("edge", {}).items()
            if key in ("ours", "ours_without_nuclei", "mirrored", "other_real_tissue")
        ),
        *(
            (
                "fibres keep their direction over the mask's boundary, 1 all of them: "
                f"{key.replace('_', ' ')}",
                told(value),
            )
            for key, value in quality.get("fibres", {}).items()
            if key
            in ("real", "ours", "ours_without_nuclei", "ours_from_noise", "other_real_tissue")
        ),
        *(
            (f"{kind}: median {name.replace('_um2', '').replace('_', ' ')} / real", told(value))
            for kind, features in quality.get("medians", {}).items()
            for name, value in features.items()
        ),
        (
            "nearest training crop, 5th percentile: synthetic tiles",
            told(copies["made_5th_percentile"]),
        ),
        *(
            (
                f"the same, real: {WHOSE[name]} ({bar['n']} crops of {bar['patients']} patients)",
                told(bar),
            )
            for name, bar in copies["real_5th_percentile"].items()
        ),
        *(
            (
                f"synthetic tiles nearer to training than 95 % of real ones of {WHOSE[name]} (0.05 "
                "wanted)",
                f"{told(share)} of {copies['n']}",
            )
            for name, share in copies["share_below_bar"].items()
        ),
    ]
    head = (
        f"On {quality['crops']} crops of 256 px from {quality['validation_patients']} validation "
        f"patients, {quality['draws']} tiles and completions of each, by `make bench`. They were "
        "never trained on, but steps, guidance, length of training, how much hue, grain and "
        "boundaries are matched, and which cells of a mask start from copied tissue were chosen on "
        "them. In brackets 95 % intervals, by bootstrap over patients. Synthetic tiles are given "
        "the nuclei, stain, style and hue of the tile they are compared with, so they can be "
        "nearer to it than other patients are."
    )
    return "\n".join(
        [head, "", "| what | measured |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
    )


def hole_row(key: str) -> str:
    """`ratio_to_telea` as words."""
    which, _, other = key.partition("_to_")
    ours = "ours" if which == "ratio" else "ours without nuclei"
    return f"{ours} / {other.replace('_', ' ')}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--adapter",
        type=Path,
        action="append",
        default=[],
    )
    parser.add_argument(
        "--autoencoder",
        type=Path,
        help="a better decoder of the same latents",
    )
    parser.add_argument("--quality", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--solver")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--guidance-span", type=float, nargs=2)
    parser.add_argument("--shift", type=float)
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        help="data, with licence, that the base did not see",
    )
    args = parser.parse_args()
    bundle = load_bundle(args.weights)
    if args.autoencoder:
        bundle.autoencoder = (
            AutoencoderDC.from_pretrained(args.autoencoder, use_safetensors=True).float().eval()
        )
    chosen = {
        key: getattr(args, key)
        for key in ("steps", "solver", "guidance", "shift")
        if getattr(args, key) is not None
    }
    if args.guidance_span:
        chosen["guidance_span"] = tuple(args.guidance_span)
    bundle.info = replace(bundle.info, data=(*bundle.info.data, *args.data), **chosen)
    if args.out.exists():
        shutil.rmtree(args.out)
    parts = ("autoencoder", "unet", "structure")
    sizes = {name: sum(p.numel() for p in getattr(bundle, name).parameters()) for name in parts}
    bundle.save(args.out)
    for run in args.adapter:
        name = read_adapter(run / ADAPTER_FILE)[0].name
        target = args.out / "adapters" / name
        shutil.copytree(run, target)
        bundle.load_adapter(target)  # refuses what does not fit
        sizes[f"adapter {name}"] = sum(
            t.numel() for t in read_adapter(target / ADAPTER_FILE)[1].values()
        )
    write_info(args.out, replace(bundle.info, hashes=hashed(args.out)))
    measured = table(json.loads(args.quality.read_text())) if args.quality else ""
    write_text(args.out / "README.md", write_card(read_info(args.out), sizes, measured))
    total = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {total / 1e6:.1f} MB")
    if total > MOST_BYTES:
        raise SystemExit(f"{total} bytes are over the limit of {MOST_BYTES}")


if __name__ == "__main__":
    main()
