"""Put a trained base, its adapters and its measured numbers together as a bundle with a card.

python benchmarks/publish.py RUN/weights --out BUNDLE [--adapter RUN/weights ...] [--quality quality.json]
                             [--steps 20] [--guidance 1.0] [--guidance-span 0.2 0.8]
                             [--autoencoder RUN/weights]
"""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

from diffusers import AutoencoderDC

from histosynth.core.store import sha256_of, write_text
from histosynth.model.adapters import FILE, read_adapter
from histosynth.model.bundle import load_bundle
from histosynth.model.card import write_card
from histosynth.model.info import read_info, write_info

MOST_BYTES = 48_000_000


def table(quality: dict) -> str:
    """Rows of the card's table from quality.json."""
    real, psnr = quality["realism"], quality["reconstruction_psnr_db"]
    kinds, mending = quality["kind_ratio"], quality.get("mending", {})
    fd = f"{real['FD_ratio']:.2f} ({real['FD_squeezenet']:.0f} / {real['FD_floor']:.0f})"
    rows = [
        ("reconstruction, PSNR", f"{psnr['value']:.2f} dB ({psnr['low']:.2f} to {psnr['high']:.2f})"),
        ("FD_squeezenet / real-vs-real floor", fd),
        ("KID_squeezenet / floor", f"{real['KID_ratio']:.2f}"),
        ("nuclei found where asked / on real tiles", f"{quality['found_ratio']:.2f}"),
        *((f"{kind}: looks its kind / on real tiles", f"{value:.2f}") for kind, value in kinds.items()),
        *(
            (f"hole: perceptual_squeezenet / {key.removeprefix('ratio_to_')}", f"{value:.2f}")
            for key, value in mending.items()
            if key.startswith("ratio_to_")
        ),
        (
            "tiles nearer to training than 95 % of unseen real ones",
            f"{quality['copies']['share_below_bar']:.2f}",
        ),
    ]
    head = (
        f"On {quality['crops']} crops of 256 px from {quality['validation_patients']} validation patients, "
        "by `make bench` (intervals: 95 %, bootstrap over patients; FD and KID at equal n, their floor "
        "against as many tiles of train patients):"
    )
    return "\n".join([head, "", "| what | measured |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--adapter", type=Path, action="append", default=[])
    parser.add_argument("--autoencoder", type=Path, help="a better decoder of the same latents")
    parser.add_argument("--quality", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--guidance-span", type=float, nargs=2)
    parser.add_argument("--shift", type=float)
    parser.add_argument(
        "--data", action="append", default=[], help="data, with licence, that the base did not see"
    )
    args = parser.parse_args()
    bundle = load_bundle(args.weights)
    if args.autoencoder:
        bundle.autoencoder = (
            AutoencoderDC.from_pretrained(args.autoencoder, use_safetensors=True).float().eval()
        )
    chosen = {
        key: getattr(args, key) for key in ("steps", "guidance", "shift") if getattr(args, key) is not None
    }
    if args.guidance_span:
        chosen["guidance_span"] = tuple(args.guidance_span)
    bundle.info = replace(bundle.info, data=(*bundle.info.data, *args.data), **chosen)
    if args.out.exists():
        shutil.rmtree(args.out)
    parts = ("autoencoder", "unet", "structure")
    sizes = {name: sum(p.numel() for p in getattr(bundle, name).parameters()) for name in parts}
    bundle.save(args.out)
    hashes = dict(bundle.info.hashes)
    for run in args.adapter:
        name = read_adapter(run / FILE)[0].name
        target = args.out / "adapters" / name
        shutil.copytree(run, target)
        bundle.give_adapter(target)  # refuses what does not fit
        for file in sorted(target.rglob("*.safetensors")):
            hashes[str(file.relative_to(args.out))] = sha256_of(file)
        sizes[f"adapter {name}"] = sum(t.numel() for t in read_adapter(target / FILE)[1].values())
    write_info(args.out, replace(bundle.info, hashes=hashes))
    measured = table(json.loads(args.quality.read_text())) if args.quality else ""
    write_text(args.out / "README.md", write_card(read_info(args.out), sizes, measured))
    total = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {total / 1e6:.1f} MB")
    if total > MOST_BYTES:
        raise SystemExit(f"{total} bytes are over the limit of {MOST_BYTES}")


if __name__ == "__main__":
    main()
