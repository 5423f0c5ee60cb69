"""How fast and how small is `prepare`? Ratios to plain OpenSlide and torchstain, all in one run.

    python benchmarks/preparing.py [--out FOLDER] [--work FOLDER] [--repeats 3]

Slides are made here: pyramids of JPEG segments cut from the shared scan, so that their pixels are
those of tissue. Each pair is timed in turns, and the least of its times counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import tifffile
from PIL import Image
from torchstain.numpy.normalizers.macenko import NumpyMacenkoNormalizer
from torchstain.numpy.normalizers.reinhard import NumpyReinhardNormalizer

from histosynth.core.geometry import Box
from histosynth.core.store import write_json
from histosynth.preparation.stain import STAIN_METHODS, restain_between
from histosynth.slides import open_slide, read_box
from histosynth.slides.openslide import OpenSlideSlide

ROOT = Path(__file__).parents[1]
SCAN = ROOT.parent / "shared/data/slides/cmu-1-small-region.svs"
SEGMENT = 512


def write_slide(path: Path, side: int, *, tissue: int) -> None:
    """A square pyramid (1, 4, 16) with a square of tissue of about `tissue` px a side in its
    middle."""
    scan = open_slide(SCAN).read(0, Box(900, 1300, 2 * SEGMENT, 2 * SEGMENT))
    glass = np.full((SEGMENT, SEGMENT, 3), 243, np.uint8)
    first = (side - tissue) // 2 // SEGMENT
    last = first + -(-tissue // SEGMENT)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for step in (1, 4, 16):
            many = -(-(side // step) // SEGMENT)
            file.write(
                segments(scan, glass, (first, last), step, many),
                shape=(side // step, side // step, 3),
                dtype=np.uint8,
                photometric="ycbcr",
                compression="jpeg",
                tile=(SEGMENT, SEGMENT),
                metadata=None,
                subsampling=(1, 1),
                subfiletype=int(step > 1),
                resolution=(2e4 / step,) * 2,
                resolutionunit=3,
            )


def segments(
    scan: np.ndarray,
    glass: np.ndarray,
    tissue: tuple[int, int],
    step: int,
    many: int,
) -> Iterator[bytes]:
    """JPEG segments of one level, row by row: four of tissue in turn within a square, glass around
    it."""
    small = np.asarray(Image.fromarray(scan).reduce(step)) if step > 1 else scan
    part = SEGMENT // step
    cells = [[small[y : y + part, x : x + part] for x in (0, part)] for y in (0, part)]
    empty = encode(glass)
    made = {}
    for row in range(many):
        for column in range(many):
            inside = [
                (y, x)
                for y in range(row * step, (row + 1) * step)
                for x in range(column * step, (column + 1) * step)
                if all(tissue[0] <= place < tissue[1] for place in (x, y))
            ]
            if not inside:
                yield empty
                continue
            key = tuple((y - row * step, x - column * step, y % 2, x % 2) for y, x in inside)
            if key not in made:
                picture = glass.copy()
                for y, x, odd_y, odd_x in key:
                    picture[y * part : (y + 1) * part, x * part : (x + 1) * part] = cells[odd_y][
                        odd_x
                    ]
                made[key] = encode(picture)
            yield made[key]


def encode(pixels: np.ndarray) -> bytes:
    """A JPEG segment."""
    return imagecodecs.jpeg_encode(
        np.ascontiguousarray(pixels),
        level=80,
        subsampling="444",
    )


def least(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(repeats: int, **works: Callable[[], object]) -> dict[str, float]:
    """Seconds of each, the least of `repeats` turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(least(work))
    return {name: min(seconds) for name, seconds in times.items()}


def reading(folder: Path, repeats: int) -> dict[str, object]:
    """512- and 1,024-px tiles from level 0 of a 20k pyramid, and at 1 um/px from between its
    levels."""
    path = folder / "reading.tiff"
    write_slide(path, 20_480, tissue=20_480)
    out: dict[str, object] = {}
    for side, mpp in ((512, 0.5), (1024, 0.5), (512, 1.0)):
        step = round(mpp / 0.5)
        # off the segments' grid, as tiles of another stride are
        corners = [
            (x, y) for y in range(100, 6000, side * step) for x in range(100, 6000, side * step)
        ]
        boxes = [Box(x, y, side * step, side * step) for x, y in corners]

        def ours(boxes=boxes, side=side) -> None:
            slide = open_slide(path)
            for box in boxes:
                read_box(slide, box, (side, side))
            slide.close()

        def theirs(boxes=boxes, side=side, step=step) -> None:
            slide = openslide.OpenSlide(path)
            for box in boxes:
                region = slide.read_region((box.x, box.y), 0, (box.width, box.height)).convert(
                    "RGB"
                )
                if step > 1:
                    region = region.resize((side, side), Image.Resampling.LANCZOS)
                np.asarray(region)
            slide.close()

        seconds = in_turns(repeats, ours=ours, openslide=theirs)
        mine = open_slide(path)
        plain = OpenSlideSlide(path)
        same = (mine.read(0, boxes[3]) == plain.read(0, boxes[3])).all() if step == 1 else None
        out[f"{side} px at {mpp} um/px"] = {
            "tiles_per_s": {name: round(len(boxes) / value, 1) for name, value in seconds.items()},
            "ratio": round(seconds["openslide"] / seconds["ours"], 2),
            "same_pixels": None if same is None else bool(same),
        }
    return out


