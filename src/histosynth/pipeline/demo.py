"""`demo`: the main verbs without any input: a layout, tiles in four stains, damage, completions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from ..core.condition import Condition, Context
from ..core.geometry import Size
from ..core.nuclei import Nuclei
from ..core.progress import ProgressCallback
from ..core.seeds import check_seed
from ..core.synthetic import Synthetic
from ..model.bundle import Bundle
from ..model.opening import open_bundle
from ..sampling.complete import complete
from ..sampling.settings import default_settings
from ..sampling.synthesize import synthesize
from ..tissue.layout import draw_layout
from ..tissue.masks import SHAPES
from .demo_files import DemoFiles
from .demo_page import DemoPictures

SIZE = Size(256, 256)
MAX_STAINS = 4
MASK_SHAPES = ("blob", "tear", "strokes", "fold")


class DemoResult(TypedDict):
    """Paths of the demo's results, the number of its pictures, and how long it took."""

    contact: str
    report: str
    images: str
    nuclei: str
    pictures: int
    seconds: float
    bundle: str


def run_demo(
    out: Path,
    *,
    bundle: Bundle | Path | None = None,
    seed: int = 0,
    on_progress: ProgressCallback | None = None,
) -> DemoResult:
    """Write the demo's pictures to `out`.

    Args:
        out: folder for `contact.png`, `report.html`, `images/` and the nuclei. `demo.json` there
            names the files of a demo by sha256: no other file is ever replaced.
        bundle: the networks, or their folder; None: the compact bundle.
        seed: source of the layout, the masks and the noise.
        on_progress: called with (done, total) solver steps of the whole demo.

    Raises:
        NotWritable: a file has a result's name and was not written by a demo, or was changed since.
    """
    began = time.monotonic()
    check_seed(seed)
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    files = DemoFiles(out, min(MAX_STAINS, len(opened.info.palette)))
    files.refuse_foreign()
    nuclei = draw_layout(SIZE, mpp=opened.info.mpp, seed=seed)
    files.write_nuclei(nuclei)
    tiles = _synthesize(opened, nuclei, seed, _half(on_progress, 0))
    damaged = _damage(tiles, nuclei, seed)
    files.write_tiles(tiles, damaged)
    completed = _complete(opened, damaged, seed + 1, _half(on_progress, 1))
    files.write_completed(completed)
    pictures = DemoPictures(nuclei, tiles, damaged, completed)
    files.write_overview(pictures, seed=seed)
    return {
        "contact": str(files.contact),
        "report": str(files.report),
        "images": str(files.images),
        "nuclei": str(files.nuclei_csv),
        "pictures": len(pictures.results()),
        "seconds": round(time.monotonic() - began, 2),
        "bundle": opened.info.name,
    }


def _synthesize(
    bundle: Bundle,
    nuclei: Nuclei,
    seed: int,
    on_progress: ProgressCallback | None,
) -> list[Synthetic]:
    """A tile of the nuclei in each of the palette's first stains."""
    appearances = [entry.appearance for entry in bundle.info.palette[:MAX_STAINS]]
    pictures = synthesize(
        bundle,
        [Condition(nuclei, SIZE)] * len(appearances),
        appearances,
        seed=seed,
        variants=1,
        settings=default_settings(bundle, "synthesize"),
        batch=MAX_STAINS,
        on_progress=on_progress,
    )
    in_order = sorted(pictures, key=lambda each: each[0])
    return [picture for _, _, picture in in_order]


def _damage(tiles: Sequence[Synthetic], nuclei: Nuclei, seed: int) -> list[Condition]:
    """Each tile with a mask of another shape."""
    random = np.random.default_rng(seed)
    damaged = []
    for tile, shape in zip(tiles, MASK_SHAPES, strict=False):
        mask = SHAPES[shape](random, SIZE.height, SIZE.width)
        context = Context(tile.pixels.copy(), mask)
        damaged.append(Condition(nuclei, SIZE, None, context))
    return damaged


def _complete(
    bundle: Bundle,
    damaged: Sequence[Condition],
    seed: int,
    on_progress: ProgressCallback | None,
) -> list[Synthetic]:
    """The damaged tiles, completed."""
    pictures = complete(
        bundle,
        damaged,
        seed=seed,
        settings=default_settings(bundle, "complete"),
        batch=MAX_STAINS,
        on_progress=on_progress,
    )
    return [picture for _, picture in sorted(pictures, key=lambda each: each[0])]


def _half(on_progress: ProgressCallback | None, half: int) -> ProgressCallback | None:
    """Progress of the first (0) or second (1) half, as progress of the whole."""
    if on_progress is None:
        return None
    return lambda done, total: on_progress(half * total + done, 2 * total)
