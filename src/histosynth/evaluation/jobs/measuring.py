"""The one piece of work of `evaluate`: measure some tiles of one side, write what was measured.

A function of a module over one picklable job, so that any engine can run it; it writes one
safetensors file, whole or not at all, that says which job made it. A tile that cannot be read is
refused with its reason, and the others go on.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ...core.errors import BadRun, HistosynthError, SizeMismatch
from ...core.nuclei import ANY_CLASS
from ...core.store import atomic_write, digest
from ...core.tile import Mask, Pixels, read_mask
from ...core.version import __version__
from ...detectors.detector import Detector
from ...detectors.opening import detector_name, open_detector
from ...encoders.encoder import Encoder
from ...encoders.opening import open_encoder, open_perceptual
from ...engine.threads import one_thread
from ...metrics import tile_measures as measures
from ...metrics.blob_features import RingClassifier
from ...metrics.sample import Sample, TileMeasurements, Values
from ..inputs.items import Item, content, read_item, read_items, spread_over

TILES = 64
"""Of a piece of work."""
FITTED = 96
"""Real tiles that the judge of classes by rings is fitted on."""


@dataclass(frozen=True)
class Plan:
    """What is measured, the same for all tiles of all sides."""

    classes: tuple[str, ...] = ()
    mapping: tuple[tuple[str, str], ...] = ()
    encoder: str = "histo"
    weights: Path | None = None
    bf16: bool = False
    perceptual: str = "histo"
    perceptual_weights: Path | None = None
    detectors: tuple[str, ...] = ("centroids", "blobs")
    nima: Path | None = None
    seen_with: tuple[str, ...] = ()
    """Digests of the weights of encoder and perceptual distance."""
    rings: tuple[tuple[str, tuple[float, ...], tuple[int, ...]], ...] = ()
    """The judge of classes by rings, as plain numbers: name, values and shape of each array."""

    def open_encoder(self) -> Encoder:
        """What features are taken with."""
        return open_encoder(self.encoder, weights=self.weights, bf16=self.bf16)


@dataclass(frozen=True)
class MeasureJob:
    """Measure some tiles.

    Attributes:
        items: the tiles.
        what: the judges that shall have something to see, of `measures.WHAT`.
        masks: mask and original of each item, by stem; for `mending`.
        path: of the file to write.
    """

    items: tuple[Item, ...]
    what: tuple[str, ...]
    plan: Plan
    path: Path
    masks: tuple[tuple[Path, Item], ...] = ()

    @cached_property
    def key(self) -> str:
        """Changes with whatever may change the result."""
        facts = [
            [asdict(item) | {"path": item.path.name}, content(item.path), content(item.points)]
            for item in self.items
        ]
        masks = [
            [content(mask), content(one.path), one.tile_id, asdict(one)["box"]]
            for mask, one in self.masks
        ]
        plan = asdict(self.plan)
        plan |= {name: content(plan[name]) for name in ("weights", "perceptual_weights", "nima")}
        seen = [detector_name(name) for name in self.plan.detectors]
        return digest(
            json.loads(json.dumps([facts, masks, self.what, plan, seen, __version__], default=str))
        )

    def done(self) -> bool:
        """Whether its file is there."""
        return made_by(self.path, self.key)


def made_by(path: Path, key: str) -> bool:
    """Whether a file is there, and was made by the job of that key."""
    try:
        with safe_open(path, "numpy") as file:
            return bool((file.metadata() or {}).get("job") == key)
    except (OSError, SafetensorError):
        return False


def measure(job: MeasureJob) -> int:
    """Measure a job's tiles and write their file. Returns how many were measured."""
    tools = _tools(job.plan, job.what)
    tiles: list[dict[str, Any]] = []
    arrays: dict[str, Values] = {}
    pictures: dict[int, Pixels] = {}
    with one_thread():
        read = read_items(job.items, job.plan.classes, dict(job.plan.mapping))
        for place, (item, found) in enumerate(zip(job.items, read, strict=True)):
            about: dict[str, Any] = {
                "name": item.name,
                "patient": item.patient,
                "label": item.label,
            }
            try:
                if isinstance(found, HistosynthError):
                    raise found
                pixels, nuclei = found
                values = measures.measure_tile(
                    pixels,
                    item.mpp,
                    nuclei,
                    job.what,
                    tools,
                )
                if job.masks:
                    values |= _mended(pixels, *job.masks[place], tools=tools)
            except HistosynthError as error:
                tiles.append(about | {"refused": str(error)})
                continue
            if "realism" in job.what:
                pictures[len(tiles)] = pixels
            arrays |= {f"{len(tiles)}/{name}": np.asarray(value) for name, value in values.items()}
            tiles.append(about)
        arrays |= _embedded(pictures, tools)
    arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    metadata = {"job": job.key, "tiles": json.dumps(tiles)}
    with atomic_write(job.path) as temporary:
        save_file(arrays or {"none": np.zeros(1)}, temporary, metadata)
    return len(tiles)


