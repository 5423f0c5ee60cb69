"""Which judge sees which fault? Real tiles, spoilt in one way at a time, judged beside themselves.

    python benchmarks/evaluation_sensitivity.py [--data ../shared/data] [--out FOLDER] [--work
    FOLDER]

Each validation tile of brca-m2c is cut to nine crops, which overlap; five of them are the real set,
the other four the synthetic one: untouched or blurred, made noisy, restained, packed as JPEG, or
told to have other tiles' nuclei. For copies the synthetic set are crops of training tiles, and the
same is asked twice: with and without those tiles in the reference. `RIGHT` says which numbers a
fault should move; each of them must, and no other.

Moved is a number that is worse than real tissue: its 95 % interval lies apart from that of real
tissue of other patients (a detector's score: from its score on real tiles). Beside it is told what
shifted, which asks
less: the interval lies apart from that of the twin without the fault, with the same patients, be it
ever so near to it. Writes evaluation-sensitivity.json; exits 1 where a fault is missed or
misplaced.
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

from histosynth.annotation.nuclei_files import write_csv
from histosynth.core.estimate import Estimate
from histosynth.core.geometry import Box
from histosynth.core.store import ensure_folder, write_json
from histosynth.engine import open_engine
from histosynth.evaluation import EvaluationConfig, InputOptions, evaluate
from histosynth.tissue.augment import restain
from histosynth.training.data.sources import open_source
from histosynth.training.recipes.tiles import TileSource

ROOT = Path(__file__).resolve().parents[1]
MPP = 0.5
CLASSES = ("epithelial", "lymphocyte", "stromal")
SHOWN = (
    ("realism", "FD_histo", "up"),
    ("structure", "F1_centroids", "down"),
    ("structure", "F1_blobs", "down"),
    ("morphology", "AUC_nuclei_shape", "up"),
    ("morphology", "AUC_nuclei_dye", "up"),
    ("morphology", "AUC_nuclei_chromatin", "up"),
    ("layout", "L_from_real_all", "up"),
    ("copying", "suspected_copies", "up"),
    ("quality", "quality_focus_difference", "both"),
    ("quality", "quality_noise_difference", "both"),
    ("quality", "quality_blocks_difference", "both"),
    ("stain", "stain_W1", "up"),
)
"""Judge, its number, and which way from real tissue's own is worse."""
TEXTURE = {"quality_noise_difference", "AUC_nuclei_chromatin"}
"""What blur and JPEG take from a picture and noise adds, all over it and within nuclei."""
RIGHT = {
    "blurred": {"quality_focus_difference", "FD_histo", *TEXTURE},
    "noisy": {*TEXTURE},
    "restained": {"stain_W1"},
    "JPEG 40": {"quality_blocks_difference", *TEXTURE},
    "other tiles' nuclei": {"F1_centroids", "F1_blobs"},
    "copied": {"suspected_copies"},
}
TWINS = {"copied": "not copied"}
COPIED = 32


def source(members: str) -> TileSource:
    return TileSource(
        "brca-m2c/images",
        "^(.{12})",
        MPP,
        points="brca-m2c/points",
        members=members,
    )


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


def prepare(work: Path, data: Path) -> tuple[list, list, int]:
    """Real tiles, nuclei and references on disk; the crops to spoil, those of training tiles,
    patients."""
    train, val = (
        open_source(
            source(f"brca-m2c/{m}.txt"),
            root=data,
            mpp=MPP,
            classes=CLASSES,
        )
        for m in ("train", "val")
    )
    cut = [
        (f"{each.tile.ref.slide}-{i}", *c[:2])
        for each in val
        for i, c in enumerate(corners(each, 3))
    ]
    crops = [each for place, each in enumerate(cut) if place % 9 % 2]
    for folder in ("nuclei", "others", "unlearned"):
        ensure_folder(work / folder)
    for name, pixels, nuclei in (each for place, each in enumerate(cut) if not place % 9 % 2):
        save(work / "real", name, pixels)
        for folder in ("nuclei", "others"):
            write_csv(work / folder / f"{name}.csv", nuclei)
    for place, (name, _, nuclei) in enumerate(crops):
        write_csv(work / "nuclei" / f"{name}.csv", nuclei)
        write_csv(work / "others" / f"{name}.csv", crops[(place + 5) % len(crops)][2])
    learnt = []
    patients = sorted({each.tile.ref.patient for each in train})[::2][:COPIED]
    random = np.random.default_rng(0)
    for each in train:
        tissue = each.tile.pixels
        name = each.tile.ref.slide
        save(work / "train", name, tissue)
        if each.tile.ref.patient not in patients:
            save(work / "unlearned", name, tissue)
            continue
        y, x = (int(random.integers(0, side - SIDE + 1)) for side in tissue.shape[:2])
        box = Box(x, y, SIDE, SIDE)
        learnt.append((f"{name}-0", np.ascontiguousarray(tissue[box.slices])))
        write_csv(work / "nuclei" / f"{name}-0.csv", each.nuclei.crop(box))
    return crops, learnt[:COPIED], len({each.tile.ref.patient for each in val})


