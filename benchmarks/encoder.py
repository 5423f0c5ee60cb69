"""What does the embedded encoder see? Beside SqueezeNet, which has never seen tissue.

    python benchmarks/encoder.py [--data ../shared/data] [--out FOLDER] [--folder ENCODER]

All of it on the 8 validation patients of brca-m2c, four crops of 256 px each; intervals are 95 %
over them. `own tile`: how often a crop's nearest other crop is of the same tile. `nuclei`: R2 of
the logarithm of how dense each class is, by ridge regression on features, fitted on the training
patients. `FD / floor`: the same crops, spoilt in one way, from themselves, over the distance of as
many crops of training patients. `spread of floors`: standard deviation over mean of 40 such floors:
how much the choice of patients decides. Writes encoder.json.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from crops import corners
from evaluation_sensitivity import source
from PIL import Image
from scipy import ndimage
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histosynth.core.store import ensure_folder, write_json
from histosynth.encoders.histo import load_encoder
from histosynth.encoders.info import SHIPPED_ENCODER
from histosynth.encoders.squeezenet import load_squeezenet
from histosynth.metrics.distances import frechet_distance
from histosynth.metrics.intervals import mean_over, statistic_over
from histosynth.metrics.neighbours import nearest_rows
from histosynth.tissue.augment import restain, stain_matrix
from histosynth.training.data.sources import open_source

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("epithelial", "lymphocyte", "stromal")


def jpeg(pixels, quality):
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=quality)
    return np.array(Image.open(packed))


def spoilt(crops):
    random = np.random.default_rng(0)
    ways = {
        "blur 0.7 px": lambda p: ndimage.gaussian_filter(p, (0.7, 0.7, 0)),
        "blur 1.5 px": lambda p: ndimage.gaussian_filter(p, (1.5, 1.5, 0)),
        "noise 10": lambda p: (p + random.normal(0, 10, p.shape)).clip(0, 255).astype(np.uint8),
        "other stains": lambda p: restain(p, stain_matrix(random, 0.1)).round().astype(np.uint8),
        "JPEG 50": lambda p: jpeg(p, 50),
    }
    return {name: np.stack([way(each) for each in crops]) for name, way in ways.items()}


def densities(nuclei):
    return np.log1p(np.stack([np.bincount(each.class_ids, minlength=3)[:3] for each in nuclei]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT.parent / "shared" / "data",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=ROOT.parent / "shared/weights/squeezenet11.safetensors",
    )
    parser.add_argument("--folder", type=Path, default=SHIPPED_ENCODER)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    asked = parser.parse_args()
    sides = {}
    for name in ("train", "val"):
        tiles = open_source(
            source(f"brca-m2c/{name}.txt"),
            root=asked.data,
            mpp=0.5,
            classes=CLASSES,
        )
        crops = [(c[0], c[1], each.tile.ref.patient) for each in tiles for c in corners(each)]
        sides[name] = np.stack([c[0] for c in crops]), [c[1] for c in crops], [c[2] for c in crops]
    val, nuclei, patients = sides["val"]
    worse = spoilt(val)
    table = {}
    for encoder in (load_encoder(asked.folder), load_squeezenet(asked.weights)):
        train_x, val_x = (
            encoder.embed(sides[name][0]).features.astype(np.float64) for name in ("train", "val")
        )
        tiles = np.arange(len(val)) // 4
        _, rows = nearest_rows(val_x, val_x, count=2)
        rows_of = {"own tile": mean_over(tiles[rows[:, 1]] == tiles, patients).as_dict()}
        probe = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9)))
        told = probe.fit(train_x, densities(sides["train"][1])).predict(val_x)
        wanted = densities(nuclei)
        for place, kind in enumerate(CLASSES):
            both = np.stack([told[:, place], wanted[:, place]], axis=1)
            rows_of[f"nuclei, {kind}"] = statistic_over(
                lambda pair: 1 - ((pair[:, 0] - pair[:, 1]) ** 2).mean() / pair[:, 1].var(),
                (both, patients),
            ).as_dict()
        names = sorted(set(sides["train"][2]))
        owners = np.array(sides["train"][2])
        random = np.random.default_rng(0)
        floors = np.array(
            [
                frechet_distance(
                    train_x[np.isin(owners, random.choice(names, 8, replace=False))][:32], val_x
                )
                for _ in range(40)
            ]
        )
        rows_of["spread of floors"] = {"value": float(floors.std() / floors.mean())}
        for name, pictures in worse.items():
            moved = encoder.embed(pictures).features.astype(np.float64)
            rows_of[f"FD / floor, {name}"] = {
                "value": frechet_distance(moved, val_x) / float(floors.mean())
            }
        table[encoder.name] = rows_of
        for name, each in rows_of.items():
            ends = f" ({each['low']:.2f} to {each['high']:.2f})" if "low" in each else ""
            print(f"{encoder.name:12} {name:28} {each['value']:.2f}{ends}")
    write_json(
        ensure_folder(asked.out) / "encoder.json",
        {"crops": len(val), "patients": 8, "table": table},
    )


if __name__ == "__main__":
    main()
