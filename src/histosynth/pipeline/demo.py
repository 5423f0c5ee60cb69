"""`demo`: the main verbs without any input: a layout, tiles in four stains, damage, completions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TypedDict

from ..core.folder_lock import in_own_folder
from ..core.progress import ProgressCallback
from ..core.seeds import check_seed
from ..core.shipped import COMPACT
from ..model.bundle import Bundle
from ..tissue.layout import draw_layout
from .default_bundle import bundle_for
from .demo_files import DemoFiles
from .demo_pictures import (
    MAX_STAINS,
    SIZE,
    DemoPictures,
    complete_tiles,
    damage_tiles,
    synthesize_tiles,
)


class DemoResult(TypedDict):
    """Paths of the demo's results, the number of its pictures, and how long it took."""

    contact: str
    report: str
    images: str
    nuclei: str
    pictures: int
    seconds: float
    bundle: str


@in_own_folder
def run_demo(
    out: Path,
    *,
    bundle: Bundle | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    dtype: str | None = None,
    on_progress: ProgressCallback | None = None,
) -> DemoResult:
    """Write the demo's pictures to `out`.

    Args:
        out: folder for `contact.png`, `report.html`, `images/` and the nuclei. `demo.json` there
            names the files of a demo by sha256: no other file is ever replaced.
        bundle: the networks, or their folder; None: the compact bundle.
        seed: source of the layout, the masks and the noise.
        device: where to compute; None: a GPU if there is one.
        dtype: number type; None: bf16 where it is faster.
        on_progress: called with (complete, all) pictures of the whole demo.

    Raises:
        NotWritable: a file has a result's name and was not written by a demo, or was changed since.
    """
    began = time.monotonic()
    check_seed(seed)
    opened = bundle_for(bundle or COMPACT, device, dtype)
    files = DemoFiles(out, min(MAX_STAINS, len(opened.info.palette)))
    files.refuse_foreign()
    nuclei = draw_layout(SIZE, mpp=opened.info.mpp, seed=seed)
    files.write_nuclei(nuclei)
    tiles = synthesize_tiles(opened, nuclei, seed, _half(on_progress, 0))
    damaged = damage_tiles(tiles, nuclei, seed)
    files.write_tiles(tiles, damaged)
    completed = complete_tiles(opened, damaged, seed + 1, _half(on_progress, 1))
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


def _half(on_progress: ProgressCallback | None, half: int) -> ProgressCallback | None:
    """Progress of the first (0) or second (1) half, as progress of the whole."""
    if on_progress is None:
        return None
    return lambda done, total: on_progress(half * total + done, 2 * total)
