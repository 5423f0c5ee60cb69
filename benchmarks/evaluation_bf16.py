"""Does an embedder in bfloat16 say the same? FD and KID of real crops, both ways, and the time of a
picture.

    python benchmarks/evaluation_bf16.py [--data ../shared/data] [--embedder histo] [--weights FILE]

Four crops of each validation tile of brca-m2c beside one of each training tile. What bfloat16 moves
is held against the half-width of the number's own interval over patients. Writes
evaluation-bf16.json.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from crops import corners
from evaluation_sensitivity import CLASSES, MPP, source

from histosynth.core.store import ensure_folder, write_json
from histosynth.encoders.opening import open_encoder
from histosynth.metrics.realism.conclude import conclude_realism
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.training.data.sources import open_source

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("FD", "FD_spatial", "KID", "precision", "recall", "density", "coverage")


def embedded(encoder, crops) -> tuple[Sample, float]:
    pictures = np.stack([pixels for _, pixels in crops])
    encoder.embed(pictures[:4])
    began = time.perf_counter()
    found = encoder.embed(pictures)
    seconds = (time.perf_counter() - began) / len(pictures)
    tiles = []
    for row, (patient, _) in enumerate(crops):
        values = {"embed/features": found.features[row]}
        if found.spatial is not None:
            values["embed/spatial"] = found.spatial[row]
        tiles.append(TileMeasurements(str(row), patient, "", values))
    return Sample(tuple(tiles)), seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT.parent / "shared" / "data",
    )
    parser.add_argument("--embedder", default="histo")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    asked = parser.parse_args()
    sides = []
    for members in ("train", "val"):
        tiles = open_source(
            source(f"brca-m2c/{members}.txt"),
            root=asked.data,
            mpp=MPP,
            classes=CLASSES,
        )
        taken = slice(1) if members == "train" else slice(4)
        sides.append(
            [(each.tile.ref.patient, c[0]) for each in tiles for c in list(corners(each))[taken]]
        )
    table = {}
    seconds = {}
    for bf16 in (False, True):
        encoder = open_encoder(asked.embedder, weights=asked.weights, bf16=bf16)
        (other, _), (real, taken) = (embedded(encoder, side) for side in sides)
        section = conclude_realism(
            real,
            other,
            None,
            encoder=asked.embedder.partition(":")[0],
        )
        seconds[bf16] = taken
        table[bf16] = {each.name: each.value for each in section.findings if not each.label}
    rows = {}
    for name, plain in table[False].items():
        if not plain.is_defined:
            continue
        half = (plain.high - plain.low) / 2
        moved = table[True][name].value - plain.value
        rows[name] = {
            "float32": plain.as_dict(),
            "bfloat16": table[True][name].value,
            "moved_in_half_widths": round(abs(moved) / half, 4) if half else None,
        }
        said = f"{plain.value:9.4g} ({plain.low:.4g} to {plain.high:.4g})"
        print(f"{name:28} {said}   bfloat16 moves it by {moved:+.2g}")
    print(
        f"{1000 * seconds[False]:.1f} ms a picture in float32, {1000 * seconds[True]:.1f} ms "
        "in bfloat16"
    )
    facts = {
        "embedder": asked.embedder,
        "tiles": [len(each) for each in sides],
        "threads": torch.get_num_threads(),
        "float32_ms": round(1000 * seconds[False], 2),
        "bfloat16_ms": round(1000 * seconds[True], 2),
        "ratio": round(seconds[False] / seconds[True], 2),
    }
    write_json(ensure_folder(asked.out) / "evaluation-bf16.json", facts | {"table": rows})


if __name__ == "__main__":
    main()