def stain(repeats: int) -> dict[str, object]:
    """One 1,024-px tile: fit and apply, against torchstain in numpy."""
    slide = open_slide(SCAN)
    source, target = (read_box(slide, Box(x, 1900, 1024, 1024), (1024, 1024)) for x in (700, 900))
    out: dict[str, object] = {}
    for method, oracle in (
        ("macenko", NumpyMacenkoNormalizer()),
        ("reinhard", NumpyReinhardNormalizer()),
    ):
        oracle.fit(target)
        fit = STAIN_METHODS[method].fit
        goal = fit(target)

        def theirs(oracle=oracle) -> np.ndarray:
            got = oracle.normalize(source)
            return got[0] if isinstance(got, tuple) else got

        def whole(fit=fit, goal=goal) -> np.ndarray:
            return restain_between(fit(source), goal)(source)

        def sampled(fit=fit, goal=goal) -> np.ndarray:
            return restain_between(fit(source[::3, ::3]), goal)(source)

        seconds = in_turns(
            repeats,
            torchstain=theirs,
            all_pixels=whole,
            sampled=sampled,
        )
        wanted = theirs().astype(int)
        out[method] = {
            "ms": {name: round(1000 * value) for name, value in seconds.items()},
            "ratio_all_pixels": round(seconds["torchstain"] / seconds["all_pixels"], 1),
            "ratio_sampled": round(seconds["torchstain"] / seconds["sampled"], 1),
            "largest_difference": int(np.abs(wanted - whole()).max()),
            "mean_difference_sampled": round(float(np.abs(wanted - sampled()).mean()), 2),
        }
    return out


def whole_run(folder: Path, repeats: int) -> dict[str, object]:
    """`prepare run` on one worker, against a script of openslide and torchstain that does the
    same."""
    path = folder / "run.tiff"
    write_slide(path, 10_240, tissue=8_192)
    same = (
        'nuclei.source = "none"\nquality = {blur = 0.0, pen = 1.0, fold = 1.0, air = 1.0, '
        "saturation = 1.0}\n"
    )
    out: dict[str, object] = {}

    def ours(extra: str) -> Callable[[], object]:
        def work() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as name:
                recipe = Path(name) / "r.toml"
                recipe.write_text(f'slides = ["{path}"]\n{extra}')
                command = [sys.executable, "-m", "histosynth", "prepare", "run", str(recipe), "-q"]
                subprocess.run([*command, "--engine", "local", "--out", f"{name}/out"], check=True)

        return work

    def theirs() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            script = [
                sys.executable,
                str(Path(__file__).with_name("plain_prepare.py")),
                str(path),
                name,
            ]
            subprocess.run(script, check=True)

    seconds = in_turns(
        repeats,
        ours=ours(same),
        with_gates_and_nuclei=ours(""),
        openslide_torchstain=theirs,
    )
    out["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    out["ratio"] = round(seconds["openslide_torchstain"] / seconds["ours"], 2)
    out["ratio_with_gates_and_nuclei"] = round(
        seconds["openslide_torchstain"] / seconds["with_gates_and_nuclei"], 2
    )
    return out


def memory(folder: Path) -> dict[str, object]:
    """Most memory of one worker that does all of it, for slides of 5k, 20k and 60k px a side."""
    out: dict[str, object] = {}
    for side in (5_120, 20_480, 61_440):
        path = folder / "memory.tiff"
        write_slide(path, side, tissue=4_096)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            recipe = Path(name) / "r.toml"
            recipe.write_text(f'slides = ["{path}"]\n')
            code = (
                "import resource, sys; from histosynth.cli.main import run\n"
                "try: run()\nexcept SystemExit: pass\n"
                "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
            )
            command = [sys.executable, "-c", code, "prepare", "run", str(recipe), "-q"]
            done = subprocess.run(
                [*command, "--engine", "local", "--out", f"{name}/out"],
                check=True,
                capture_output=True,
                text=True,
            )
            facts = json.loads((Path(name) / "out" / "prepare.json").read_text())
        out[f"{side} px"] = {
            "MB": round(int(done.stdout.split()[-1]) / 1024),
            "tiles": facts["tiles"],
        }
        path.unlink()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--work", type=Path, help="folder with a gigabyte to spare")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        folder = Path(name)
        result = {"stain_1024_px": stain(asked.repeats)}
        print(json.dumps(result, indent=2), flush=True)
        for title, part in (("reading", reading), ("run", whole_run)):
            result[title] = part(folder, asked.repeats)
            print(json.dumps({title: result[title]}, indent=2), flush=True)
        result["memory_of_one_worker"] = memory(folder)
    print(json.dumps(result["memory_of_one_worker"], indent=2))
    write_json(asked.out / "prepare.json", result)


if __name__ == "__main__":
    main()
