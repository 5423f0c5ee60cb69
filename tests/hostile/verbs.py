"""Verbs of the command line on small inputs, run in forked processes: imports are paid once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from histosynth.core.own_files import OWN_RECORD

LIMIT_S = 120
SIDE = 128


@dataclass(frozen=True)
class Verb:
    """A verb, its arguments (of the folder of inputs, and the output), and what may differ.

    Attributes:
        name: of the verb.
        arguments: of the folder of inputs and the output.
        ignored: names of files with times in them.
        timed: JSON that states how many seconds a run took, which may differ.
        once: that a second run on a finished output is refused, for it replaces nothing.
    """

    name: str
    arguments: Callable[[Path, Path], Sequence[object]]
    ignored: frozenset[str] = frozenset()
    timed: frozenset[str] = frozenset()
    once: bool = False


def _sampled(inputs: Path) -> list[object]:
    return ["--bundle", inputs / "bundle", "--steps", 1, "--batch", 1, "-q"]


VERBS = (
    Verb(
        "synthesize",
        lambda inputs, out: [
            *("synthesize", "--nuclei", inputs / "cells", "--size", SIDE, "--out", out),
            *_sampled(inputs),
        ],
    ),
    Verb(
        "synthesize labels",
        lambda inputs, out: [
            *("synthesize", "--nuclei", inputs / "cells", "--size", SIDE, "--out", out),
            *("--labels", "csv,geojson,coco,yolo", *_sampled(inputs)),
        ],
    ),
    Verb(
        "synthesize tile set",
        lambda inputs, out: [
            *("synthesize", "--nuclei", inputs / "cells", "--size", SIDE, "--out", out),
            *("--format", "tileset", *_sampled(inputs)),
        ],
    ),
    Verb(
        "complete",
        lambda inputs, out: [
            *("complete", "--image", inputs / "images", "--mask", inputs / "masks"),
            *("--no-exemplar", "--out", out, *_sampled(inputs)),
        ],
    ),
    Verb(
        "train",
        lambda inputs, out: ["train", inputs / "recipe.toml", "--out", out, "-q"],
        frozenset({"log.jsonl"}),
    ),
    Verb(
        "prepare tiles",
        lambda inputs, out: [
            *("prepare", "tiles", inputs / "slide.tiff", "--size", 256),
            *("--engine", "local", "--out", out, "-q"),
        ],
    ),
    Verb(
        "prepare stain",
        lambda inputs, out: [
            *("prepare", "stain", inputs / "images", "--out", out, "-q"),
        ],
    ),
    Verb(
        "bundle pack",
        lambda inputs, out: ["bundle", "pack", inputs / "bundle", "--out", out, "-q"],
        once=True,
    ),
    Verb(
        "bundle unpack",
        lambda inputs, out: ["bundle", "unpack", inputs / "bundle.zip", "--out", out, "-q"],
        once=True,
    ),
    Verb(
        "bundle export",
        lambda inputs, out: ["bundle", "export", inputs / "bundle", "--out", out, "-q"],
        once=True,
    ),
    Verb(
        "prepare run",
        lambda inputs, out: [
            *("prepare", "run", inputs / "prepare.toml", "--engine", "local"),
            *("--out", out, "-q"),
        ],
    ),
    Verb(
        "prepare nuclei",
        lambda inputs, out: [
            *("prepare", "nuclei", inputs / "images", "--mpp", 0.5, "--out", out, "-q"),
        ],
    ),
    Verb(
        "prepare quality check",
        lambda inputs, out: [
            *("prepare", "quality", "check", inputs / "images", "--mpp", 0.5),
            *("--out", out, "-q"),
        ],
    ),
    Verb(
        "prepare split",
        lambda inputs, out: ["prepare", "split", inputs / "table.csv", "--out", out, "-q"],
    ),
    Verb(
        "evaluate",
        lambda inputs, out: [
            *("evaluate", inputs / "images", inputs / "others", "--mpp", 0.5),
            *("--metrics", "stain,quality", "--engine", "local", "--out", out, "-q"),
        ],
        ignored=frozenset({"report.html", OWN_RECORD}),
        timed=frozenset({"report.json"}),
    ),
    Verb(
        "demo",
        lambda inputs, out: ["demo", "--bundle", inputs / "bundle", "--out", out, "-q"],
    ),
)


@contextmanager
def inputs_in_a_folder() -> Iterator[tuple[Path, Path]]:
    """A temporary folder, and the inputs of all verbs in it; what verbs import is loaded."""
    load()
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        inputs = Path(name) / "inputs"
        inputs.mkdir()
        write_inputs(inputs)
        yield Path(name), inputs


def new_row(what: str, trials: int) -> dict[str, Any]:
    """A row of the table before anything was tried."""
    counted = ("refused", "accepted", "tracebacks", "hangs", "half_written", "unequal")
    return {"what": what, "tried": trials, "failures": [], **dict.fromkeys(counted, 0)}


def write_inputs(folder: Path) -> None:
    """Small inputs of all verbs."""
    from glass import tissue, write_slide

    from histosynth.annotation.nuclei_files import write_csv
    from histosynth.core.images import write_mask
    from histosynth.model.packing import pack
    from histosynth.testing import tiny_bundle
    from histosynth.tissue.layout import draw_layout

    tiny_bundle().save(folder / "bundle")
    mask = np.zeros((SIDE, SIDE), bool)
    mask[40:80, 40:80] = True
    lines = []
    for index in range(4):
        nuclei = draw_layout((SIDE, SIDE), mpp=0.5, seed=index)
        write_csv(folder / "cells" / f"P{index}_t.csv", nuclei)
        for name, seed in (("images", index), ("others", 10 + index)):
            (folder / name).mkdir(exist_ok=True)
            pixels, _ = tissue(SIDE, SIDE, seed=seed)
            Image.fromarray(pixels).save(folder / name / f"P{index}_t.png")
        write_mask(folder / "masks" / f"P{index}_t.png", mask)
        lines.append(f"P{index}_t.png")
    (folder / "train.txt").write_text("\n".join(lines[:3]))
    (folder / "val.txt").write_text(lines[3])
    write_slide(folder / "slide.tiff", width=700, height=600)
    (folder / "recipe.toml").write_text(_recipe(folder))
    (folder / "prepare.toml").write_text(
        'slides = ["slide.tiff"]\ntiles.size = 128\nnuclei.source = "blobs"\n'
    )
    rows = [f"s{number},P{number // 2},{'ab'[number % 4 // 2]}" for number in range(24)]
    (folder / "table.csv").write_text("slide,patient,label\n" + "\n".join(rows) + "\n")
    pack(folder / "bundle", folder / "bundle.zip")


def _recipe(folder: Path) -> str:
    from small import DATA, LOOP, SMALL_AUTOENCODER, SOURCE

    text = 'task = "autoencoder"\nseed = 3\n[loop]\n' + LOOP.format(steps=8, every=4)
    text += "trackers = []\n" + DATA.format(root=folder)
    for side, members in (("train", "train.txt"), ("validation", "val.txt")):
        text += f"[[data.{side}]]\n{SOURCE.format(members=members)}"
    return text + SMALL_AUTOENCODER


def load() -> None:
    """Import what the verbs import, so that forks begin at once."""
    import torch

    import histosynth.cli.main
    import histosynth.pipeline.complete_files
    import histosynth.pipeline.synthesize_files
    import histosynth.pipeline.train  # noqa: F401

    torch.set_num_threads(1)


def start(
    verb: Verb,
    inputs: Path,
    out: Path,
    shown: Path,
) -> int:
    """Start a verb in a process of its own, whose stdout and stderr go to a file; its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        handle = os.open(shown, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout = os.fdopen(os.dup(1), "w", buffering=1)
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
        sys.argv = ["histosynth", *map(str, verb.arguments(inputs, out))]
        from histosynth.cli.main import run

        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stderr.flush()
        os._exit(code)


def end_of(process: int, limit_s: float = LIMIT_S) -> int:
    """How a process ended: its code, or minus the signal that ended it; it is killed at a limit."""
    limit = time.monotonic() + limit_s
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > limit:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.005)


