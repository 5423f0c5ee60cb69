"""Layouts of slides against real tissue of other patients, and how fast they are drawn.

    python benchmarks/layouts.py [--data ../shared/data] [--splits 4]

A model is fitted to the tiles of some patients of brca-m2c and compared with tiles of the others,
as in `layout_model.py`, which explains the three distances. Rows: the model's own tiles, tiles cut
at random from a slide (`like=model`, `like=slide`, there only where tissue is), nuclei without
forces in the same field, and real tiles quilted from blocks of 60 um. `times`: as a multiple of the
fitted patients' real tiles; intervals: 90 % of 20 draws of the other patients with replacement.
`--splits`: so many divisions of the patients, a model fitted for each; `means` are ratios of the
sums over splits.

topology: persistence of alpha complexes (gudhi 3.13) of each class and of all nuclei, H0 and H1.
The mean number of features alive at each scale (Betti curve, 0 to 60 um, per mm2) of a set of
tiles; the distance is the mean over curves of the area between two, over the area below the second.

Writes layouts.json, and layouts-g.png and layouts-topology.png, curves alone.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from layout_model import RADII_UM, distances, layouts_of, points_of, statistics, window_of

import histosynth as hs
from histosynth.core.nuclei import Nuclei
from histosynth.core.store import write_json
from histosynth.tissue.layouts.drawing import draw_nuclei_like
from histosynth.tissue.layouts.drawn_layout import DrawnLayout
from histosynth.tissue.layouts.fitting import fit_layouts

ROOT = Path(__file__).resolve().parents[1]
MPP = 0.5
SIDE = 480
FITTED_TILES = 51
DRAWS = 20
SLIDE = 40_000
BLOCK = 120
SCALES = np.arange(0.0, 60.1, 2.0)
KEYS = ("pairs", "nearest_um", "counts", "topology")


def tiles_of_slide(model, like: str, count: int, seed: int) -> list[Nuclei]:
    layout = DrawnLayout(model, (SLIDE, SLIDE), mpp=MPP, seed=seed, like=like)
    random = np.random.default_rng(seed)
    tiles: list[Nuclei] = []
    while len(tiles) < count:
        x, y = random.integers(0, SLIDE - SIDE, 2).tolist()
        box = hs.Box(x, y, SIDE, SIDE)
        empty = layout.empty(box)
        if empty is None or empty.mean() < 0.25:
            tiles.append(layout.window(box))
    return tiles


def quilted(tiles: list[Nuclei], count: int, seed: int) -> list[Nuclei]:
    random = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        parts = []
        ids = []
        for x in range(0, SIDE, BLOCK):
            for y in range(0, SIDE, BLOCK):
                tile = tiles[random.integers(len(tiles))]
                left, top = (int(random.integers(0, side - BLOCK)) for side in tile.size)
                block = tile.crop(hs.Box(left, top, BLOCK, BLOCK))
                parts.append(block.xy + np.array([x, y]))
                ids.append(block.class_ids)
        xy = np.concatenate(parts).astype(np.float32)
        out.append(Nuclei(xy, np.concatenate(ids), tiles[0].classes, (SIDE, SIDE), MPP))
    return out


def speed(model, side: int) -> dict[str, float]:
    """Of drawing squares of 4 mm of a slide, and of single windows of 1,200 px."""
    layout = DrawnLayout(model, (200_000, 200_000), mpp=MPP, seed=1, like="model")
    layout.window(hs.Box(0, 0, 100, 100))
    began = time.process_time()
    count = sum(len(layout.rows((400 * number, 4000), (400, 400))) for number in range(2))
    streaming = count / (time.process_time() - began)
    windows = []
    for number in range(6):
        began = time.process_time()
        layout.window(hs.Box(20_000 * number, 100_000, side, side))
        windows.append(time.process_time() - began)
    return {
        "nuclei_per_second": round(streaming),
        f"seconds_per_window_of_{side}_px": round(float(np.median(windows)), 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--tiles", type=int, default=120)
    parser.add_argument("--splits", type=int, default=4)
    options = parser.parse_args()
    patients = {**layouts_of(options.data, "train")}
    for name, tiles in layouts_of(options.data, "val").items():
        patients.setdefault(name, []).extend(tiles)
    results: dict = {"splits": []}
    for split in range(options.splits):
        results["splits"].append(one_split(patients, split, options, results))
        results["means"] = means_of(results["splits"])
        write_json(options.out / "layouts.json", results)
    for name, row in results["means"].items():
        print(f"{name:36s}", row, flush=True)


def means_of(splits: list[dict]) -> dict:
    """Sums of distances over splits, over those of the fitted patients' real tiles; least and most
    of the splits."""
    first = "real tissue of the fitted patients"
    table = {}
    for name in splits[0]["distances"]:
        row = {}
        for key in KEYS:
            own = [split["distances"][name][key] for split in splits]
            real = [split["distances"][first][key] for split in splits]
            each = np.array(own) / real
            row[key] = [round(sum(own) / sum(real), 2), round(each.min(), 2), round(each.max(), 2)]
        table[name] = row
    return table


def betti_curves(tiles: list[Nuclei]) -> np.ndarray:
    """(K + 1, 2, R) mean numbers of features alive at `SCALES`, per mm2."""
    import gudhi

    classes = len(tiles[0].classes)
    out = np.zeros((classes + 1, 2, len(SCALES)))
    area = 0.0
    for tile in tiles:
        points = points_of(tile)
        width, height = window_of(tile)
        area += width * height / 1e6
        for number in range(classes + 1):
            xy = points.xy if number == classes else points.xy[points.class_ids == number]
            if len(xy) < 3:
                out[number, 0] += len(xy)
                continue
            tree = gudhi.AlphaComplex(points=xy).create_simplex_tree()
            tree.compute_persistence()
            for order in range(2):
                spans = np.sqrt(tree.persistence_intervals_in_dimension(order).reshape(-1, 2))
                born = (spans[:, :1] <= SCALES).sum(axis=0)
                out[number, order] += born - (spans[:, 1:] <= SCALES).sum(axis=0)
    return out / area


def topology(first: np.ndarray, second: np.ndarray) -> float:
    between = np.abs(first - second).sum(axis=2)
    return float((between / second.sum(axis=2)).mean())


def plots(measured: dict, curves: dict, real, real_curves, out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = ["real tissue of the fitted patients", "tiles of a slide, like model"]
    shown += ["the same field without forces", "quilted blocks of real tiles"]
    names = [f"{a}-{b}" for a, b in ("ee", "el", "es", "ll", "ls", "ss")]
    figure, axes = pyplot.subplots(2, 3, figsize=(10, 6))
    for number, axis in enumerate(axes.ravel()):
        for name in shown:
            axis.plot(RADII_UM[:20], measured[name][0][number], label=name)
        axis.plot(RADII_UM[:20], real[0][number], "k--", label="real tissue of the others")
        axis.set_title(f"g(r), {names[number]}")
    axes[0, 0].legend(fontsize=6)
    figure.savefig(out / "layouts-g.png", dpi=80)
    figure, axes = pyplot.subplots(2, 4, figsize=(12, 6))
    for order in range(2):
        for number in range(4):
            axis = axes[order, number]
            for name in shown:
                axis.plot(SCALES, curves[name][number, order], label=name)
            axis.plot(SCALES, real_curves[number, order], "k--", label="real tissue of the others")
            axis.set_title(f"H{order}, {('epithelial', 'lymphocyte', 'stromal', 'all')[number]}")
    axes[0, 0].legend(fontsize=6)
    figure.savefig(out / "layouts-topology.png", dpi=80)


def one_split(patients: dict, split: int, options, results: dict) -> dict:
    random = np.random.default_rng(split)
    names = [sorted(patients)[index] for index in random.permutation(len(patients))]
    fitted_names = []
    while sum(len(patients[name]) for name in fitted_names) < FITTED_TILES:
        fitted_names.append(names.pop())
    fitted = [tile for name in fitted_names for tile in patients[name]]
    model = fit_layouts(fitted)
    if not split:
        results["speed"] = speed(model, 1200)
        print(results["speed"], flush=True)
    free = replace(model, forces=np.zeros_like(model.forces))
    count = options.tiles
    sizes = [(SIDE, SIDE)] * count
    sets = {
        "real tissue of the fitted patients": fitted,
        "tiles of the model": [
            draw_nuclei_like(model, size, mpp=MPP, seed=1, number=number)
            for number, size in enumerate(sizes)
        ],
        "tiles of a slide, like model": tiles_of_slide(model, "model", count, 1),
        "tiles of a slide, like slide": tiles_of_slide(model, "slide", count, 1),
        "the same field without forces": tiles_of_slide(free, "model", count, 1),
        "quilted blocks of real tiles": quilted(fitted, count, 1),
    }
    measured = {name: statistics(tiles) for name, tiles in sets.items()}
    curves = {name: betti_curves(tiles) for name, tiles in sets.items()}
    of_patient = {name: betti_curves(patients[name]) for name in names}
    areas = {name: sum(np.prod(window_of(tile)) for tile in patients[name]) for name in names}
    draws = [names] + [list(random.choice(names, len(names))) for _ in range(DRAWS)]
    found = []
    for draw in draws:
        real = statistics([tile for name in draw for tile in patients[name]])
        weights = [areas[name] for name in draw]
        real_curves = np.average([of_patient[name] for name in draw], axis=0, weights=weights)
        rows = {name: distances(values, real) for name, values in measured.items()}
        for name, row in rows.items():
            row["topology"] = topology(curves[name], real_curves)
        if not split and not found:
            plots(measured, curves, real, real_curves, options.out)
        found.append(rows)
    first = "real tissue of the fitted patients"
    table = {}
    for name in sets:
        row = {}
        for key in found[0][name]:
            times = [each[name][key] / each[first][key] for each in found]
            low, high = np.quantile(times[1:], [0.05, 0.95])
            row[key] = round(found[0][name][key], 3)
            row[f"{key}_times"] = [round(times[0], 2), round(float(low), 2), round(float(high), 2)]
        table[name] = row
        print(f"{name:36s}", row, flush=True)
    return {
        "distances": table,
        "patients": {"fitted": len(fitted_names), "others": len(names)},
        "tiles": {"fitted": len(fitted), "drawn": count},
    }


if __name__ == "__main__":
    main()
