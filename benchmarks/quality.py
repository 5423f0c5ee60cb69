"""How good is the bundle? Real tissue of unseen patients against what is made from its nuclei.

    python benchmarks/quality.py [--bundle PATH] [--out FOLDER] [--data ../shared/data] [--weights
    ...]

Measures reconstruction, realism, structure, mending and copying on the validation patients of
brca-m2c, each beside its floor or baseline; writes quality.json, a table and contact sheets.

The validation patients were never trained on, but settings were chosen on them: read the numbers as
such. The floor is the distance between real tiles of *different* patients. What is made is given
the nuclei, the stain and the hue of the very tile it is compared with, so it can come below that
floor; the distance between halves of the *same* tiles stands beside it.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from copying import copies
from crops import UNLABELLED, corners, unlabelled
from intervals import as_row, interval, ratio
from mending import mending
from PIL import Image
from squeezenet import SqueezeNet

import histosynth as hs
from histosynth.core.sheet import contact_sheet, draw_nuclei, fill_mask
from histosynth.detectors.blobs import BlobDetector
from histosynth.metrics.distances import frechet_distance, kernel_distance
from histosynth.metrics.intervals import statistic_over
from histosynth.metrics.morphology.features import NUCLEUS_FEATURES, measure_morphology
from histosynth.metrics.ring_classifier import RingClassifier
from histosynth.metrics.structure.measure import measure_structure
from histosynth.model import autoencoder as ae
from histosynth.training.data.sources import open_source
from histosynth.training.recipes.tiles import TileSource

ROOT = Path(__file__).resolve().parents[1]
DRAWS = 3
"""Tiles made of each crop, and completions of each hole."""
MEDIANS = ("area_um2", "eccentricity", "irregularity", "density")


def source(members: str) -> TileSource:
    return TileSource(
        "brca-m2c/images",
        "^(.{12})",
        0.5,
        points="brca-m2c/points",
        members=members,
    )


def reconstruct(bundle, crops):
    """Through the autoencoder and back, by way of the canonical stain; no hue is given back."""
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


def realism(
    embedder,
    real,
    made,
    train_groups,
):
    """FD and KID of made against real, and of as many real crops of train patients against real."""
    target = embedder.embed(real)
    produced = embedder.embed(made)
    floors = [embedder.embed(group) for group in train_groups]
    out = {"n": len(made)}
    # crops 0 and 3 of each tile against 1 and 2: different tissue of the same tiles
    half = np.isin(np.arange(len(real)) % 4, (0, 3))
    for name, distance in (("FD", frechet_distance), ("KID", kernel_distance)):
        away = distance(produced, target)
        floor = [distance(group, target) for group in floors]
        small = [distance(group[half], target[~half]) for group in floors]
        same = distance(target[half], target[~half])
        out |= {
            f"{name}_squeezenet": away,
            f"{name}_floor": float(np.mean(floor)),
            f"{name}_ratio": away / float(np.mean(floor)),
            f"{name}_ratio_over_groups": [away / float(np.max(floor)), away / float(np.min(floor))],
            f"{name}_same_tiles_ratio": same / float(np.mean(small)),
        }
    return out


def mean_of(draws):
    """The mean of the same numbers over draws of the same crops, and the least and greatest FD
    ratio."""
    out = {key: np.mean([draw[key] for draw in draws], axis=0).tolist() for key in draws[0]}
    ratios = [draw["FD_ratio"] for draw in draws]
    return out | {"FD_ratio_over_draws": [min(ratios), max(ratios)]}


def found_nuclei(image, requested):
    """(requested nuclei with a blob within 3 um, requested nuclei)."""
    values = measure_structure(image, requested, detectors={"blobs": BlobDetector()})
    matched, _, asked = values["structure/blobs/counts"][1, 0]
    return int(matched), int(asked)


def structure(
    classifier,
    classes,
    images,
    nuclei,
):
    """Share of nuclei found, and share that look like their class, of all and by class."""
    found = np.array(
        [found_nuclei(image, cells) for image, cells in zip(images, nuclei, strict=True)]
    )
    # per class and crop: classified as requested, and requested
    right = np.zeros((len(classes), len(nuclei), 2))
    for crop, (image, cells) in enumerate(zip(images, nuclei, strict=True)):
        seen = classifier(image, cells) if len(cells) else cells.class_ids
        for k in range(len(classes)):
            right[k, crop] = (seen[cells.class_ids == k] == k).sum(), (cells.class_ids == k).sum()
    shares = {
        kind: float(right[k, :, 0].sum() / right[k, :, 1].sum()) for k, kind in enumerate(classes)
    }
    each = {"found": found[:, 0], **{kind: right[k, :, 0] for k, kind in enumerate(classes)}}
    told = {"found": float(found[:, 0].sum() / found[:, 1].sum()), "kind": shares}
    return told | {"n": int(found[:, 1].sum())}, each


def outlined(images, nuclei, patients):
    """Features of every nucleus that could be outlined, with its class and patient."""
    measured = [
        measure_morphology(image, cells) for image, cells in zip(images, nuclei, strict=True)
    ]
    counts = [len(each["morphology/values"]) for each in measured]
    return (
        np.concatenate([each["morphology/values"] for each in measured]),
        np.concatenate([each["morphology/class_ids"] for each in measured]),
        np.repeat(patients, counts),
    )


def medians(made, real, classes):
    """By class, the median of each feature over that of the tiles whose nuclei were asked for."""
    rows = {}
    for number, kind in enumerate(classes):
        sides = [
            (values[class_ids == number], owners[class_ids == number].tolist())
            for values, class_ids, owners in (made, real)
        ]
        rows[kind] = {
            name: as_row(
                statistic_over(
                    lambda first, second, k=k: np.median(first[:, k]) / np.median(second[:, k]),
                    *sides,
                )
            )
            for k, name in enumerate(NUCLEUS_FEATURES)
            if name in MEDIANS
        }
    return rows


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT.parent / "shared" / "data",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=ROOT.parent / "shared" / "weights" / "squeezenet11.safetensors",
    )
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-holes", action="store_true", help="leave out inpainting")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if not args.data.is_dir():
        raise SystemExit(
            f"{args.data} is not there: quality is measured on real tissue. Give --data."
        )
    bundle = hs.open_bundle(args.bundle)
    embedder = SqueezeNet(args.weights)
    classes = bundle.info.classes
    train, held_out = (
        open_source(
            source(f"brca-m2c/{name}.txt"),
            root=args.data,
            mpp=0.5,
            classes=classes,
        )
        for name in ("train", "val")
    )
    crops = [crop for example in held_out for crop in corners(example)]
    patients = [example.tile.ref.patient for example in held_out for _ in range(4)]
    real = np.stack([c[0] for c in crops])
    nuclei = [c[1] for c in crops]

    how = {
        "steps": args.steps,
        "guidance": args.guidance,
        "bundle": bundle,
        "seed": args.seed,
    }
    began = time.monotonic()
    pictures = [
        hs.synthesize(
            cells,
            appearance=whole,
            n=DRAWS,
            **how,
        )
        for _, cells, whole in crops
    ]
    seconds = (time.monotonic() - began) / len(crops) / DRAWS
    drawn = [np.stack([each[draw].pixels for each in pictures]) for draw in range(DRAWS)]
    made = drawn[0]
    rebuilt = reconstruct(bundle, crops)
    random = np.random.default_rng(0)
    groups = [  # as many train patients' tiles as there are validation tiles, four crops each
        np.stack(
            [
                c[0]
                for i in random.choice(len(train), len(held_out), replace=False)
                for c in corners(train[i])
            ]
        )
        for _ in range(10)
    ]
    classifier = RingClassifier.fit([(example.tile.pixels, example.nuclei) for example in train])
    on_real, each_real = structure(classifier, classes, real, nuclei)
    on_made, each_made = structure(
        classifier,
        classes,
        np.concatenate(drawn),
        nuclei * DRAWS,
    )
    each_real = {name: np.tile(values, DRAWS) for name, values in each_real.items()}
    on_rebuilt, _ = structure(classifier, classes, rebuilt, nuclei)
    plain = [crop for folder, mpp in UNLABELLED for crop in unlabelled(args.data, folder, mpp)]
    copied, pairs = copies(
        embedder,
        train,
        plain,
        held_out,
        rebuilt=rebuilt,
        synthetic=np.concatenate(drawn),
    )
    shuffled = [made[(i + 5) % len(made)] for i in range(len(made))]
    result = {
        "bundle": bundle.info.name,
        "validation_patients": len(held_out),
        "crops": len(crops),
        "draws": DRAWS,
        "settings": pictures[0][0].recipe["settings"],
        "bundle_facts": pictures[0][0].recipe["bundle"],
        "reconstruction_psnr_db": interval(psnr(rebuilt, real), patients),
        "realism": mean_of([realism(embedder, real, images, groups) for images in drawn]),
        "realism_of_reconstruction": realism(embedder, real, rebuilt, groups),
        "structure_real": on_real,
        "structure_reconstructed": on_rebuilt,
        "structure_made": on_made,
        "structure_shuffled_control": structure(classifier, classes, shuffled, nuclei)[0],
        "found_ratio": ratio(each_made["found"], each_real["found"], patients * DRAWS),
        "kind_ratio": {k: ratio(each_made[k], each_real[k], patients * DRAWS) for k in classes},
        "medians": medians(
            outlined(np.concatenate(drawn), nuclei * DRAWS, patients * DRAWS),
            outlined(real, nuclei, patients),
            classes,
        ),
        "copies": copied,
        "seconds_per_tile": seconds,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    first = range(0, len(crops), 4)
    rows = [
        ("real (validation patients)", [real[i] for i in first]),
        ("through the autoencoder", [rebuilt[i] for i in first]),
        ("nuclei asked for", [draw_nuclei(nuclei[i]) for i in first]),
        ("global: synthesized from nuclei, tile's own appearance", [made[i] for i in first]),
    ]
    if not args.no_holes:
        others = [
            corner[0] for example in train[:: len(train) // 8][:8] for corner in corners(example)
        ]
        ways, distances, edges, fibres, mask, outside = mending(
            embedder, crops, others, how=how, draws=DRAWS
        )
        result["mending"] = {name: interval(values, patients) for name, values in distances.items()}
        for other in [name for name in ways if name != "ours"]:
            told = ratio(distances["ours"], distances[other], patients)
            result["mending"][f"ratio_to_{other}"] = told
            if not other.startswith("ours"):
                bare = ratio(distances["ours_without_nuclei"], distances[other], patients)
                result["mending"][f"without_nuclei_to_{other}"] = bare
        result["mending"]["largest_change_outside"] = outside
        result["edge"] = {
            name: ratio(steps, edges["real"], patients)
            for name, steps in edges.items()
            if name != "real"
        }
        result["fibres"] = {name: ratio(*sums.T, patients) for name, sums in fibres.items()}
        rows += [
            ("hole", [fill_mask(real[i], mask) for i in first]),
            ("local: completed with nuclei", [ways["ours"][i] for i in first]),
            ("local: completed without nuclei", [ways["ours_without_nuclei"][i] for i in first]),
            (
                "local: from noise alone, not from copied tissue",
                [ways["ours_from_noise"][i] for i in first],
            ),
            ("copied tissue alone", [ways["copied_tissue"][i] for i in first]),
            ("Telea", [ways["telea"][i] for i in first]),
            ("mirrored known tissue", [ways["mirrored"][i] for i in first]),
        ]
    Image.fromarray(contact_sheet(rows)).save(args.out / "quality.png")
    Image.fromarray(pairs).save(args.out / "copies.png")
    (args.out / "quality.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
