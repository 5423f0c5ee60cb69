"""Does `centroids-fast` find the nuclei of `centroids`, and those that people marked, and how fast?

    python benchmarks/fast_detector.py [--out FOLDER] [--weights FOLDER]

Needs the shared tissue. Each number of nuclei has its 95 % interval over patients (over tiles in
nct-crc, which names no patients); times are processor times of one thread, taken in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from detector import CLASSES, counts_of, scores

from histosynth.annotation.nuclei_files import read_nuclei
from histosynth.core.geometry import Box
from histosynth.core.images import read_rgb
from histosynth.core.matching import match_points
from histosynth.core.nuclei import Nuclei
from histosynth.core.store import ensure_folder, write_json
from histosynth.core.tile import Pixels
from histosynth.detectors.centroids import CentroidDetector, load_detector
from histosynth.detectors.finding import find_nuclei
from histosynth.detectors.info import FAST_DETECTOR
from histosynth.slides import open_slide, read_box

ROOT = Path(__file__).parents[1]
REACH_PX = 12.0
TILE_PX = 1024
DRAWS = 2000
REPEATS = 9
Counts = Sequence[np.ndarray]


def interval(counts: Counts, score) -> dict[str, float]:
    """A score of summed counts, with its 95 % interval over the units that they are of."""
    rows = np.stack(counts)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        chosen = random.integers(len(rows), size=len(rows))
        drawn.append(score(rows[chosen].sum(0)))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {
        "value": round(float(score(rows.sum(0))), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def same_nuclei(found: Nuclei, wanted: Nuclei) -> np.ndarray:
    """Matched within 6 um, found, wanted, and matched with the same class."""
    pairs = match_points(found.xy, wanted.xy, REACH_PX).pairs
    agree = found.class_ids[pairs[:, 0]] == wanted.class_ids[pairs[:, 1]]
    return np.array([len(pairs), len(found), len(wanted), agree.sum()])


def compared(
    fast: CentroidDetector,
    usual: CentroidDetector,
    tiles: Sequence[Pixels],
) -> dict[str, object]:
    """F1 of the nuclei of one detector against those of another, and how often classes agree."""
    counts = []
    for pixels in tiles:
        wanted = find_nuclei(pixels, 0.5, usual)
        found = find_nuclei(pixels, 0.5, fast)
        counts.append(same_nuclei(found, wanted))
    return {
        "pictures": len(counts),
        "nuclei_of_centroids": int(sum(row[2] for row in counts)),
        "f1": interval(counts, lambda row: 2 * row[0] / (row[1] + row[2])),
        "same_class_of_matched": interval(counts, lambda row: row[3] / max(row[0], 1)),
    }


def against_annotations(
    fast: CentroidDetector,
    usual: CentroidDetector,
    tiles: dict[str, tuple[Pixels, Nuclei]],
) -> dict[str, object]:
    """Scores of both by what people marked, and the difference on the same patients."""
    both = []
    for pixels, wanted in tiles.values():
        rows = []
        for detector in (fast, usual):
            found = find_nuclei(pixels, 0.5, detector)
            rows.append(counts_of(found, wanted, CLASSES))
        both.append(np.stack(rows))
    out: dict[str, object] = {}
    for name in scores(both[0][0], CLASSES):
        out[name] = {
            "fast": interval(both, lambda rows, name=name: scores(rows[0], CLASSES)[name]),
            "centroids": interval(both, lambda rows, name=name: scores(rows[1], CLASSES)[name]),
            "difference": interval(
                both,
                lambda rows, name=name: (
                    scores(rows[0], CLASSES)[name] - scores(rows[1], CLASSES)[name]
                ),
            ),
        }
    return out


def times(
    fast: CentroidDetector,
    usual: CentroidDetector,
    tissue: Pixels,
) -> dict[str, object]:
    """Processor time of one tile of 1,024 px with the tissue that each detector needs around it."""
    works = {
        "centroids, windows of 768 px": usual,
        "centroids": usual.with_large_windows(),
        "centroids-fast": fast.with_large_windows(),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(REPEATS):
        for name, detector in works.items():
            side = TILE_PX + 2 * detector.halo_px
            began = time.process_time()
            detector(tissue[:side, :side])
            seconds[name].append(time.process_time() - began)
    first = seconds["centroids, windows of 768 px"]
    return {
        name: {
            "seconds": round(statistics.median(own), 3),
            "ratio": round(statistics.median(a / b for a, b in zip(first, own, strict=True)), 2),
        }
        for name, own in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--weights", type=Path, default=FAST_DETECTOR)
    options = parser.parse_args()
    torch.set_num_threads(1)
    fast = load_detector(options.weights)
    usual = load_detector()
    brca = options.data / "brca-m2c"
    marked = {}
    for name in sorted((brca / "val.txt").read_text().split()):
        pixels = read_rgb(brca / "images" / name)
        points = brca / "points" / f"{Path(name).stem}.csv"
        marked[name] = (
            pixels,
            read_nuclei(
                points,
                size=(pixels.shape[1], pixels.shape[0]),
                mpp=0.5,
                classes=CLASSES,
            ),
        )
    colon = [read_rgb(path) for path in sorted((options.data / "nct-crc").glob("*.jpg"))]
    scan = open_slide(options.data / "slides/cmu-1-small-region.svs")
    skin = [
        read_box(scan, Box(x, y, 512, 512), (512, 512))
        for y in range(400, 2400, 512)
        for x in range(300, 1800, 512)
    ]
    result = {
        "weights": fast.info.sha256,
        "brca_m2c_validation": compared(fast, usual, [pixels for pixels, _ in marked.values()]),
        "nct_crc": compared(fast, usual, colon),
        "skin_scan": compared(fast, usual, skin),
        "annotations_of_brca_m2c": against_annotations(fast, usual, marked),
        "time_of_1024_px": times(fast, usual, np.tile(marked[name][0], (3, 3, 1))),
    }
    print(json.dumps(result, indent=2))
    write_json(ensure_folder(options.out) / "fast_detector.json", result)


if __name__ == "__main__":
    main()
