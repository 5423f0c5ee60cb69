"""How good is the bundle? Real tissue of unseen patients against what is made from its nuclei.

    python benchmarks/quality.py [--bundle PATH] [--out bench] [--data ../shared/data] [--weights ...]

Measures reconstruction, realism, structure, mending and copying on the validation patients of
brca-m2c, each beside its floor or baseline; writes quality.json, a table and contact sheets.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from skimage.restoration import inpaint_biharmonic
from squeezenet import SqueezeNet

import histosynth as hs
from histosynth.core.geometry import Box
from histosynth.core.sheet import contact_sheet, draw_nuclei, punch
from histosynth.evaluate.distances import frechet_distance, kernel_distance
from histosynth.evaluate.plain import KindJudge, found_share, nearest
from histosynth.model import autoencoder as ae
from histosynth.prepare.augment import pose
from histosynth.prepare.sources import TileSource, open_source

ROOT = Path(__file__).resolve().parents[1]
SIDE, HOLE = 256, 128


def source(members: str) -> TileSource:
    return TileSource("brca-m2c/images", "^(.{12})", 0.5, points="brca-m2c/points", members=members)


def corners(example, per_side: int = 2):
    """Crops of one tile on a regular grid, from edge to edge: (pixels, nuclei, whole tile's pixels)."""
    height, width = example.tile.pixels.shape[:2]
    for y in np.linspace(0, height - SIDE, per_side).astype(int):
        for x in np.linspace(0, width - SIDE, per_side).astype(int):
            box = Box(int(x), int(y), SIDE, SIDE)
            yield example.tile.pixels[box.slices], example.nuclei.crop(box), example.tile.pixels


def reconstruct(bundle, crops):
    """Through the autoencoder and back, by way of the canonical stain as in use."""
    out = []
    for pixels, _, whole in crops:
        frame = hs.measure_appearance(whole).frame
        signal = ae.to_signal(torch.from_numpy(frame.to_canonical(pixels)))[None]
        with torch.inference_mode():
            latents = ae.encode(bundle.autoencoder, signal)
            decoded = ae.decode(bundle.autoencoder, latents)[0]
        canonical = ((decoded.movedim(0, -1) + 1) * 127.5).clamp(0, 255).numpy()
        out.append(frame.from_canonical(canonical).round().astype(np.uint8))
    return np.stack(out)


def psnr(first, second):
    error = ((first.astype(float) - second.astype(float)) ** 2).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / error)


