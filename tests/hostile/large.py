"""Large honest files: nuclei of whole slides, and a slide of 41,000 x 41,000 px.

Every file is made in a temporary folder and read by a process of its own, whose largest resident
memory the operating system reports. The files need up to 3 GB of disk, one at a time.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

SLIDE_PX = 41_000
MPP = 0.25
CORNERS = 20
CLASSES = ("Tumor", "Stroma", "Immune cells")
READ_NUCLEI = """
import sys
from pathlib import Path
from histosynth.annotation.slide_nuclei import read_slide_nuclei
from histosynth.core.geometry import Size
found = read_slide_nuclei(Path(sys.argv[1]), {}, size=Size(41_000, 41_000), mpp=0.25)
print(len(found.nuclei))
"""
RUN_PROGRAM = "from histosynth.cli.main import run; run()"


def points_geojson(path: Path, count: int) -> None:
    """Point detections as QuPath writes them, 123 bytes a nucleus or more."""
    _write_features(path, count, lambda x, y, _: {"type": "Point", "coordinates": [x, y]})


def polygons_geojson(path: Path, count: int) -> None:
    """Outlines of `CORNERS` corners, as QuPath writes cells."""
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def outline(x: float, y: float, radius: float) -> dict[str, Any]:
        corners = (ring * radius + (x, y)).round(2).tolist()
        return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}

    _write_features(path, count, outline)


def _write_features(
    path: Path,
    count: int,
    geometry_of: Callable[[float, float, float], dict[str, Any]],
) -> None:
    samples = random.Random(0)
    with path.open("w") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number in range(count):
            x, y = _place(samples)
            feature = {
                "type": "Feature",
                "id": f"{number:08x}-0000-4000-8000-000000000000",
                "geometry": geometry_of(x, y, samples.uniform(10, 20)),
                "properties": {
                    "objectType": "detection",
                    "classification": {"name": samples.choice(CLASSES), "color": [200, 0, 0]},
                },
            }
            file.write(("," if number else "") + json.dumps(feature))
        file.write("]}")


def _place(samples: random.Random) -> tuple[float, float]:
    x = round(samples.uniform(30, SLIDE_PX - 30), 2)
    y = round(samples.uniform(30, SLIDE_PX - 30), 2)
    return x, y


def multipolygon_geojson(path: Path, count: int) -> None:
    """One MultiPolygon a class, as CellViT writes a slide."""
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    samples = random.Random(0)
    with path.open("w") as file:
        for index, name in enumerate(CLASSES):
            file.write("[" if index == 0 else ",")
            file.write('{"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [')
            for number in range(count // len(CLASSES) + (index < count % len(CLASSES))):
                corners = (ring * samples.uniform(10, 20) + _place(samples)).round(2).tolist()
                file.write(("," if number else "") + json.dumps([[*corners, corners[0]]]))
            properties = {"objectType": "annotation", "classification": {"name": name}}
            file.write("]}, " + f'"properties": {json.dumps(properties)}' + "}")
        file.write("]")


def csv_points(path: Path, count: int) -> None:
    """`x,y,class`."""
    samples = random.Random(0)
    with path.open("w") as file:
        file.write("x,y,class\n")
        for _ in range(count):
            x, y = _place(samples)
            file.write(f"{x},{y},{samples.choice(CLASSES)}\n")


def cells_json(path: Path, count: int) -> None:
    """HoVer-Net's `nuc`, with the outline of each nucleus."""
    samples = random.Random(0)
    with path.open("w") as file:
        file.write('{"mag": 40, "nuc": {')
        for number in range(count):
            x, y = _place(samples)
            corners = [[int(x) + step, int(y) - step] for step in range(CORNERS)]
            entry = {
                "bbox": [[int(y), int(x)], [int(y) + 20, int(x) + 20]],
                "centroid": [x, y],
                "contour": corners,
                "type_prob": 0.9,
                "type": samples.randint(1, 4),
            }
            file.write(("," if number else "") + f'"{number + 1}": {json.dumps(entry)}')
        file.write("}}")


FORMS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "GeoJSON points": (".geojson", points_geojson),
    "GeoJSON polygons": (".geojson", polygons_geojson),
    "GeoJSON MultiPolygon a class": (".geojson", multipolygon_geojson),
    "CSV": (".csv", csv_points),
    "cells JSON": (".json", cells_json),
}
COUNTS = (1_000_000, 5_000_000)