def inputs(config: EvaluationConfig, work: Path) -> dict[str, dict]:
    report = evaluate(config, work / "judged", engine=open_engine("local"))
    rows = {}
    for key, name, worse in SHOWN:
        (section,) = [each for each in report.sections if each.key == key]
        (finding,) = [each for each in section.findings if each.name == name and not each.label]
        value = finding.value
        real = finding.real
        if finding.ratio is not None and name.startswith("FD"):  # of as many tiles as the floor has
            value = finding.ratio
            real = Estimate(1, 1, 1, finding.value.n, "by definition")
        high = real.high
        if name.startswith(
            "AUC"
        ):  # below 0.5 patients differ as much, and what is learnt of some turns round
            high = max(real.high, 1 - real.low)
        above = value.low > high
        below = value.high < real.low
        moved = {
            "up": above,
            "down": below,
            "both": above or below,
        }[worse]
        rows[name] = value.as_dict() | {"real": real.as_dict(), "moved": bool(moved)}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT.parent / "shared" / "data",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument(
        "--work",
        type=Path,
        help="keep the tiles and what was measured of them here",
    )
    asked = parser.parse_args()
    work = asked.work or Path(tempfile.mkdtemp())
    crops, learnt, patients = prepare(work, asked.data)
    faults = {
        "untouched": untouched,
        "blurred": blur,
        "noisy": noise,
        "restained": stain,
        "JPEG 40": jpeg,
        "other tiles' nuclei": untouched,
        "not copied": untouched,
        "copied": untouched,
    }
    table: dict[str, dict[str, dict]] = {}
    for fault, change in faults.items():
        random = np.random.default_rng(0)
        synthetic = work / fault.replace(" ", "-")
        for name, pixels, *_ in learnt if "copied" in fault else crops:
            save(synthetic, name, change(pixels, random))
        config = EvaluationConfig(
            work / "real",
            synthetic,
            reference=work / "train",
            conditions=work / "nuclei",
            inputs=InputOptions(mpp=MPP),
        )
        if "nuclei" in fault:
            config = replace(config, conditions=work / "others")
        if fault == "not copied":
            config = replace(config, reference=work / "unlearned")
        table[fault] = inputs(config, work)
        said = {
            k: f"{x['value']:.3g} ({x['low']:.3g} to {x['high']:.3g})"
            for k, x in table[fault].items()
        }
        print(fault, said, flush=True)
    wrong = 0
    for fault, rows in table.items():
        calm = table[TWINS.get(fault, "untouched")]
        for name, each in rows.items():
            each["shifted"] = bool(
                each["low"] > calm[name]["high"] or each["high"] < calm[name]["low"]
            )
            each["right"] = name in RIGHT.get(fault, ())
        moved, shifted = (
            {name for name, x in rows.items() if x[what]} for what in ("moved", "shifted")
        )
        right = RIGHT.get(fault, set())
        wrong += len(right ^ moved)
        words = {
            "moves": moved,
            "MISSED": right - moved,
            "MISPLACED": moved - right,
            "shifts": shifted - moved,
        }
        said = [f"{word} {', '.join(sorted(names))}" for word, names in words.items() if names]
        print(f"{fault:20} {'; '.join(said) or 'moves nothing'}")
    write_json(
        ensure_folder(asked.out) / "evaluation-sensitivity.json",
        {
            "tiles": len(crops),
            "patients": patients,
            "wrong": wrong,
            "table": table,
        },
    )
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
