"""Fits the model of layouts, and compares its layouts with those of real tissue.

    python benchmarks/layout_model.py [--data ../shared/data] [--write]

Each distance between two sets of layouts is also given as a multiple of that between the tiles the
model was fitted to and the same tiles of other patients. Twice: fitted to one half of the training
patients and compared with the other, and fitted to all of them and compared with the eight
validation patients. `--write` writes the second model into the package. Writes layout-model.json.

- pairs: mean |log ratio| of the 6 pair correlations g(r), 2 to 40 um, with translation correction
- nearest: Wasserstein distance of the 9 distances to the nearest nucleus of a class, um, mean
- counts: Wasserstein distance of counts of each class in blocks of 60 um, mean
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import wasserstein_distance

import histosynth as hs
from histosynth.core.images import read_picture_info
from histosynth.core.store import write_json
from histosynth.metrics.layout.patterns import RADII_UM, pair_sums
from histosynth.tissue.layouts.drawing import draw_nuclei_like
from histosynth.tissue.layouts.fitting import fit_layouts, points_of, window_of
from histosynth.tissue.layouts.model import SHIPPED_LAYOUTS, LayoutModel

ROOT = Path(__file__).resolve().parents[1]
MPP = 0.5
BLOCK_UM = 60.0
FAR_UM = 60.0
ABOUT = (
    "brca-m2c (BSD-3-Clause): {tiles} tiles of {patients} patients, the training patients of the "
    "compact bundle"
)


def layouts_of(data: Path, members: str) -> dict[str, list[hs.Nuclei]]:
    """Layouts by patient."""
    folder = data / "brca-m2c"
    found: dict[str, list[hs.Nuclei]] = {}
    for name in (folder / f"{members}.txt").read_text().split():
        size, _ = read_picture_info(folder / "images" / name)
        points = folder / "points" / f"{Path(name).stem}.csv"
        nuclei = hs.read_nuclei(points, size=size, mpp=MPP, classes=hs.CLASSES)
        found.setdefault(name[:12], []).append(nuclei)
    return found


def statistics(tiles: list[hs.Nuclei]):
    """Pair correlations (6, R), nearest distances and block counts of a set."""
    classes = len(tiles[0].classes)
    pair_of = [(i, j) for i in range(classes) for j in range(i, classes)]
    sums = 0.0
    area = 0.0
    products = np.zeros(len(pair_of))
    nearest = {(i, j): [] for i in range(classes) for j in range(classes)}
    counts = {i: [] for i in range(classes)}
    for tile in tiles:
        points = points_of(tile)
        window = window_of(tile)
        size = window[0] * window[1]
        numbers = np.bincount(points.class_ids, minlength=classes)
        sums = sums + pair_sums(points.xy, points.class_ids, classes, window)[1][:-1] * size
        area += size
        products += [numbers[i] * numbers[j] / size for i, j in pair_of]
        for i, j in nearest:
            own = points.xy[points.class_ids == i]
            other = points.xy[points.class_ids == j]
            if len(own) and len(other) > (i == j):
                gap = cKDTree(other).query(own, k=[2 if i == j else 1])[0].ravel()
                nearest[i, j] += np.minimum(gap, FAR_UM).tolist()
        edges = [np.arange(0, side + 1e-6, BLOCK_UM) for side in window]
        for i in counts:
            own = points.xy[points.class_ids == i]
            counts[i] += np.histogram2d(*own.T, bins=edges)[0].ravel().tolist()
    near = RADII_UM <= 40
    g = sums[:, near] / (products / area * area)[:, None]
    return g, nearest, counts


def distances(first, second) -> dict[str, float]:
    g, nearest, counts = first
    other_g, other_nearest, other_counts = second
    ratio = np.log(np.maximum(g, 0.02) / np.maximum(other_g, 0.02))
    return {
        "pairs": float(np.abs(ratio).mean()),
        "nearest_um": float(
            np.mean([wasserstein_distance(nearest[k], other_nearest[k]) for k in nearest])
        ),
        "counts": float(
            np.mean([wasserstein_distance(counts[k], other_counts[k]) for k in counts])
        ),
    }


def without_forces(model: LayoutModel) -> LayoutModel:
    forces = np.zeros_like(model.forces)
    return LayoutModel(
        model.classes, model.densities, model.scales_um, model.mixing, forces, model.about
    )


def drawn(model: LayoutModel, like: list[hs.Nuclei], times: int) -> list[hs.Nuclei]:
    return [
        draw_nuclei_like(model, tile.size, mpp=MPP, seed=1, number=time * len(like) + index)
        for time in range(times)
        for index, tile in enumerate(like)
    ]


def compared(fitted: list[hs.Nuclei], others: list[hs.Nuclei], model: LayoutModel, times: int):
    real = statistics(others)
    sets = {
        "real tissue of the fitted patients": statistics(fitted),
        "model": statistics(drawn(model, others, times)),
        "the model without forces": statistics(drawn(without_forces(model), others, times)),
        "draw_layout": statistics(
            [
                hs.draw_layout(tile.size, mpp=MPP, seed=time * len(others) + index)
                for time in range(times)
                for index, tile in enumerate(others)
            ]
        ),
    }
    table = {name: distances(values, real) for name, values in sets.items()}
    least = table["real tissue of the fitted patients"]
    for row in table.values():
        row.update({f"{key}_times": row[key] / least[key] for key in list(least)[:3]})
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    train = layouts_of(options.data, "train")
    held_out = layouts_of(options.data, "val")
    names = sorted(train)
    random = np.random.default_rng(0)
    order = random.permutation(len(names))
    half = len(names) // 2
    first = [tile for index in order[:half] for tile in train[names[index]]]
    second = [tile for index in order[half:] for tile in train[names[index]]]
    everything = [tile for name in names for tile in train[name]]
    others = [tile for name in sorted(held_out) for tile in held_out[name]]
    began = time.process_time()
    results = {"halves": compared(first, second, fit_layouts(first), options.times)}
    model = fit_layouts(everything, about=ABOUT.format(tiles=len(everything), patients=len(names)))
    results["validation patients"] = compared(everything, others, model, options.times)
    results["patients"] = {"halves": [half, len(names) - half], "validation": len(held_out)}
    results["cpu_seconds"] = round(time.process_time() - began, 1)
    for name in ("halves", "validation patients"):
        print(name)
        for row, values in results[name].items():
            shown = "  ".join(f"{key} {value:.3f}" for key, value in values.items())
            print(f"  {row:40s} {shown}")
    if options.write:
        lines = [f'"{key}": {json.dumps(value)}' for key, value in sorted(model.as_dict().items())]
        SHIPPED_LAYOUTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    write_json(options.out / "layout-model.json", results)


if __name__ == "__main__":
    main()