def slide_tiff(path: Path, *, pyramid: bool) -> None:
    """A slide of tissue-like texture on glass, JPEG, written tile by tile."""
    levels = [SLIDE_PX]
    while pyramid and levels[-1] > 1000:
        levels.append(levels[-1] // 4)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for index, side in enumerate(levels):
            mpp = MPP * SLIDE_PX / side
            writer.write(
                _tiles(side, 4**index),
                shape=(side, side, 3),
                dtype=np.uint8,
                photometric="rgb",
                compression="jpeg",
                resolution=(1e4 / mpp, 1e4 / mpp),
                resolutionunit="CENTIMETER",
                subfiletype=int(index > 0),
                metadata=None,
                tile=(512, 512),
            )


def _texture() -> np.ndarray:
    """(1024, 1024, 3) uint8: pink ground, purple nuclei."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:1024, :1024]
    picture = np.array([225.0, 160.0, 200.0]) + rng.normal(0, 6, (1024, 1024, 1))
    for cx, cy in rng.uniform(20, 1004, (900, 2)):
        top, left = int(cy) - 12, int(cx) - 12
        cut = np.s_[max(top, 0) : top + 25, max(left, 0) : left + 25]
        inside = (x[cut] - cx) ** 2 + (y[cut] - cy) ** 2 < 90
        picture[cut][inside] = (105, 70, 150)
    return picture.clip(0, 255).astype(np.uint8)


def _tiles(side: int, step: int) -> Iterator[np.ndarray]:
    texture = (
        np.ascontiguousarray(_texture()[::step, ::step]) if step < 64 else _texture()[:16, :16]
    )
    large = np.tile(texture, (1 + 512 // len(texture) * 2, 1 + 512 // len(texture) * 2, 1))
    glass = np.full((512, 512, 3), 245, np.uint8)
    count = -(-side // 512)
    for row in range(count):
        for column in range(count):
            is_tissue = count * 0.2 <= row <= count * 0.8 and count * 0.2 <= column <= count * 0.8
            yield np.ascontiguousarray(large[:512, :512]) if is_tissue else glass


SLIDES: dict[str, dict[str, Any]] = {
    "tiled, pyramid": {"pyramid": True},
    "tiled, one level": {"pyramid": False},
}
RECIPE = """
slides = ["slide.tif"]
[tiles]
size = 256
mpp = {mpp}
[tissue]
mpp = 8.0
"""


def measured(arguments: list[str]) -> tuple[int, str, float, float]:
    """Exit status, output, seconds and largest resident memory in MB of a Python process."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    seconds = time.monotonic() - begin
    return process.returncode, text, seconds, usage.ru_maxrss / 1024


def read_large_file(form: str, count: int, folder: Path) -> dict[str, Any]:
    """Make and read one file of nuclei."""
    suffix, write = FORMS[form]
    path = folder / f"large{suffix}"
    write(path, count)
    size = path.stat().st_size
    status, text, seconds, peak = measured(["-c", READ_NUCLEI, str(path)])
    path.unlink()
    is_right = status == 0 and text.strip() == str(count)
    return _row(f"{form}, {size / 1e6:,.0f} MB", count, seconds, peak, is_right, text)


def run_large_slide(name: str, folder: Path, mpp: float = 4.0) -> Iterator[dict[str, Any]]:
    """Make one slide, and run the verbs that read slides on it."""
    path = folder / "slide.tif"
    slide_tiff(path, **SLIDES[name])
    (folder / "recipe.toml").write_text(RECIPE.format(mpp=mpp))
    out = folder / "out"
    verbs = {
        "prepare inspect": ["inspect", str(path)],
        "prepare run": ["run", str(folder / "recipe.toml"), "--out", str(out), "--engine", "local"],
    }
    for verb, arguments in verbs.items():
        command = ["-c", RUN_PROGRAM, "prepare", *arguments]
        status, text, seconds, peak = measured(command)
        what = f"{SLIDE_PX:,} px slide, {name}: {verb}"
        yield _row(what, SLIDE_PX**2, seconds, peak, status == 0, text)
    path.unlink()


def _row(
    what: str,
    items: int,
    seconds: float,
    peak_mb: float,
    is_right: bool,
    text: str,
) -> dict[str, Any]:
    return {
        "what": what,
        "items": items,
        "seconds": round(seconds, 1),
        "peak_mb": round(peak_mb),
        "tried": 1,
        "accepted": int(is_right),
        "refused": int(not is_right and "Traceback" not in text),
        "tracebacks": int("Traceback" in text),
        "failures": [] if is_right else [{"what": what, "output": text[-2000:]}],
    }


def run() -> list[dict[str, Any]]:
    """One row a file: what, items, seconds, peak_mb."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="large-", dir=os.environ.get("HOSTILE_FOLDER")) as name:
        folder = Path(name)
        for count in COUNTS:
            rows += [read_large_file(form, count, folder) for form in FORMS]
        for index, slide in enumerate(SLIDES):
            inner = folder / f"slide-{index}"
            inner.mkdir()
            rows += run_large_slide(slide, inner)
    return rows
