"""The job of `evaluate`: measure some tiles of one side and write the measurements to a file.

It is a module's function of one picklable job, so that any engine can run it. A tile that cannot be
read is refused with its reason, and the others are measured.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ...core.contents import content_digest
from ...core.errors import HistosynthError, SizeMismatch
from ...core.images import read_mask
from ...core.nuclei import ANY_CLASS, Nuclei
from ...core.place import CPU_PLACE, ComputePlace
from ...core.store import digest
from ...core.tile import Mask, Pixels
from ...core.version import __version__
from ...detectors.detector import Detector
from ...detectors.opening import detector_name, open_detector
from ...encoders.opening import open_perceptual
from ...engine.threads import one_thread
from ...metrics import METRICS
from ...metrics.measurement import embed_tiles, measure_tile
from ...metrics.metric import TileInput, Tool, Tools
from ...metrics.ring_classifier import RingClassifier
from ...metrics.sample import Sample, TileMeasurements, Values
from ..config import MeasureSettings
from ..inputs.items import Item, read_item, read_items, spread_over
from .measured_file import TileFacts, is_written_by, read_measured, write_measured

TILES_PER_JOB = 64
NOT_FINITE = "its features are not finite numbers: the encoder's weights or --bf16 are at fault"
MAX_FITTED_TILES = 96
"""Real tiles that the classifier by rings of colour is fitted on."""


@dataclass(frozen=True)
class MeasureJob:
    """Measure some tiles.

    Attributes:
        items: the tiles.
        metrics: names of metrics.
        settings: what to measure with.
        path: of the file to write.
        masks: mask and original of each item; empty: no tile was inpainted.
    """

    items: tuple[Item, ...]
    metrics: tuple[str, ...]
    settings: MeasureSettings
    path: Path
    masks: tuple[tuple[Path, Item], ...] = ()

    @cached_property
    def key(self) -> str:
        """Digest of everything that can change the result: contents of files and settings."""
        items = []
        for item in self.items:
            facts = asdict(item) | {"path": item.path.name}
            picture = content_digest(item.path)
            points = content_digest(item.points)
            items.append([facts, picture, points])
        masks = []
        for mask, original in self.masks:
            box = asdict(original)["box"]
            mask_digest = content_digest(mask)
            original_digest = content_digest(original.path)
            masks.append([mask_digest, original_digest, original.tile_id, box])
        settings = asdict(self.settings)
        if self.settings.device == CPU_PLACE.device:
            settings.pop("device")  # measurements of earlier versions, which had no choice
        for name in ("weights", "perceptual_weights", "nima"):
            settings[name] = content_digest(settings[name])
        detectors = [detector_name(name) for name in self.settings.detectors]
        every = [items, masks, self.metrics, settings, detectors, __version__]
        plain = json.loads(json.dumps(every, default=str))
        return digest(plain)

    def done(self) -> bool:
        """Whether its file exists."""
        return is_written_by(self.path, self.key)


def measure(job: MeasureJob) -> int:
    """Measure a job's tiles and write their file. Returns the number of tiles."""
    tools = _open_tools(job.settings, job.metrics)
    tiles: list[TileFacts] = []
    values: dict[str, Values] = {}
    pictures: dict[int, Pixels] = {}
    with one_thread():
        read = read_items(
            job.items,
            job.settings.classes,
            dict(job.settings.mapping),
        )
        for number, (item, found) in enumerate(zip(job.items, read, strict=True)):
            facts: TileFacts = {
                "name": item.name,
                "patient": item.patient,
                "label": item.label,
                "layout": item.layout or item.stem,
            }
            tiles.append(facts)
            try:
                tile = _tile_input(job, number, found)
                measured = measure_tile(tile, job.metrics, tools)
            except HistosynthError as error:
                facts["refused"] = str(error)
                continue
            if tools.encoder is not None:
                pictures[number] = tile.pixels
            for name, value in measured.items():
                values[f"{number}/{name}"] = np.asarray(value)
        if tools.encoder is not None:
            for number, features in embed_tiles(pictures, tools.encoder).items():
                if not all(np.isfinite(value).all() for value in features.values()):
                    tiles[number]["refused"] = NOT_FINITE
                    continue
                for name, value in features.items():
                    values[f"{number}/{name}"] = value
    write_measured(job.path, job.key, tiles, values)
    return len(tiles)


