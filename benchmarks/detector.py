"""How well are nuclei found? The embedded detector, the blobs and chance, on patients not fitted
on.

    python benchmarks/detector.py [--out FOLDER] [--data ../shared/data] [--weights FOLDER]

F1 at 6 um, matched one to one (as many pairs as can be, then the nearest), for all nuclei and for
each class found as that class; 95 % intervals from 2,000 draws of patients. Writes detector.json
and a sheet.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from histosynth.annotation.nuclei_files import read_nuclei
from histosynth.core.images import read_rgb
from histosynth.core.matching import f1, match_points
from histosynth.core.sheet import colour_legend, draw_nuclei
from histosynth.core.store import ensure_folder, write_json
from histosynth.detectors.blobs import BlobDetector
from histosynth.detectors.centroids import load_detector
from histosynth.detectors.detector import DetectedNuclei
from histosynth.detectors.finding import find_nuclei
from histosynth.detectors.info import SHIPPED_DETECTOR

ROOT = Path(__file__).parents[1]
CLASSES = ("epithelial", "lymphocyte", "stromal")
REACH_UM = 6.0


def counts_of(found, wanted, classes) -> np.ndarray:
    """(1 + K, 3): matched, found, wanted; all nuclei first, then each class."""
    reach = REACH_UM / wanted.mpp
    rows = []
    for place in range(1 + len(classes)):
        mine = found.xy if place == 0 else found.xy[found.class_ids == place - 1]
        theirs = wanted.xy if place == 0 else wanted.xy[wanted.class_ids == place - 1]
        rows.append((len(match_points(mine, theirs, reach)[0]), len(mine), len(theirs)))
    return np.array(rows)


def scores(counts: np.ndarray, classes) -> dict[str, float]:
    """F1, precision and recall of all; F1 of each class and their mean. `counts`: summed over
    tiles."""
    matched, found, wanted = counts[0]
    out = {
        "f1": f1(*map(int, counts[0])),
        "precision": matched / max(found, 1),
        "recall": matched / max(wanted, 1),
    }
    each = {f"f1_{name}": f1(*map(int, row)) for name, row in zip(classes, counts[1:], strict=True)}
    return (
        out | each | ({"f1_mean_of_classes": float(np.mean(list(each.values())))} if each else {})
    )


def with_intervals(tiles: dict[str, np.ndarray], classes) -> dict[str, dict[str, float]]:
    """Each score with its 95 % interval over patients."""
    rows = np.stack(list(tiles.values()))
    random = np.random.default_rng(0)
    drawn = [
        scores(rows[random.integers(len(rows), size=len(rows))].sum(0), classes)
        for _ in range(2000)
    ]
    return {
        name: {
            "value": float(value),
            "low": float(np.percentile([each[name] for each in drawn], 2.5)),
            "high": float(np.percentile([each[name] for each in drawn], 97.5)),
        }
        for name, value in scores(rows.sum(0), classes).items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--weights", type=Path, default=SHIPPED_DETECTOR)
    asked = parser.parse_args()
    brca = asked.data / "brca-m2c"
    network = load_detector(asked.weights)
    blobs = BlobDetector()
    random = np.random.default_rng(0)

    def chance(pixels: np.ndarray) -> DetectedNuclei:
        """As many points as the network finds, anywhere, with its classes shuffled."""
        found = network(pixels)
        xy = random.uniform(0, (pixels.shape[1] - 1, pixels.shape[0] - 1), found.xy.shape)
        return DetectedNuclei(
            xy.astype(np.float32), random.permutation(found.class_ids), found.score
        )

    chance.mpp = 0.5
    chance.classes = CLASSES
    detectors = {
        "centroids": network,
        "blobs": blobs,
        "chance": chance,
    }
    counts: dict[str, dict[str, np.ndarray]] = {which: {} for which in detectors}
    classes = {"centroids": CLASSES, "blobs": (), "chance": CLASSES}
    rows: list[list[np.ndarray]] = [[], [], []]
    for name in sorted((brca / "val.txt").read_text().split()):
        pixels = read_rgb(brca / "images" / name)
        size = (pixels.shape[1], pixels.shape[0])
        points = brca / "points" / f"{Path(name).stem}.csv"
        wanted = read_nuclei(
            points,
            size=size,
            mpp=0.5,
            classes=CLASSES,
        )
        for which, detector in detectors.items():
            found = find_nuclei(pixels, 0.5, detector)
            patient = counts[which].setdefault(
                name[:12], np.zeros((1 + len(classes[which]), 3), int)
            )
            patient += counts_of(found, wanted, classes[which])
            if which == "centroids":
                shown = (pixels, draw_nuclei(wanted, over=pixels), draw_nuclei(found, over=pixels))
                for row, picture in zip(rows, shown, strict=True):
                    row.append(picture[:440, :440])
    result = {which: with_intervals(counts[which], classes[which]) for which in counts}
    facts = {
        "reach_um": REACH_UM,
        "patients": len(counts["centroids"]),
        "intervals": "95 %, over patients",
        "nuclei": int(sum(each[0, 2] for each in counts["centroids"].values())),
        "weights": network.info.sha256,
    }
    write_json(ensure_folder(asked.out) / "detector.json", facts | {"val": result})
    for which, table in result.items():
        for name, each in table.items():
            print(
                f"{which:10} {name:20} {each['value']:.3f} ({each['low']:.3f} to "
                f"{each['high']:.3f})"
            )
    print(colour_legend(CLASSES))
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    Image.fromarray(sheet).save(asked.out / "detector.png")


if __name__ == "__main__":
    main()
