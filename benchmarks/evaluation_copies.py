"""Are planted copies found, and is unseen tissue spared? The search for copies on real tissue.

    python benchmarks/evaluation_copies.py [--each 5] [--data ../shared/data] [--out FOLDER]

The library is the training tiles of brca-m2c. Copies: crops of it moved by any number of pixels,
turned and mirrored, in another stain, packed as JPEG; harder ones besides, for what they are worth:
blurred, turned by 3 or 10 degrees, enlarged by 3 or 10 %, a quarter copied into other tissue.
Unseen: the validation patients, training patients who did not help to set the bar, each looked up
among the others' tiles, breast tissue of another collection (BreCaHAD) and colorectal tissue
(NCT-CRC). The bar is what `evaluate` would set: from crops of the other half of the training
patients. Writes evaluation-copies.json.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from crops import corners, unlabelled
from PIL import Image
from scipy import ndimage

from histosynth.core.store import ensure_folder, write_json
from histosynth.metrics.copying.register import Library, texture
from histosynth.metrics.copying.suspects import bar_of
from histosynth.metrics.intervals import share_over
from histosynth.tissue.augment import pose, restain, stain_matrix
from histosynth.training.data.sources import TileSource, open_source

ROOT = Path(__file__).resolve().parents[1]
SIDE = 256
MPP = 0.5
CLASSES = ("epithelial", "lymphocyte", "stromal")


def source(members: str) -> TileSource:
    return TileSource(
        "brca-m2c/images",
        "^(.{12})",
        MPP,
        points="brca-m2c/points",
        members=members,
    )


def jpeg(pixels, quality):
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=quality)
    return np.array(Image.open(packed))


def crop_of(pixels, random, side=SIDE):
    y, x = (random.integers(0, length - side + 1) for length in pixels.shape[:2])
    return pixels[y : y + side, x : x + side]


def worn(crop, random):
    stained = restain(crop, stain_matrix(random, 0.2)).round().astype(np.uint8)
    turned = np.ascontiguousarray(pose(stained, int(random.integers(8))))
    return jpeg(turned, int(random.integers(40, 91)))


def warped(
    pixels,
    random,
    *,
    degrees=0.0,
    zoom=1.0,
):
    """A crop turned by any angle or enlarged: from a larger one, so that no corner is empty."""
    large = crop_of(pixels, random, min(SIDE + 128, *pixels.shape[:2]))
    turned = ndimage.rotate(
        large,
        degrees,
        axes=(0, 1),
        reshape=False,
        order=1,
        mode="reflect",
    )
    side = round(SIDE / zoom)
    edge = (len(turned) - side) // 2
    part = Image.fromarray(turned[edge : edge + side, edge : edge + side])
    return np.array(part.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--each",
        type=int,
        default=5,
        help="copies of each training tile",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT.parent / "shared" / "data",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    train, val = (
        open_source(
            source(f"brca-m2c/{m}.txt"),
            root=asked.data,
            mpp=MPP,
            classes=CLASSES,
        )
        for m in ("train", "val")
    )
    tiles = [each.tile.pixels for each in train]
    owners = np.array([each.tile.ref.patient for each in train])
    textures = [texture(each, MPP) for each in tiles]
    shape = tuple(max(each.shape[axis] for each in textures) for axis in (0, 1))
    library = Library(textures, SIDE * MPP, shape)

    def score(pixels, among=None):
        match = library.find(texture(pixels, MPP), among)
        return (match.score, match.tile) if match else (np.nan, -1)

    def left_out(examples):
        """Scores of crops of some training tiles among the tiles of other patients, and whose they
        are."""
        found = []
        for each in examples:
            others = np.flatnonzero(owners != each.tile.ref.patient)
            found += [(score(crop[0], others)[0], each.tile.ref.patient) for crop in corners(each)]
        return found

    half = set(sorted(set(owners))[::2])
    null = [each for each, _ in left_out([e for e in train if e.tile.ref.patient in half])]
    bar = bar_of(np.array(null))
    print(
        f"bar {bar:.3f}, from {len(null)} training crops: {np.mean(null):.3f} +- {np.std(null):.3f}"
    )
    other = [
        crop
        for folder, mpp in (("brecahad/images", 0.25), ("nct-crc", 0.5))
        for crop in unlabelled(asked.data, folder, mpp)
    ]
    others = left_out([e for e in train if e.tile.ref.patient not in half])
    told = share_over([each > bar for each, _ in others], [who for _, who in others]).as_dict()
    most = float(np.nanmax([each for each, _ in others]))
    table = {
        "bar": bar,
        "library": len(library),
        "null": len(null),
        "found": {},
    }
    table["false_alarms"] = {"training patients, left out": told | {"largest": most}}
    print(table["false_alarms"])
    unseen = {
        "validation patients": [
            (c[0], each.tile.ref.patient) for each in val for c in corners(each)
        ],
        "BreCaHAD and NCT-CRC": [(crop, str(i)) for i, crop in enumerate(other)],
    }
    for name, items in unseen.items():
        scores = np.array([score(crop)[0] for crop, _ in items])
        told = share_over(scores > bar, [who for _, who in items]).as_dict()
        table["false_alarms"][name] = told | {"largest": float(np.nanmax(scores))}
        print(name, table["false_alarms"][name])

    def mixed(pixels):
        out = crop_of(tiles[random.integers(len(tiles))], random).copy()
        ground = val[random.integers(len(val))].tile.pixels
        out[:] = crop_of(ground, random)
        y, x = random.integers(0, 2, 2) * (SIDE // 2)
        out[y : y + SIDE // 2, x : x + SIDE // 2] = crop_of(pixels, random, SIDE // 2)
        return out

    ways = {
        "moved, turned, restained, JPEG": (
            asked.each,
            lambda p: worn(crop_of(p, random), random),
        ),
        "and blurred by 1.5 px": (
            1,
            lambda p: ndimage.gaussian_filter(worn(crop_of(p, random), random), (1.5, 1.5, 0)),
        ),
        "a quarter of other tissue": (1, lambda p: worn(mixed(p), random)),
        "turned by 3 degrees": (1, lambda p: warped(p, random, degrees=3)),
        "turned by 10 degrees": (1, lambda p: warped(p, random, degrees=10)),
        "enlarged by 3 %": (1, lambda p: warped(p, random, zoom=1.03)),
        "enlarged by 10 %": (1, lambda p: warped(p, random, zoom=1.1)),
    }
    for name, (each, way) in ways.items():
        found = np.array([score(way(pixels)) for _ in range(each) for pixels in tiles])
        right = found[:, 1] == np.tile(np.arange(len(tiles)), each)
        table["found"][name] = share_over(
            found[:, 0] > bar, np.tile(owners, each).tolist()
        ).as_dict() | {
            "right_tile": float(right.mean()),
            "least": float(found[:, 0].min()),
        }
        print(f"{name:34}", table["found"][name])
    write_json(ensure_folder(asked.out) / "evaluation-copies.json", table)


if __name__ == "__main__":
    main()
