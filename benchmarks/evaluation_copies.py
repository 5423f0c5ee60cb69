"""Are planted copies found, and is unseen tissue spared? The search for copies on real tissue.

    python benchmarks/evaluation_copies.py [--each 5] [--data ../shared/data] [--out FOLDER]

The library is the training tiles of brca-m2c. Copies: crops of it moved by any number of pixels,
turned and mirrored, in another stain, packed as JPEG; harder ones besides: blurred, turned by 3, 6
or 10 degrees, enlarged by 3 or 10 %, a quarter copied into other tissue. No tile states nuclei.
Unseen: the validation patients, training patients who did not help to set the bar, each looked up
among the others' tiles, breast tissue of another collection (BreCaHAD) and colorectal tissue
(NCT-CRC). The bars are what `evaluate` would set: from crops of the other half of the training
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
from histosynth.metrics.copying.search import find_matches
from histosynth.metrics.copying.suspects import Bars, Scores
from histosynth.metrics.intervals import share_over
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.tissue.augment import pose, restain, stain_matrix
from histosynth.training.data.sources import open_source
from histosynth.training.recipes.tiles import TileSource

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

    def scores(crops, whose=None):
        """Of pictures; `whose` names patients whose own tiles are left out."""
        tiles = [
            TileMeasurements(
                str(i), whose[i] if whose else "", "", {"copy/texture": texture(p, MPP)}
            )
            for i, p in enumerate(crops)
        ]
        found = find_matches(
            Sample(tuple(tiles)), library, owners.tolist(), exclude_own_patient=bool(whose)
        )
        return Scores.of(found)

    def left_out(examples):
        """Crops of some training tiles, and whose they are."""
        crops = [(crop[0], each.tile.ref.patient) for each in examples for crop in corners(each)]
        return [crop for crop, _ in crops], [who for _, who in crops]

    half = set(sorted(set(owners))[::2])
    null = scores(*left_out([e for e in train if e.tile.ref.patient in half]))
    bars = Bars.of(null)
    print(
        f"bars {bars.correlation:.3f}, {bars.beyond_layout:.3f} from {len(null.given)} training "
        f"crops: {np.nanmean(null.correlation):.3f} +- {np.nanstd(null.correlation):.3f}, at most "
        f"{np.nanmax(null.tissue):.3f} beyond the layout"
    )
    table = {
        "bar": bars.correlation,
        "bar_beyond_layout": bars.beyond_layout,
        "largest_beyond_layout_of_bar": float(np.nanmax(null.tissue)),
        "library": len(library),
        "null": len(null.given),
        "found": {},
        "false_alarms": {},
    }

    def spared(name, crops, whose, *, leave_out=False):
        found = scores(crops, whose if leave_out else None)
        told = share_over(bars.suspected(found), whose).as_dict()
        table["false_alarms"][name] = told | {
            "largest": float(np.nanmax(found.correlation)),
            "largest_beyond_layout": float(np.nanmax(found.tissue)),
        }
        print(name, table["false_alarms"][name], flush=True)

    rest = left_out([e for e in train if e.tile.ref.patient not in half])
    spared("training patients, left out", *rest, leave_out=True)
    unseen = [(c[0], each.tile.ref.patient) for each in val for c in corners(each)]
    spared("validation patients", [crop for crop, _ in unseen], [who for _, who in unseen])
    other = [
        crop
        for folder, mpp in (("brecahad/images", 0.25), ("nct-crc", 0.5))
        for crop in unlabelled(asked.data, folder, mpp)
    ]
    spared("BreCaHAD and NCT-CRC", other, [str(i) for i in range(len(other))])

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
        "turned by 6 degrees": (1, lambda p: warped(p, random, degrees=6)),
        "turned by 10 degrees": (1, lambda p: warped(p, random, degrees=10)),
        "enlarged by 3 %": (1, lambda p: warped(p, random, zoom=1.03)),
        "enlarged by 10 %": (1, lambda p: warped(p, random, zoom=1.1)),
    }
    for name, (each, way) in ways.items():
        found = scores([way(pixels) for _ in range(each) for pixels in tiles])
        patients = np.tile(owners, each).tolist()
        right = found.tile == np.tile(np.arange(len(tiles)), each)
        told = share_over(bars.suspected(found), patients).as_dict()
        table["found"][name] = told | {
            "by_correlation_as_it_is": float((found.correlation > bars.correlation).mean()),
            "right_tile": float(right.mean()),
            "least": float(np.nanmin(found.correlation)),
            "least_beyond_layout": float(np.nanmin(found.tissue)),
        }
        print(f"{name:34}", table["found"][name], flush=True)
    write_json(ensure_folder(asked.out) / "evaluation-copies.json", table)


if __name__ == "__main__":
    main()