def fit_rings(items: Sequence[Item], plan: Plan) -> Plan:
    """A plan with a judge of classes that knows no network, fitted on real tiles whose nuclei are
    marked.

    Where fewer than two classes are marked it stays as it was.
    """
    read = read_items(spread_over(items, FITTED), plan.classes, dict(plan.mapping))
    tiles = [each for each in read if not isinstance(each, HistosynthError)]
    marked = [(pixels, nuclei) for pixels, nuclei in tiles if nuclei is not None and len(nuclei)]
    told = {int(class_ids) for _, nuclei in marked for class_ids in nuclei.class_ids} - {ANY_CLASS}
    if len(plan.classes) < 2 or len(told) < len(plan.classes):
        return plan
    rings = RingClassifier.fit(marked)
    arrays = {field.name: getattr(rings, field.name) for field in fields(rings)}
    return replace(
        plan,
        rings=tuple(
            (name, tuple(each.ravel().tolist()), each.shape) for name, each in arrays.items()
        ),
    )


def read_measured(
    path: Path, *, without: Collection[str] = ()
) -> tuple[list[TileMeasurements], dict[str, str]]:
    """What a job's file holds: tiles, and refused tiles with their reason.

    Raises:
        BadRun: the file is damaged.
    """
    try:
        with safe_open(path, "numpy") as file:
            tiles = json.loads((file.metadata() or {})["tiles"])
            values: dict[int, dict[str, Values]] = {}
            for name in file.keys():  # no mapping: it has keys and nothing else of one  # noqa: SIM118
                place, _, key = name.partition("/")
                if key and key not in without:
                    values.setdefault(int(place), {})[key] = file.get_tensor(name)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BadRun(path, f"it is damaged: {error}") from error
    seen = []
    refused = {}
    for place, tile in enumerate(tiles):
        if "refused" in tile:
            refused[tile["name"]] = tile["refused"]
        else:
            seen.append(
                TileMeasurements(
                    tile["name"],
                    tile["patient"],
                    tile["label"],
                    values.get(place, {}),
                )
            )
    return seen, refused


def gather(
    jobs: Sequence[MeasureJob], *, without: Collection[str] = ()
) -> tuple[Sample, dict[str, str]]:
    """All tiles of some jobs, and the refused ones with their reason; `without` large values
    nobody needs.
    """
    tiles: list[TileMeasurements] = []
    refused: dict[str, str] = {}
    for job in jobs:
        seen, bad = read_measured(job.path, without=without)
        tiles += seen
        refused |= bad
    return Sample(tuple(tiles)), refused


def _tools(plan: Plan, what: tuple[str, ...]) -> measures.Tools:
    detectors: Mapping[str, Detector] = {}
    if {"structure", "morphology", "layout"} & set(what):
        opened = {name: open_detector(name) for name in plan.detectors}
        detectors = {name: detector for name, detector in opened.items() if detector is not None}
    encoder = plan.open_encoder() if "realism" in what else None
    perceptual = None
    if "mending" in what:
        perceptual = open_perceptual(plan.perceptual, weights=plan.perceptual_weights)
    nima = None
    if plan.nima is not None:
        from ...metrics.nima import open_nima

        nima = open_nima(plan.nima)
    rings = None
    if plan.rings:
        arrays = {name: np.array(values).reshape(shape) for name, values, shape in plan.rings}
        rings = RingClassifier(**arrays)
    return measures.Tools(
        encoder,
        detectors,
        perceptual,
        nima,
        rings,
        plan.classes,
    )


def _embedded(pictures: Mapping[int, Pixels], tools: measures.Tools) -> dict[str, Values]:
    """Features of pictures, those of one size together."""
    out: dict[str, Values] = {}
    if tools.encoder is None:
        return out
    sizes: dict[tuple[int, ...], list[int]] = {}
    for place, pixels in pictures.items():
        sizes.setdefault(pixels.shape, []).append(place)
    for places in sizes.values():
        found = tools.encoder.embed(np.stack([pictures[place] for place in places]))
        for row, place in enumerate(places):
            out[f"{place}/embed/features"] = found.features[row]
            if found.spatial is not None:
                out[f"{place}/embed/spatial"] = found.spatial[row]
    return out


def _mended(
    pixels: Pixels,
    missing: Path,
    original: Item,
    *,
    tools: measures.Tools,
) -> dict[str, Values]:
    before, _ = read_item(original)
    mask: Mask = read_mask(missing)
    if original.box is not None:
        mask = mask[original.box.slices]
    for what, each in (("mask", mask), ("original", before)):
        if each.shape[:2] != pixels.shape[:2]:
            raise SizeMismatch(
                what,
                (each.shape[1], each.shape[0]),
                (pixels.shape[1], pixels.shape[0]),
            )
    return measures.measure_hole(before, pixels, mask, tools)