def interval(values, patients, seed=0, draws=1000):
    """Mean with a 95 % bootstrap interval over patients."""
    values, patients = np.asarray(values, float), np.asarray(patients)
    groups = [values[patients == p] for p in np.unique(patients)]
    random = np.random.default_rng(seed)
    means = [
        np.mean(np.concatenate([groups[i] for i in random.integers(len(groups), size=len(groups))]))
        for _ in range(draws)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return {"value": float(values.mean()), "low": float(low), "high": float(high), "n": len(values)}


def realism(embedder, real, made, train_groups):
    """FD and KID of made against real, and of as many real crops of train patients against real."""
    target, produced = embedder.embed(real), embedder.embed(made)
    floors = [embedder.embed(group) for group in train_groups]
    fd, kid = frechet_distance(produced, target), kernel_distance(produced, target)
    fd_floor = float(np.mean([frechet_distance(group, target) for group in floors]))
    kid_floor = float(np.mean([kernel_distance(group, target) for group in floors]))
    return {
        "FD_squeezenet": fd, "FD_floor": fd_floor, "FD_ratio": fd / fd_floor,
        "KID_squeezenet": kid, "KID_floor": kid_floor, "KID_ratio": kid / kid_floor, "n": len(made),
    }  # fmt: skip


def structure(judge, kinds, images, nuclei):
    """Share of nuclei found, and share that look like their kind, in all and per kind."""
    found = np.array([found_share(image, cells) for image, cells in zip(images, nuclei, strict=True)])
    seen = np.concatenate([judge(i, c) for i, c in zip(images, nuclei, strict=True) if len(c)])
    asked = np.concatenate([cells.kind for cells in nuclei])
    right = {kind: float((seen[asked == k] == k).mean()) for k, kind in enumerate(kinds)}
    return {"found": float(found[:, 0].sum() / found[:, 1].sum()), "kind": right, "n": int(found[:, 1].sum())}


def copies(embedder, train_crops, real, rebuilt, made):
    """Distance to the nearest train crop in any pose, made against real unseen; and the nearest pairs.

    Real crops that went through the autoencoder are the control: what blur alone brings nearer.
    """
    known = embedder.embed(np.stack(train_crops))

    def gaps(images):
        posed = [np.stack([np.ascontiguousarray(pose(image, k)) for image in images]) for k in range(8)]
        found = [nearest(embedder.embed(each), known) for each in posed]
        best = np.argmin([distances for distances, _ in found], axis=0)
        pick = [(found[k][0][i], posed[k][i], train_crops[found[k][1][i]]) for i, k in enumerate(best)]
        return np.array([distance for distance, *_ in pick]), pick

    (unseen, _), (blurred, _), (ours, pairs) = (gaps(images) for images in (real, rebuilt, made))
    bar = np.percentile(unseen, 5)
    pairs = sorted(pairs, key=lambda pair: pair[0])[:8]
    rows = [
        ("made, nearest to training first", [image for _, image, _ in pairs]),
        ("its nearest training crop", [image for *_, image in pairs]),
    ]
    return {
        "real_5th_percentile": float(bar), "made_5th_percentile": float(np.percentile(ours, 5)),
        "made_nearest": float(ours.min()), "made_median": float(np.median(ours)),
        "real_median": float(np.median(unseen)), "share_below_bar": float((ours < bar).mean()),
        "reconstructed_share_below_bar": float((blurred < bar).mean()), "n": len(made),
    }, contact_sheet(rows)  # fmt: skip


def mending(bundle, embedder, crops, *, seed):
    """Central holes: ours, ours without nuclei, biharmonic, Telea."""
    hole = np.zeros((SIDE, SIDE), bool)
    edge = (SIDE - HOLE) // 2
    hole[edge:-edge, edge:-edge] = True
    ways = {"ours": [], "ours_without_nuclei": [], "biharmonic": [], "telea": []}
    for index, (pixels, nuclei, _) in enumerate(crops):
        told = {"seed": seed + index, "bundle": bundle}
        ways["ours"].append(hs.complete(pixels, hole, nuclei=nuclei, **told).pixels)
        ways["ours_without_nuclei"].append(hs.complete(pixels, hole, **told).pixels)
        smooth = inpaint_biharmonic(pixels, hole, channel_axis=2, split_into_regions=False)
        ways["biharmonic"].append((smooth * 255).round().clip(0, 255).astype(np.uint8))
        ways["telea"].append(cv2.inpaint(pixels, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA))
    real = np.stack([pixels for pixels, *_ in crops])
    distances = {name: embedder.distance(np.stack(images), real, hole) for name, images in ways.items()}
    outside = max(int(np.abs(np.stack(ways["ours"])[:, ~hole].astype(int) - real[:, ~hole]).max()), 0)
    return ways, distances, hole, outside


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "bench")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument(
        "--weights", type=Path, default=ROOT.parent / "shared" / "weights" / "squeezenet11.safetensors"
    )
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-holes", action="store_true", help="leave out mending")
    args = parser.parse_args()
    if not args.data.is_dir():
        raise SystemExit(f"{args.data} is not there: quality is measured on real tissue. Give --data.")
    began = time.monotonic()
    bundle = hs.open_bundle(args.bundle)
    embedder, kinds = SqueezeNet(args.weights), bundle.info.kinds
    train, held_out = (
        open_source(source(f"brca-m2c/{name}.txt"), root=args.data, mpp=0.5, kinds=kinds)
        for name in ("train", "val")
    )
    crops = [crop for example in held_out for crop in corners(example)]
    patients = [example.tile.ref.patient for example in held_out for _ in range(4)]
    real, nuclei = np.stack([c[0] for c in crops]), [c[1] for c in crops]

    how = {"steps": args.steps, "guidance": args.guidance, "bundle": bundle}
    made = np.stack(
        [
            hs.synthesize(cells, appearance=whole, seed=args.seed + index, **how)[0].pixels
            for index, (_, cells, whole) in enumerate(crops)
        ]
    )
    seconds = (time.monotonic() - began) / len(crops)
    rebuilt = reconstruct(bundle, crops)
    random = np.random.default_rng(0)
    groups = [  # as many train patients' tiles as there are validation tiles, four crops each
        np.stack(
            [c[0] for i in random.choice(len(train), len(held_out), replace=False) for c in corners(train[i])]
        )
        for _ in range(10)
    ]
    judge = KindJudge.fit([(example.tile.pixels, example.nuclei) for example in train])
    on_real, on_made = (structure(judge, kinds, images, nuclei) for images in (real, made))
    on_rebuilt = structure(judge, kinds, rebuilt, nuclei)
    copied, pairs = copies(embedder, [c[0] for e in train for c in corners(e, 4)], real, rebuilt, made)
    shuffled = [made[(i + 5) % len(made)] for i in range(len(made))]
    result = {
        "bundle": bundle.info.name, "validation_patients": len(held_out), "crops": len(crops),
        "steps": args.steps or bundle.info.steps, "guidance": args.guidance or bundle.info.guidance,
        "reconstruction_psnr_db": interval(psnr(rebuilt, real), patients),
        "realism": realism(embedder, real, made, groups),
        "realism_of_reconstruction": realism(embedder, real, rebuilt, groups),
        "structure_real": on_real, "structure_reconstructed": on_rebuilt, "structure_made": on_made,
        "structure_shuffled_control": structure(judge, kinds, shuffled, nuclei),
        "found_ratio": on_made["found"] / on_real["found"],
        "kind_ratio": {k: on_made["kind"][k] / on_real["kind"][k] for k in kinds},
        "copies": copied,
        "seconds_per_tile": seconds,
    }  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)
    first = range(0, len(crops), 4)
    rows = [
        ("real (validation patients)", [real[i] for i in first]),
        ("through the autoencoder", [rebuilt[i] for i in first]),
        ("nuclei asked for", [draw_nuclei(nuclei[i]) for i in first]),
        ("global: synthesized from nuclei, tile's own appearance", [made[i] for i in first]),
    ]
    if not args.no_holes:
        ways, distances, hole, outside = mending(bundle, embedder, crops, seed=args.seed)
        result["mending"] = {name: interval(values, patients) for name, values in distances.items()}
        ours = distances["ours"].mean()
        for other in ("biharmonic", "telea", "ours_without_nuclei"):
            result["mending"][f"ratio_to_{other}"] = float(ours / distances[other].mean())
        result["mending"]["largest_change_outside"] = outside
        rows += [
            ("hole", [punch(real[i], hole) for i in first]),
            ("local: completed with nuclei", [ways["ours"][i] for i in first]),
            ("local: completed without nuclei", [ways["ours_without_nuclei"][i] for i in first]),
            ("Telea", [ways["telea"][i] for i in first]),
        ]
    Image.fromarray(contact_sheet(rows)).save(args.out / "quality.png")
    Image.fromarray(pairs).save(args.out / "copies.png")
    (args.out / "quality.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
