"""Are tiles cut out of a painted slide as good as tiles synthesized one by one?

    python benchmarks/painted_tiles.py [--tiles 96] [--size 4096] [--out FILE]

A slide is painted from a drawn layout, and tiles of 256 px are cut from it at random places; then
the nuclei of each place, with 128 px around it, are given to `synthesize`, twice, with other seeds,
and the middle is taken: a picture's border looks different from its middle. Compared are distances
to real tissue of the validation patients of brca-m2c, nuclei found again, and how well a classifier
tells painted from single tiles; beside it stands how well it tells the two sets of single tiles.
Half of the places lie across a line where windows meet, so that seams would show.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from crops import SIDE, corners
from quality import ROOT, found_nuclei, source
from squeezenet import SqueezeNet

import histosynth as hs
from histosynth.core.roc import roc_auc
from histosynth.engine import EngineOptions
from histosynth.metrics.distances import frechet_distance, kernel_distance
from histosynth.painting.lattice import OVERLAP_CELLS, WINDOW_CELLS
from histosynth.pipeline.paint import PaintOptions, paint
from histosynth.sampling.options import SamplingOptions
from histosynth.training.data.sources import open_source

CELL_PX = 8
STRIDE_PX = (WINDOW_CELLS - OVERLAP_CELLS) * CELL_PX
OVERLAP_PX = OVERLAP_CELLS * CELL_PX
FOLDS = 6
AROUND = 128
RIDGE = 30.0
RESAMPLES = 300


def places(size, count, random):
    """Corners of tiles: every second one lies across a line of the windows."""
    lines = np.arange(STRIDE_PX + OVERLAP_PX // 2, size - SIDE, STRIDE_PX)
    found = []
    for number in range(count):
        x, y = random.integers(AROUND, size - SIDE - AROUND, 2)
        if number % 2:
            across = random.choice(lines) - random.integers(SIDE // 4, 3 * SIDE // 4)
            x, y = (across, y) if number % 4 == 1 else (x, across)
        found.append(hs.Box(int(x), int(y), SIDE, SIDE))
    return found


def told_apart(first, second, random):
    """AUC of a ridge classifier on held-out places; both sets show the same places."""
    values = np.concatenate([first, second])
    values = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-9)
    truth = np.repeat([0.0, 1.0], len(first))
    fold = np.tile(random.permutation(len(first)) % FOLDS, 2)
    scores = np.empty(len(values))
    for number in range(FOLDS):
        train = fold != number
        rows, wanted = values[train], truth[train] - 0.5
        kernel = rows @ rows.T + RIDGE * rows.shape[1] / 10 * np.eye(len(rows))
        weights = rows.T @ np.linalg.solve(kernel, wanted)
        scores[~train] = values[~train] @ weights
    return roc_auc(scores, truth == 1)


def with_interval(statistic, count, random):
    """A statistic of indices of places, with the middle 95 % of resampled places."""
    draws = [statistic(random.integers(0, count, count)) for _ in range(RESAMPLES)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return {
        "value": float(statistic(np.arange(count))),
        "low": float(low),
        "high": float(high),
        "places": count,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiles", type=int, default=96)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    weights = ROOT.parent / "shared" / "weights" / "squeezenet11.safetensors"
    parser.add_argument("--weights", type=Path, default=weights)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    random = np.random.default_rng(args.seed)
    layout = hs.draw_slide_layout((args.size, args.size), seed=args.seed, like="model")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.ome.tiff"
        paint(
            layout,
            path,
            options=PaintOptions(
                SamplingOptions(seed=args.seed, device="cpu"),
                codec="deflate",
                engine=EngineOptions("pool", args.workers),
            ),
        )
        slide = tifffile.imread(path)
    boxes = places(args.size, args.tiles, random)
    nuclei = [layout.window(box) for box in boxes]
    painted = np.stack([slide[box.slices] for box in boxes])
    bundle = hs.open_bundle(device="cpu")
    wide = [
        layout.window(hs.Box(box.x - AROUND, box.y - AROUND, SIDE + 2 * AROUND, SIDE + 2 * AROUND))
        for box in boxes
    ]
    inside = slice(AROUND, AROUND + SIDE)
    singles = []
    for seed in (args.seed + 1, args.seed + 2):
        pictures = hs.synthesize(wide, bundle=bundle, seed=seed)
        singles.append(np.stack([each.pixels[inside, inside] for each in pictures]))
    held_out = open_source(
        source("brca-m2c/val.txt"),
        root=args.data,
        mpp=0.5,
        classes=bundle.info.classes,
    )
    real = np.stack([crop[0] for example in held_out for crop in corners(example, 2)])
    embedder = SqueezeNet(args.weights)
    target = embedder.embed(real)
    sets = [embedder.embed(each) for each in (painted, *singles)]
    result = {"tiles": args.tiles, "slide_px": args.size, "real_crops": len(real)}
    for name, distance in (("FD", frechet_distance), ("KID", kernel_distance)):
        result[f"{name}_squeezenet"] = {
            "painted": distance(sets[0], target),
            "single": distance(sets[1], target),
            "single_again": distance(sets[2], target),
            "painted_less_single": with_interval(
                lambda chosen, d=distance: d(sets[0][chosen], target) - d(sets[1][chosen], target),
                args.tiles,
                random,
            ),
            "single_again_less_single": with_interval(
                lambda chosen, d=distance: d(sets[2][chosen], target) - d(sets[1][chosen], target),
                args.tiles,
                random,
            ),
        }
    result["told_apart"] = {
        "painted_from_single": told_apart(sets[0], sets[1], random),
        "single_from_single": told_apart(sets[2], sets[1], random),
        "across_lines_from_others": auc_of_lines(sets[0], random),
    }
    found = [
        np.array(
            [found_nuclei(picture, cells) for picture, cells in zip(each, nuclei, strict=True)]
        )
        for each in (painted, *singles)
    ]
    result["found"] = [float(each[:, 0].sum() / each[:, 1].sum()) for each in found]
    result["found_painted_less_single"] = with_interval(
        lambda chosen: (
            found[0][chosen, 0].sum() / found[0][chosen, 1].sum()
            - found[1][chosen, 0].sum() / found[1][chosen, 1].sum()
        ),
        args.tiles,
        random,
    )
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


def auc_of_lines(embedded, random):
    """AUC of telling tiles across windows' lines from the others, in turn by pairs."""
    return told_apart(embedded[0::2], embedded[1::2], random)


if __name__ == "__main__":
    main()
