"""An evaluation cut into jobs of an engine, and their results gathered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.errors import BadOption, BadPairing
from ...core.images import IMAGE_SUFFIXES
from ...core.pairing import list_files
from ...core.progress import ProgressCallback
from ...engine import Engine
from ...metrics import METRICS, with_dependencies
from ...metrics.metric import Need
from ...metrics.sample import Sample
from ..config import EvaluationConfig
from ..inputs.checks import MIN_TILES
from ..inputs.collections import Collection
from ..inputs.items import Item, spread_over
from ..inputs.opening import OpenedInputs
from .copy_search import TEXTURE, SearchJob, search_key
from .measure import TILES_PER_JOB, MeasureJob, gather

MAX_LEFT_OUT = 256
"""Training crops that are searched for among the other patients' tissue: how alike tissue is by
chance."""
MaskAndOriginal = tuple[Path, Item]


@dataclass(frozen=True)
class _Side:
    """The tiles of one side, the metrics to measure on them, and their masks."""

    name: str
    collection: Collection
    metrics: frozenset[str]
    masks: dict[str, MaskAndOriginal]


def measure_jobs(
    opened: OpenedInputs,
    config: EvaluationConfig,
    folder: Path,
) -> dict[str, list[MeasureJob]]:
    """Jobs by side: real, synthetic, reference (crops), left_out (some of them), library (whole
    training tiles).
    """
    return {side.name: _jobs(side, opened, folder) for side in _sides(opened, config)}


def search_jobs(
    jobs: dict[str, list[MeasureJob]],
    opened: OpenedInputs,
    folder: Path,
) -> dict[str, list[SearchJob]]:
    """Search jobs of synthetic and real tiles, and of some training crops among other patients."""
    library = jobs["library"]
    crops = jobs["reference"]
    library_keys = [job.key for job in library]
    crop_keys = [job.key for job in crops]
    side_um = min(opened.synthetic.size) * opened.synthetic.items[0].mpp
    searches: dict[str, list[SearchJob]] = {}
    for side in ("synthetic", "real", "left_out"):
        leave_out = side == "left_out"
        searches[side] = [
            SearchJob(
                source=job.path,
                library=tuple(each.path for each in library),
                crops=tuple(each.path for each in crops),
                side_um=side_um,
                leave_out_own_patient=leave_out,
                key=search_key(
                    job.key,
                    library_keys,
                    crop_keys,
                    side_um,
                    leave_out,
                ),
                path=folder / f"{job.path.stem}-copies.safetensors",
            )
            for job in jobs[side]
        ]
    return searches


def gathered(
    jobs: dict[str, list[MeasureJob]], opened: OpenedInputs
) -> tuple[dict[str, Sample], dict[str, str]]:
    """Measurements by side, and refused tiles with their reason.

    Raises:
        BadOption: too few tiles are left.
    """
    samples: dict[str, Sample] = {}
    refused: dict[str, str] = {}
    collections = {
        "real": opened.real,
        "synthetic": opened.synthetic,
        "reference": opened.reference,
    }
    for side, pieces in jobs.items():
        sample, failed = gather(pieces, without=(TEXTURE,))
        samples[side] = sample
        collection = collections.get(side)
        if collection is None:
            continue
        failed = collection.refused | failed
        refused |= {f"{side} {name}": reason for name, reason in failed.items()}
        if side != "reference" and len(sample) < MIN_TILES:
            raise _too_few(collection, len(sample), failed)
    return samples, refused


def run_all(
    engine: Engine,
    work: Callable[[Any], int],
    jobs: Iterable[Any],
    on_progress: ProgressCallback | None,
) -> None:
    """Run the jobs that are not done; `on_progress` is called with (jobs done, all jobs)."""
    every = list(jobs)
    open_jobs = [job for job in every if not job.done()]
    done = len(every) - len(open_jobs)
    if on_progress and open_jobs:
        on_progress(done, len(every))
    for _ in engine.map(work, open_jobs):
        done += 1
        if on_progress:
            on_progress(done, len(every))


def _sides(opened: OpenedInputs, config: EvaluationConfig) -> list[_Side]:
    """What is measured of which side."""
    of_masks = {name for name in opened.metrics if Need.MASKS in METRICS[name].needs}
    of_tiles = frozenset(with_dependencies(opened.metrics)) - of_masks
    masks = _masks(config, opened) if of_masks else {}
    sides = [
        _Side("real", opened.real, of_tiles, {}),
        _Side(
            "synthetic",
            opened.synthetic,
            of_tiles | of_masks,
            masks,
        ),
    ]
    if opened.reference is None or opened.library is None:
        return sides
    sides.append(
        _Side(
            "reference",
            opened.reference,
            of_tiles - {"copying"},
            {},
        )
    )
    if "copying" in of_tiles:
        some = spread_over(opened.reference.items, MAX_LEFT_OUT)
        left_out = replace(opened.reference, items=some)
        sides.append(
            _Side(
                "left_out",
                left_out,
                frozenset(with_dependencies(["copying"])),
                {},
            )
        )
        sides.append(
            _Side(
                "library",
                opened.library,
                frozenset({"copying"}),
                {},
            )
        )
    return sides


def _jobs(
    side: _Side,
    opened: OpenedInputs,
    folder: Path,
) -> list[MeasureJob]:
    metrics = tuple(name for name in METRICS if name in side.metrics)
    jobs = []
    items = side.collection.items
    for number, start in enumerate(range(0, len(items), TILES_PER_JOB)):
        part = items[start : start + TILES_PER_JOB]
        masks = tuple(side.masks[item.name] for item in part) if side.masks else ()
        path = folder / f"{side.name}-{number:05d}.safetensors"
        jobs.append(
            MeasureJob(
                part,
                metrics,
                opened.measurement,
                path,
                masks,
            )
        )
    return jobs


def _masks(config: EvaluationConfig, opened: OpenedInputs) -> dict[str, MaskAndOriginal]:
    """Mask and original of each synthetic tile, by its name.

    Raises:
        BadPairing: a tile has none.
    """
    files = {path.stem: path for path in list_files(config.masks or Path(), IMAGE_SUFFIXES)}
    originals = {(item.stem, item.box): item for item in opened.real.items}
    masks = {}
    missing = []
    for item in opened.synthetic.items:
        original = originals.get((item.stem, item.box))
        if item.stem not in files or original is None:
            missing.append(item.stem)
        else:
            masks[item.name] = (files[item.stem], replace(original, points=None))
    if missing:
        raise BadPairing("mask and real tile", missing, [])
    return masks


def _too_few(
    collection: Collection,
    usable: int,
    refused: dict[str, str],
) -> BadOption:
    name, reason = next(iter(refused.items()))
    found = (
        f"a set of which {usable} of {len(collection.items)} tiles can be used ({name}: {reason})"
    )
    return BadOption(str(collection.path), found, f"at least {MIN_TILES}")
