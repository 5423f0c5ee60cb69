"""Is a place without tissue kept free of it? Regions asked for against those in what is made.

    python benchmarks/regions.py [--bundle FOLDER] [--data ../shared/data] [--out regions.json]

Places without tissue of the crops of the validation patients of brca-m2c (`hs.find_empty`) are
asked for again, stated and not: Dice overlap with those of what is made, with intervals by
patients, and optical density inside over that of the real tile.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from crops import corners
from intervals import as_row
from quality import source

import histosynth as hs
from histosynth.metrics.intervals import statistic_over
from histosynth.tissue.density import optical_density
from histosynth.training.data.sources import open_source

ROOT = Path(__file__).resolve().parents[1]
MIN_SHARE = 0.01
"""Of a crop; those with less show no region."""


def dice_row(asked, found):
    """What is summed over crops: twice what both hold, and what each holds."""
    return [2 * (asked & found).sum(), asked.sum() + found.sum()]


def ratio(rows, patients):
    return as_row(
        statistic_over(
            lambda each: each[:, 0].sum() / each[:, 1].sum(), (np.array(rows, float), patients)
        )
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sheet", type=Path, help="PNG: real, not stated, stated, a row each.")
    args = parser.parse_args()
    bundle = hs.open_bundle(args.bundle)
    held_out = open_source(
        source("brca-m2c/val.txt"), root=args.data, mpp=0.5, classes=bundle.info.classes
    )
    dice = {"not stated": [], "stated": []}
    density = {"not stated": [], "stated": []}
    patients, rows = [], []
    for example in held_out:
        for pixels, nuclei, whole in corners(example):
            asked = hs.find_empty(pixels)
            if not MIN_SHARE <= asked.mean() < 1:
                continue
            patients.append(example.tile.ref.patient)
            row = [pixels]
            for name, empty in (("not stated", None), ("stated", asked)):
                made = hs.synthesize(nuclei, empty=empty, appearance=whole, bundle=bundle, seed=0)[
                    0
                ].pixels
                dice[name].append(dice_row(asked, hs.find_empty(made)))
                inside = [optical_density(each)[asked].mean() for each in (made, pixels)]
                density[name].append(inside)
                row.append(made)
            rows.append(np.concatenate(row, axis=1))
    result = {
        "crops": len(patients),
        "patients": len(set(patients)),
        "dice": {name: ratio(each, patients) for name, each in dice.items()},
        "density inside / real": {name: ratio(each, patients) for name, each in density.items()},
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")
    if args.sheet:
        from PIL import Image

        Image.fromarray(np.concatenate(rows)).save(args.sheet)


if __name__ == "__main__":
    main()