def contents(out: Path, verb: Verb) -> dict[str, str]:
    """sha256 of every file of an output, by its path, hidden ones too."""
    paths = [out] if out.is_file() else sorted(out.rglob("*"))
    found = {}
    for path in paths:
        if path.is_file() and path.name not in verb.ignored:
            name = "" if path == out else path.relative_to(out).as_posix()
            content = path.read_bytes()
            if path.name in verb.timed:
                content = _without_seconds(content)
            if path.name == OWN_RECORD:
                content = _last_lines(content)
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def _without_seconds(content: bytes) -> bytes:
    """A report without the time that it took."""
    report = json.loads(content)
    report["created"].pop("seconds")
    return json.dumps(report, sort_keys=True).encode()


def _last_lines(content: bytes) -> bytes:
    """The record of what was written, without what a stopped run wrote and the next replaced."""
    entries = [json.loads(line) for line in content.splitlines() if line.strip()]
    last = {entry["name"]: entry for entry in entries}
    return json.dumps(last, sort_keys=True).encode()


def half_written(out: Path) -> list[str]:
    """Pictures, JSON and tables that cannot be read to their end, once a run was killed.

    Hidden ones are temporary files: the next run removes them, and nobody reads them before.
    """
    paths = [path for path in sorted(out.rglob("*")) if not path.name.startswith(".")]
    return [path.name for path in paths if not _is_whole(path)]


def _is_whole(path: Path) -> bool:
    """Whether a file can be read to its end; True for files of other formats."""
    try:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".parquet":
            return path.read_bytes()[-4:] == b"PAR1"
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
    except (OSError, ValueError, SyntaxError):
        return False
    return True


def moment(generator: random.Random, seconds: float) -> float:
    """A random moment of a run that takes so long."""
    return generator.uniform(0, 1.1 * seconds)
