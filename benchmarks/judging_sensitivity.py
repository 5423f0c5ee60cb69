"""Which judge sees which fault? Real tiles, spoilt in one way at a time, judged beside themselves.

    python benchmarks/judging_sensitivity.py [--data ../shared/data] [--out bench] [--work FOLDER]

Each validation tile of brca-m2c is cut to nine crops, which overlap; five of them are the real set, the other
four the synthetic one: untouched or blurred, made noisy, restained, packed as JPEG, told to have other tiles'
nuclei, or replaced by training crops. The right judge must move and the others stay: moved is a number whose
95 % interval has nothing in common with that of the untouched set. Writes judging-sensitivity.json.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from crops import SIDE, corners
from PIL import Image
from scipy import ndimage

from histosynth.core.nuclei_io import write_csv
from histosynth.core.store import ensure_folder, write_json
from histosynth.engine import open_engine
from histosynth.pipeline.judging import Ask, Question, evaluate
from histosynth.prepare.augment import pose, restain
from histosynth.prepare.sources import TileSource, open_source

ROOT = Path(__file__).resolve().parents[1]
MPP = 0.5
KINDS = ("epithelial", "lymphocyte", "stromal")
SHOWN = (
    ("realism", "FD_histo", "ratio"), ("structure", "F1_centroids", "value"),
    ("structure", "F1_blobs", "value"), ("morphology", "AUC_nuclei", "value"),
    ("layout", "L_from_real_all", "value"), ("copying", "suspected_copies", "value"),
    ("quality", "quality_focus_difference", "value"), ("quality", "quality_noise_difference", "value"),
    ("quality", "quality_blocks_difference", "value"), ("stain", "stain_W1", "value"),
)  # fmt: skip


def source(members: str) -> TileSource:
    return TileSource("brca-m2c/images", "^(.{12})", MPP, points="brca-m2c/points", members=members)


def blur(pixels, random):
    return ndimage.gaussian_filter(pixels, (1.2, 1.2, 0))


def noise(pixels, random):
    return (pixels + random.normal(0, 8, pixels.shape)).clip(0, 255).round().astype(np.uint8)


def stain(pixels, random):
    """One other stain for all: less haematoxylin, more eosin, both of another hue."""
    dyes = np.array([[0.75, 0.06, 0.03], [-0.04, 1.3, 0.05], [0.0, 0.0, 1.0]], np.float32)
    return restain(pixels, dyes).round().astype(np.uint8)


def jpeg(pixels, random):
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=40)
    return np.array(Image.open(packed))


def untouched(pixels, random):
    return pixels


def save(folder: Path, name: str, pixels) -> None:
    ensure_folder(folder)
    Image.fromarray(pixels).save(folder / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "bench")
    parser.add_argument("--work", type=Path, help="keep the tiles and what was measured of them here")
    asked = parser.parse_args()
    work = asked.work or Path(tempfile.mkdtemp())
    train, val = (
        open_source(source(f"brca-m2c/{m}.txt"), root=asked.data, mpp=MPP, kinds=KINDS)
        for m in ("train", "val")
    )
    cut = [(f"{each.tile.ref.slide}-{i}", *c[:2]) for each in val for i, c in enumerate(corners(each, 3))]
    crops = [each for place, each in enumerate(cut) if place % 9 % 2]
    beside = [each for place, each in enumerate(cut) if not place % 9 % 2]
    for each in train:
        save(work / "train", each.tile.ref.slide, each.tile.pixels)
    ensure_folder(work / "nuclei")
    ensure_folder(work / "others")
    for name, pixels, nuclei in beside:
        save(work / "real", name, pixels)
        for folder in ("nuclei", "others"):
            write_csv(work / folder / f"{name}.csv", nuclei)
    for place, (name, _, nuclei) in enumerate(crops):
        write_csv(work / "nuclei" / f"{name}.csv", nuclei)
        write_csv(work / "others" / f"{name}.csv", crops[(place + 5) % len(crops)][2])
    faults = {
        "untouched": untouched, "blurred": blur, "noisy": noise, "restained": stain, "JPEG 40": jpeg,
        "other tiles' nuclei": untouched, "training crops": None,
    }  # fmt: skip
    table: dict[str, dict[str, dict[str, float]]] = {}
    for fault, change in faults.items():
        random = np.random.default_rng(0)
        made = work / fault.replace(" ", "-")
        for place, (name, pixels, _) in enumerate(crops):
            if change is None:
                tissue = train[2 * place].tile.pixels
                y, x = (random.integers(0, side - SIDE + 1) for side in tissue.shape[:2])
                spoilt = np.ascontiguousarray(pose(tissue[y : y + SIDE, x : x + SIDE], place % 8))
            else:
                spoilt = change(pixels, random)
            save(made, name, spoilt)
        question = Question(
            work / "real", made, reference=work / "train", conditions=work / "nuclei", ask=Ask(mpp=MPP)
        )
        if "nuclei" in fault:
            question = replace(question, conditions=work / "others")
        report = evaluate(question, work / "judged", engine=open_engine("local"))
        rows = {}
        for key, name, what in SHOWN:
            (section,) = [each for each in report.sections if each.key == key]
            (finding,) = [each for each in section.findings if each.name == name and not each.label]
            found = finding.value if what == "value" else finding.ratio
            rows[f"{name} / real" if what == "ratio" else name] = found.as_dict()
        table[fault] = rows
        print(
            fault,
            {
                name: f"{each['value']:.3g} ({each['low']:.3g} to {each['high']:.3g})"
                for name, each in rows.items()
            },
        )
    calm = table["untouched"]
    for fault, rows in table.items():
        for name, each in rows.items():
            each["moved"] = bool(each["low"] > calm[name]["high"] or each["high"] < calm[name]["low"])
        print(
            f"{fault:22} moves {', '.join(name for name, each in rows.items() if each['moved']) or 'nothing'}"
        )
    write_json(
        ensure_folder(asked.out) / "judging-sensitivity.json",
        {"tiles": len(crops), "patients": len(val), "table": table},
    )


if __name__ == "__main__":
    main()
