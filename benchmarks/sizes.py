"""Does an adapter follow sizes of nuclei? Sizes asked for against those measured in what is made.

    python benchmarks/sizes.py ADAPTER [--data ../shared/data] [--out sizes.json]

The nuclei of 32 crops of the validation patients of brca-m2c, with the shapes that are measured in
the real tiles, are asked for again: rank correlation of what was asked for and what was measured,
by class, with intervals by patients. Then the same with all areas halved and doubled: how much
larger the median nucleus becomes (2.0 wanted each time). Outlines err: real tiles measured twice,
the second time resampled by a third of a pixel, are the ceiling.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from crops import corners
from intervals import as_row
from quality import source
from scipy import ndimage
from scipy.stats import spearmanr

import histosynth as hs
from histosynth.core.nucleus_shapes import known_shapes
from histosynth.metrics.intervals import statistic_over
from histosynth.metrics.morphology.shapes import with_measured_shapes
from histosynth.training.data.sources import open_source

ROOT = Path(__file__).resolve().parents[1]
SHIFT_PX = 1 / 3
FACTORS = (0.5, 1.0, 2.0)


def shapes_in(picture, nuclei):
    """(N, 3) shapes measured around centroids, whatever shapes they are to have."""
    return with_measured_shapes(picture, replace(nuclei, shapes=None)).shapes


def rows_of(asked, found, nuclei, patient):
    """What was asked for and found of nuclei that both know, with class and patient."""
    both = known_shapes(asked) & known_shapes(found)
    return [
        (a, f, kind, patient)
        for a, f, kind in zip(asked[both], found[both], nuclei.class_ids[both], strict=True)
    ]


def correlations(rows, classes):
    """By class, rank correlations of area and of elongation, and the median error of angles."""
    told = {}
    for number, name in enumerate(classes):
        own = [row for row in rows if row[2] == number]
        asked, found = (np.stack([row[side] for row in own]) for side in (0, 1))
        patients = [row[3] for row in own]
        long_ones = asked[:, 1] > 1.5
        turn = np.abs(asked[:, 2] - found[:, 2]) % 180
        turn = np.minimum(turn, 180 - turn)[long_ones]
        told[name] = {
            "n": len(own),
            "area": correlation(asked[:, 0], found[:, 0], patients),
            "elongation": correlation(asked[:, 1], found[:, 1], patients),
            "angle_error_deg": float(np.median(turn)),
        }
    return told


def correlation(asked, found, patients):
    pairs = np.stack([asked, found], axis=1)
    return as_row(statistic_over(lambda each: spearmanr(*each.T).statistic, (pairs, patients)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    bundle = hs.open_bundle(args.adapter)
    classes = bundle.info.classes
    held_out = open_source(source("brca-m2c/val.txt"), root=args.data, mpp=0.5, classes=classes)
    ceiling, followed = [], []
    areas = {factor: [] for factor in FACTORS}
    for example in held_out:
        patient = example.tile.ref.patient
        for pixels, nuclei, whole in corners(example):
            real = shapes_in(pixels, nuclei)
            moved = ndimage.shift(pixels.astype(np.float32), (SHIFT_PX, SHIFT_PX, 0), order=1)
            again = shapes_in(moved.round().astype(np.uint8), nuclei)
            ceiling += rows_of(real, again, nuclei, patient)
            for factor in FACTORS:
                asked = real * np.float32([factor, 1, 1])
                made = hs.synthesize(
                    replace(nuclei, shapes=asked),
                    appearance=whole,
                    bundle=bundle,
                    seed=0,
                )[0]
                found = shapes_in(made.pixels, nuclei)
                areas[factor].append(found[known_shapes(real), 0])
                if factor == 1:
                    followed += rows_of(real, found, nuclei, patient)
    medians = {factor: float(np.nanmedian(np.concatenate(areas[factor]))) for factor in FACTORS}
    result = {
        "made": correlations(followed, classes),
        "real tiles measured twice": correlations(ceiling, classes),
        "median area with areas times": medians,
        "doubled": medians[2.0] / medians[1.0],
        "halved": medians[1.0] / medians[0.5],
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
