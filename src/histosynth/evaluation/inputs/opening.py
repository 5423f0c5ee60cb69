"""Inputs of `evaluate`, opened and checked before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...annotation.chosen_nuclei import NoteCallback
from ...annotation.class_map import read_class_map
from ...core.barcode import shared_patients
from ...core.errors import BadOption, SplitLeak
from ...core.nuclei import ANY
from ...core.progress import ProgressCallback
from ...metrics.nuclei_classes import UNCLASSIFIED
from ..config import EvaluationConfig, MeasureSettings
from .checks import check_same_scale, check_same_size, metrics_for, open_tools
from .collections import Collection, classes_of, cropped, open_collection
from .matching import assign_nuclei_files, match_variants


@dataclass(frozen=True)
class OpenedInputs:
    """The sides of an evaluation, opened and checked.

    Attributes:
        real, synthetic: the two sides.
        reference: the training set, cut to crops of the tiles' size; None: none was given.
        library: the training set in whole tiles, which are searched for copies.
        metrics: names of the metrics to compute, in the order of the report.
        measurement: what tiles are measured with.
        notes: sentences on what was left out of the files of nuclei, and on changes of scale.
    """

    real: Collection
    synthetic: Collection
    reference: Collection | None
    library: Collection | None
    metrics: tuple[str, ...]
    measurement: MeasureSettings
    notes: tuple[str, ...] = ()


def open_inputs(
    config: EvaluationConfig, on_progress: ProgressCallback | None = None
) -> OpenedInputs:
    """Open both sides, the reference and all tools.

    Raises:
        SplitLeak: a patient of `real` is in the reference.
        SizeMismatch, BadOption: the sides cannot be compared, or a metric lacks an input.
        HistosynthError: whatever a file or a tool is refused for.
    """
    if config.bundle is not None and config.reference is None:
        needed = "given together with --reference, its training set"
        raise BadOption("--bundle", config.bundle, needed)
    inputs = config.inputs
    real = open_collection(config.real, inputs, on_progress)
    synthetic = open_collection(
        config.synthetic,
        inputs,
        on_progress,
        synthetic=True,
    )
    synthetic = match_variants(
        synthetic,
        real,
        config.conditions,
        inputs,
    )
    library = _open_library(config, real, on_progress)
    check_same_size(real, synthetic)
    check_same_scale(real, synthetic)
    reference = None
    if library is not None:
        check_same_scale(real, synthetic, library)
        crops = cropped(library, synthetic.size)
        reference = assign_nuclei_files(
            crops,
            config.conditions,
            needed=False,
        )
    real = assign_nuclei_files(real, config.conditions)
    synthetic = assign_nuclei_files(synthetic, config.conditions)
    sides = [side for side in (real, synthetic, reference) if side is not None]
    notes: dict[str, None] = {}  # each once: several sides may share files
    classes, mapping = _classes(config, sides, notes.setdefault)
    metrics = metrics_for(config, reference, classes)
    measurement = replace(
        config.measurement,
        classes=classes,
        mapping=tuple(sorted(mapping.items())),
        weights_sha256=open_tools(config.measurement, metrics),
    )
    return OpenedInputs(
        real,
        synthetic,
        reference,
        library,
        metrics,
        measurement,
        tuple(notes),
    )


def _open_library(
    config: EvaluationConfig,
    real: Collection,
    on_progress: ProgressCallback | None,
) -> Collection | None:
    """The training set in whole tiles, refused where it shares a patient with the real side."""
    if config.reference is None:
        return None
    library = open_collection(
        config.reference,
        replace(config.inputs, crop=None),
        on_progress,
    )
    leaked = shared_patients({"real": real.named_patients, "reference": library.named_patients})
    if leaked:
        raise SplitLeak(leaked)
    return library


def _classes(
    config: EvaluationConfig,
    sides: Sequence[Collection],
    on_note: NoteCallback,
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Classes of all nuclei, and the class map; nuclei without classes are one class."""
    mapping = {"": ANY, **read_class_map(config.classes)}
    classes = classes_of(sides, mapping, on_note)
    if classes != UNCLASSIFIED:
        return classes, mapping
    (nucleus,) = UNCLASSIFIED
    for name, target in mapping.items():
        if target == ANY:
            mapping[name] = nucleus
    mapping[ANY] = nucleus
    mapping[""] = nucleus
    return classes, mapping