def with_ring_classifier(items: Sequence[Item], settings: MeasureSettings) -> MeasureSettings:
    """Settings with a classifier by rings of colour, fitted on real tiles with annotated nuclei.

    It uses no network. Where fewer than two classes are annotated the settings stay as they are.
    """
    marked = []
    for found in read_items(
        spread_over(items, MAX_FITTED_TILES),
        settings.classes,
        dict(settings.mapping),
    ):
        if isinstance(found, HistosynthError):
            continue
        pixels, nuclei = found
        if nuclei is not None and len(nuclei):
            marked.append((pixels, nuclei))
    annotated = _class_ids(nuclei for _, nuclei in marked)
    if len(settings.classes) < 2 or len(annotated) < len(settings.classes):
        return settings
    rings = RingClassifier.fit(marked)
    arrays = []
    for field in fields(rings):
        array = getattr(rings, field.name)
        values = tuple(array.ravel().tolist())
        arrays.append((field.name, values, array.shape))
    return replace(settings, rings=tuple(arrays))


def gather(
    jobs: Sequence[MeasureJob], *, without: Collection[str] = ()
) -> tuple[Sample, dict[str, str]]:
    """The tiles of some jobs, and the refused ones with their reason.

    Args:
        jobs: whose files exist.
        without: names of large values that are not needed.
    """
    tiles: list[TileMeasurements] = []
    refused: dict[str, str] = {}
    for job in jobs:
        measured, failed = read_measured(job.path, without=without)
        tiles += measured
        refused |= failed
    return Sample(tuple(tiles)), refused


def open_detectors(names: Sequence[str], place: ComputePlace = CPU_PLACE) -> dict[str, Detector]:
    """Detectors by name; names without a detector are left out."""
    detectors = {}
    for name in names:
        detector = open_detector(name, place)
        if detector is not None:
            detectors[name] = detector
    return detectors


def _class_ids(sets: Iterable[Nuclei]) -> set[int]:
    """Classes that are annotated at least once."""
    found: set[int] = set()
    for nuclei in sets:
        found.update(int(class_id) for class_id in nuclei.class_ids)
    return found - {ANY_CLASS}


def _tile_input(
    job: MeasureJob,
    number: int,
    found: tuple[Pixels, Nuclei | None] | HistosynthError,
) -> TileInput:
    """One item as metrics receive it.

    Raises:
        HistosynthError: the item, its mask or its original cannot be read.
        SizeMismatch: the mask or the original has another size.
    """
    if isinstance(found, HistosynthError):
        raise found
    pixels, nuclei = found
    item = job.items[number]
    tile = TileInput(pixels, item.mpp, nuclei, given_nuclei=item.given_nuclei)
    if not job.masks:
        return tile
    original, mask = _original_and_mask(pixels, *job.masks[number])
    return replace(tile, original=original, mask=mask)


def _original_and_mask(
    pixels: Pixels,
    mask_path: Path,
    original: Item,
) -> tuple[Pixels, Mask]:
    before, _ = read_item(original)
    mask: Mask = read_mask(mask_path)
    if original.box is not None:
        mask = mask[original.box.slices]
    height, width = pixels.shape[:2]
    for name, array in (("mask", mask), ("original", before)):
        if array.shape[:2] != (height, width):
            raise SizeMismatch(
                name,
                (array.shape[1], array.shape[0]),
                (width, height),
            )
    return before, mask


def _open_tools(settings: MeasureSettings, metrics: Sequence[str]) -> Tools:
    """The tools that these metrics use."""
    needed: set[Tool] = set()
    for name in metrics:
        needed |= METRICS[name].tools
    encoder = settings.open_encoder() if Tool.ENCODER in needed else None
    detectors: Mapping[str, Detector] = {}
    if Tool.DETECTORS in needed:
        detectors = open_detectors(settings.detectors, ComputePlace(settings.device))
    perceptual = None
    if Tool.PERCEPTUAL in needed:
        perceptual = open_perceptual(
            settings.perceptual,
            weights=settings.perceptual_weights,
            device=settings.device,
        )
    nima = None
    if Tool.NIMA in needed and settings.nima is not None:
        from ...metrics.nima import open_nima

        nima = open_nima(settings.nima)
    rings = None
    if settings.rings:
        arrays = {}
        for name, values, shape in settings.rings:
            arrays[name] = np.array(values).reshape(shape)
        rings = RingClassifier(**arrays)
    return Tools(
        encoder,
        detectors,
        perceptual,
        nima,
        rings,
        settings.classes,
    )
