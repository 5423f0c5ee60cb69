"""A question cut into pieces of work for an engine, and what came of them gathered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Collection as Several
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...core.errors import BadOption, BadPairing
from ...core.pairing import list_files
from ...core.progress import ProgressCallback
from ...core.tile import IMAGE_SUFFIXES
from ...engine import Engine
from ...metrics.sample import Sample
from ...metrics.tile_measures import WHAT
from ..inputs.collections import Collection
from ..inputs.config import LEAST, EvaluationConfig, OpenedInputs
from ..inputs.items import Item, spread_over
from .copy_search import TEXTURE, SearchJob, search_key
from .measuring import TILES, MeasureJob, Plan, gather

WORDS = {
    "real": "real",
    "synthetic": "synthetic",
    "reference": "reference",
}
LEFT_OUT = 256
"""Training crops that are looked up among the other patients', to say how alike tissues are by
chance."""


def measure_jobs(
    opened: OpenedInputs, config: EvaluationConfig, folder: Path
) -> dict[str, list[MeasureJob]]:
    """Pieces of work by side: real, made, reference (crops), left_out (some), library (whole
    tiles).
    """
    what = set(opened.what) - {"mending"}
    if "copying" in what:
        what.add("realism")  # features shorten the search and say how near the set keeps
    masks = _holes(config, opened) if "mending" in opened.what else {}
    sides: dict[str, tuple[Collection, Several[str], dict[str, tuple[Path, Item]]]] = {
        "real": (opened.real, what, {}),
        "synthetic": (opened.synthetic, what | ({"mending"} if masks else set()), masks),
    }
    if opened.reference is not None and opened.library is not None:
        sides["reference"] = (opened.reference, what - {"copying"}, {})
        if "copying" in what:
            some = replace(opened.reference, items=spread_over(opened.reference.items, LEFT_OUT))
            sides["left_out"] = (some, {"realism", "copying"}, {})
            sides["library"] = (opened.library, {"copying"}, {})
    return {
        side: _pieces(
            side,
            collection,
            metrics,
            opened.plan,
            folder=folder,
            masks=masks,
        )
        for side, (collection, metrics, masks) in sides.items()
    }


def search_jobs(
    jobs: dict[str, list[MeasureJob]], opened: OpenedInputs, folder: Path
) -> dict[str, list[SearchJob]]:
    """Pieces of work: made and real tiles, and some training crops among other patients' tissue."""
    library = jobs["library"]
    crops = jobs["reference"]
    side_um = min(opened.synthetic.size) * opened.synthetic.items[0].mpp
    out: dict[str, list[SearchJob]] = {}
    for side in ("synthetic", "real", "left_out"):
        out[side] = []
        for job in jobs[side]:
            apart = side == "left_out"
            key = search_key(
                job.key,
                [each.key for each in library],
                [each.key for each in crops],
                side_um,
                apart,
            )
            files = tuple(each.path for each in library), tuple(each.path for each in crops)
            path = folder / f"{job.path.stem}-copies.safetensors"
            out[side].append(SearchJob(job.path, *files, side_um, apart, key, path))
    return out


def _pieces(
    side: str,
    collection: Collection,
    what: Several[str],
    plan: Plan,
    *,
    folder: Path,
    masks: dict[str, tuple[Path, Item]],
) -> list[MeasureJob]:
    out = []
    metrics = tuple(name for name in WHAT if name in what)
    for number, start in enumerate(range(0, len(collection.items), TILES)):
        items = collection.items[start : start + TILES]
        pairs = tuple(masks[item.name] for item in items) if masks else ()
        out.append(
            MeasureJob(
                items,
                metrics,
                plan,
                folder / f"{side}-{number:05d}.safetensors",
                pairs,
            )
        )
    return out


def _holes(config: EvaluationConfig, opened: OpenedInputs) -> dict[str, tuple[Path, Item]]:
    """Mask and original of each synthetic tile, by its stem.

    Raises:
        BadPairing: a tile has none.
    """
    masks = {path.stem: path for path in list_files(config.masks or Path(), IMAGE_SUFFIXES)}
    originals = {(item.stem, item.box): item for item in opened.real.items}
    missing = [
        item.stem
        for item in opened.synthetic.items
        if item.stem not in masks or (item.stem, item.box) not in originals
    ]
    if missing:
        raise BadPairing("hole and real tile", missing, [])
    return {
        item.name: (masks[item.stem], replace(originals[item.stem, item.box], points=None))
        for item in opened.synthetic.items
    }


def gathered(
    jobs: dict[str, list[MeasureJob]], opened: OpenedInputs
) -> tuple[dict[str, Sample], dict[str, str]]:
    """What was measured by side, and what was refused.

    Raises:
        BadOption: too few tiles are left.
    """
    samples: dict[str, Sample] = {}
    refused: dict[str, str] = {}
    sides = {
        "real": opened.real,
        "synthetic": opened.synthetic,
        "reference": opened.reference,
    }
    for side, pieces in jobs.items():
        sample, bad = gather(pieces, without=(TEXTURE,))
        collection = sides.get(side)
        samples[side] = sample
        if collection is not None:
            bad = collection.refused | bad
            refused |= {f"{WORDS[side]} {name}": why for name, why in bad.items()}
        if side in ("real", "synthetic") and collection is not None and len(sample) < LEAST:
            name, why = next(iter(bad.items()))
            found = (
                f"a set of which {len(sample)} of {len(collection.items)} tiles can be "
                f"used ({name}: {why})"
            )
            raise BadOption(str(collection.path), found, f"at least {LEAST}")
    return samples, refused


def run_all(
    engine: Engine,
    work: Callable[[Any], int],
    jobs: Sequence[Any],
    on_progress: ProgressCallback | None,
) -> None:
    """Do what is not done yet; `on_progress` is told (pieces done, pieces)."""
    todo = [job for job in jobs if not job.done()]
    done = len(jobs) - len(todo)
    if on_progress and todo:
        on_progress(done, len(jobs))
    for _ in engine.map(work, todo):
        done += 1
        if on_progress:
            on_progress(done, len(jobs))
