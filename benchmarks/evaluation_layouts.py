"""Does the search for copies spare tiles that were given a training tile's nuclei and stain?

    python benchmarks/evaluation_layouts.py --work FOLDER [--data ../shared/data] [--out FOLDER]

Two sets are made from nuclei and stain of real tiles and judged by `evaluate` against those very
tiles: 24 tiles of the 8 validation patients, whom the bundle never saw, and 10 variants of each of
20 training tiles. Then copies of the same crops are planted, each with the recipe of the tile in
whose place it stands, which states that it was given nuclei. Writes evaluation-layouts.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from crops import corners
from evaluation_copies import SIDE, crop_of, source, warped, worn
from PIL import Image
from scipy import ndimage

import histosynth as hs
from histosynth.core.store import ensure_folder, write_json
from histosynth.core.synthetic import read_recipe, write_synthetic
from histosynth.model import autoencoder as ae
from histosynth.pipeline.evaluate import evaluate
from histosynth.training.data.sources import open_source

ROOT = Path(__file__).resolve().parents[1]
MPP = 0.5
CLASSES = ("epithelial", "lymphocyte", "stromal")


def examples(root: Path, members: str):
    return list(open_source(source(f"brca-m2c/{members}.txt"), root=root, mpp=MPP, classes=CLASSES))


def one_a_patient(tiles, count, random):
    first = {}
    for tile in tiles:
        first.setdefault(tile.tile.ref.patient, tile)
    names = sorted(first)
    return [first[name] for name in random.permutation(names)[:count]]


def save_tiles(tiles, folder: Path) -> Path:
    ensure_folder(folder)
    for example in tiles:
        Image.fromarray(example.tile.pixels).save(folder / f"{example.tile.ref.patient}.png")
    return folder


def make(bundle, crops, folder: Path, variants: int):
    """Synthetic tiles of crops (patient, number, example, crop), kept between calls."""
    ensure_folder(folder)
    for patient, number, whole, (_, nuclei, _) in crops:
        names = [folder / f"{patient}_{number}{k}.png" for k in range(variants)]
        if all(name.exists() for name in names):
            continue
        tiles = hs.synthesize(
            nuclei,
            appearance=hs.measure_appearance(whole),
            n=variants,
            bundle=bundle,
        )
        for name, tile in zip(names, tiles, strict=True):
            tile.save(name)
    return folder


def through_autoencoder(bundle, pixels):
    frame = hs.measure_appearance(pixels).frame
    signal = ae.to_signal(torch.from_numpy(frame.to_canonical(pixels)))[None]
    with torch.inference_mode():
        decoded = ae.decode(bundle.autoencoder, ae.encode(bundle.autoencoder, signal))
    canonical = np.asarray(ae.to_float_pixels(decoded))
    canonical = canonical[0] if canonical.ndim == 4 else canonical
    return np.asarray(frame.from_canonical(canonical)).round().clip(0, 255).astype(np.uint8)


def ways(bundle, random):
    """How copies are made of a crop, of its whole tile and of the synthetic tile in its place."""
    return {
        "the same pixels": lambda crop, whole, made: crop,
        "moved, turned, restained, JPEG": lambda crop, whole, made: worn(
            crop_of(whole, random), random
        ),
        "and blurred by 1.5 px": lambda crop, whole, made: ndimage.gaussian_filter(
            worn(crop_of(whole, random), random), (1.5, 1.5, 0)
        ),
        "through the autoencoder, restained, JPEG": lambda crop, whole, made: worn(
            through_autoencoder(bundle, crop), random
        ),
        "turned by 3 degrees": lambda crop, whole, made: warped(whole, random, degrees=3),
        "turned by 6 degrees, restained, JPEG": lambda crop, whole, made: worn(
            warped(whole, random, degrees=6), random
        ),
        "enlarged by 5 %": lambda crop, whole, made: warped(whole, random, zoom=1.05),
        "turned by 4 degrees, enlarged by 5 %, noise of 30 levels": lambda crop, whole, made: noisy(
            warped(whole, random, degrees=-4, zoom=1.05), random, 30
        ),
        "noise of 60 levels": lambda crop, whole, made: noisy(crop, random, 60),
        "bent by 2 um over 20 um": lambda crop, whole, made: bent(crop, random, 4, 40),
        "half copy, half synthetic": lambda crop, whole, made: (
            ((crop.astype(np.float32) + made) / 2).round().astype(np.uint8)
        ),
        "a quarter copied into the synthetic tile": lambda crop, whole, made: quarter(
            crop, made, random
        ),
    }


def noisy(pixels, random, levels):
    noise = random.normal(0, levels, pixels.shape)
    return (pixels + noise).round().clip(0, 255).astype(np.uint8)


def bent(pixels, random, amount, length):
    """Every place moved by `amount` px (standard deviation), alike over some `length` px."""
    shifts = ndimage.gaussian_filter(random.normal(size=(2, SIDE, SIDE)), (0, length, length))
    places = np.indices((SIDE, SIDE)) + shifts * amount / shifts.std()
    channels = [
        ndimage.map_coordinates(pixels[..., channel], places, order=1, mode="reflect")
        for channel in range(3)
    ]
    return np.stack(channels, axis=-1)


def quarter(crop, made, random):
    out = made.copy()
    y, x = random.integers(0, 2, 2) * (SIDE // 2)
    part = np.s_[y : y + SIDE // 2, x : x + SIDE // 2]
    out[part] = crop[part]
    return out


def judged(synthetic: Path, real: Path, reference: Path, out: Path):
    report = evaluate(
        real,
        synthetic,
        out,
        reference=reference,
        mpp=MPP,
        crop=SIDE,
        metrics=["copying"],
    )
    section = next(each for each in report.sections if each.key == "copying")
    found = next(each for each in section.findings if each.name == "suspected_copies")
    return section, found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    bundle = hs.open_bundle()
    train = examples(options.data, "train")
    val = examples(options.data, "val")
    own = one_a_patient(train, 20, random)
    others = [each for each in one_a_patient(train, 60, random)]
    own_names = {each.tile.ref.patient for each in own}
    sets = {
        "24 tiles of 8 patients that the bundle never saw": (
            "unseen",
            val,
            [each for each in others if each.tile.ref.patient not in own_names][:30],
            [(each, number) for each in val for number in range(3)],
            1,
        ),
        "10 variants of each of 20 training tiles": (
            "own",
            own,
            val,
            [(each, int(random.integers(4))) for each in own],
            10,
        ),
    }
    table = {"given layouts": {}, "planted copies": {}}
    for title, (short, tiles, real, chosen, variants) in sets.items():
        work = options.work / short
        crops = [
            (
                each.tile.ref.patient,
                number,
                each.tile.pixels,
                list(corners(each))[number],
            )
            for each, number in chosen
        ]
        reference = save_tiles(tiles, work / "reference")
        held_out = save_tiles(real, work / "real")
        made = make(bundle, crops, work / "made", variants)
        section, found = judged(made, held_out, reference, work / "report")
        table["given layouts"][title] = found.value.as_dict() | section.facts
        print(title, section.facts, section.verdict, flush=True)
        for way, plant in ways(bundle, random).items():
            short_way = way.replace(" ", "-").replace(",", "").replace("%", "percent")
            planted = ensure_folder(work / "planted" / short_way)
            for patient, number, whole, (crop, _, _) in crops:
                path = made / f"{patient}_{number}0.png"
                recipe = read_recipe(path)
                pixels = plant(crop, whole, np.array(Image.open(path)))
                write_synthetic(planted / path.name, pixels, recipe)
            section, found = judged(
                planted, held_out, reference, planted.parent / "reports" / planted.name
            )
            row = table["planted copies"].setdefault(way, {})
            row[title] = found.value.as_dict() | section.facts
            print(f"  {way:42}", f"{found.value.value:.3f}", section.facts, flush=True)
    write_json(ensure_folder(options.out) / "evaluation-layouts.json", table)


if __name__ == "__main__":
    main()
