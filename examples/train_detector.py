"""Trains a detector of nuclei on synthetic tiles alone, and measures it on real patients.

    python examples/train_detector.py --real ../shared/data/brca-m2c --members val.txt --work work

1. `synthesize --draw --format tileset`: layouts from the package's model, tiles in all stains of
   the bundle, each row with its nuclei. No tissue of a patient is needed.
2. `train`: a small detector on these rows; a fifth of the layouts is held out and chooses the best
   step.
3. Real tiles of patients that neither the bundle nor the model of layouts was fitted to: F1 at 6 um
   with its 95 % interval over patients, next to the detector in the package, which was trained on
   real tissue of 75 patients, and to blobs without any training.

`--real` is a folder with `images/` and `points/` (CSV x,y,class) of the same names at 0.5 um/px;
the first 12 characters of a name are the patient, as in TCGA.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import histosynth as hs
from histosynth.core.geometry import Size
from histosynth.core.matching import f1, match_points
from histosynth.core.units import um_to_px
from histosynth.detectors.centroids import load_detector
from histosynth.detectors.detector import Detector
from histosynth.detectors.opening import open_detector
from histosynth.pipeline.synthesize_files import ResultOptions, synthesize_files
from histosynth.sampling.options import SamplingOptions

MPP = 0.5
REACH_UM = 6.0
REPLICATES = 2000
RECIPE = """\
task = "detector"
name = "synthetic only"

[loop]
steps = {steps}
batch = 4
learning_rate = 2e-3
warmup = {warmup}
ema = 0.98
validate_every = {validate_every}
checkpoint_every = {validate_every}
precision = "fp32"

[data]
mpp = 0.5
crop = 128
stain_jitter = 0.2
classes = ["epithelial", "lymphocyte", "stromal"]

[[data.train]]
images = "tiles"

[model]
widths = [16, 32, 48]
blocks = [1, 1, 1]
"""


def make_tiles(work: Path, count: int, size: int, bundle: Path | None) -> None:
    """A tile set of layouts that the model draws."""
    outcome = synthesize_files(
        None,
        work / "tiles",
        size=Size(size, size),
        draw=count,
        appearance="palette",
        options=SamplingOptions(seed=1),
        results=ResultOptions(format="tileset"),
        bundle=bundle,
    )
    print(f"{len(outcome.written)} tiles, {len(outcome.finished)} of them were there already")


def train_detector(work: Path, steps: int) -> Detector:
    """The detector of a run in `work/run`; a run that was stopped goes on."""
    recipe = work / "detector.toml"
    every = max(steps // 4, 1)
    recipe.write_text(RECIPE.format(steps=steps, warmup=min(50, steps // 2), validate_every=every))
    result = hs.train(recipe, work / "run", device="cpu")
    return load_detector(Path(result["weights"]))


def real_tiles(folder: Path, members: str) -> list[tuple[str, np.ndarray, hs.Nuclei]]:
    """Patient, pixels and marked nuclei of each real tile."""
    if members:
        names = (folder / members).read_text().split()
    else:
        names = sorted(path.name for path in (folder / "images").iterdir())
    tiles = []
    for name in names:
        pixels = hs.read_rgb(folder / "images" / name)
        height, width = pixels.shape[:2]
        points = folder / "points" / f"{Path(name).stem}.csv"
        nuclei = hs.read_nuclei(points, size=(width, height), mpp=MPP, classes=hs.CLASSES)
        tiles.append((name[:12], pixels, nuclei))
    return tiles


def counts_by_patient(detector: Detector, tiles) -> np.ndarray:
    """(P, 3) matched nuclei, found and marked ones of each patient."""
    counts: dict[str, np.ndarray] = {}
    for patient, pixels, nuclei in tiles:
        found = detector(pixels)
        matched = len(match_points(found.xy, nuclei.xy, um_to_px(REACH_UM, MPP))[0])
        total = counts.setdefault(patient, np.zeros(3, int))
        total += [matched, len(found), len(nuclei)]
    return np.stack(list(counts.values()))


def f1_with_interval(counts: np.ndarray) -> tuple[float, float, float]:
    """F1 over all nuclei, and its 95 % interval by resampling patients."""
    random = np.random.default_rng(0)
    values = []
    for _ in range(REPLICATES):
        drawn = counts[random.integers(len(counts), size=len(counts))]
        values.append(f1(*drawn.sum(axis=0)))
    low, high = np.quantile(values, [0.025, 0.975])
    return f1(*counts.sum(axis=0)), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--members", default="", help="file in --real that lists the pictures")
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--tiles", type=int, default=120)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--bundle", type=Path)
    options = parser.parse_args()
    tiles = real_tiles(options.real, options.members)
    options.work.mkdir(parents=True, exist_ok=True)
    make_tiles(options.work, options.tiles, options.size, options.bundle)
    detectors = {
        f"trained on {options.tiles} synthetic tiles": train_detector(options.work, options.steps),
        "in the package, trained on real tissue": open_detector("centroids"),
        "blobs, not trained": open_detector("blobs"),
    }
    nuclei = sum(len(each) for _, _, each in tiles)
    patients = len({patient for patient, _, _ in tiles})
    real = f"{nuclei:,} nuclei of {len(tiles)} real tiles, n = {patients} patients"
    print(f"F1 at {REACH_UM:g} um on {real}:")
    for name, detector in detectors.items():
        value, low, high = f1_with_interval(counts_by_patient(detector, tiles))
        print(f"  {value:.3f} ({low:.3f} to {high:.3f})  {name}")


if __name__ == "__main__":
    main()
