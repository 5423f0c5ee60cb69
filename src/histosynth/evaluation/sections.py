"""Sections of a report: each metric concludes from the measurements of all sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..core.progress import ProgressCallback
from ..encoders.opening import open_perceptual
from ..metrics import METRICS
from ..metrics.finding import Section
from ..metrics.metric import Settings, Sides, Tool
from .config import MeasureSettings
from .galleries import GALLERIES, MeasuredSides
from .inputs.checks import tools_of
from .jobs.measure import open_detectors


def conclude_all(
    measured: MeasuredSides,
    metrics: Sequence[str],
    measurement: MeasureSettings,
    *,
    seed: int = 0,
    on_progress: ProgressCallback | None = None,
) -> list[Section]:
    """One section per metric, in the order of `metrics`.

    Args:
        measured: measurements of all sides, and where the pictures are.
        metrics: names.
        measurement: what was measured with.
        seed: of intervals and baselines.
        on_progress: called with (metrics concluded, all metrics).
    """
    sides = Sides(
        measured.samples["real"],
        measured.samples["synthetic"],
        measured.samples.get("reference"),
        measured.samples.get("left_out"),
        measured.samples.get("library"),
    )
    settings = _settings(measurement, metrics, seed)
    sections = []
    for done, name in enumerate(metrics):
        if on_progress:
            on_progress(done, len(metrics))
        section = METRICS[name].conclude(sides, settings)
        section = replace(section, verdict=METRICS[name].verdict(section))
        if name in GALLERIES:
            section = replace(section, galleries=GALLERIES[name](measured))
        sections.append(section)
    if on_progress:
        on_progress(len(metrics), len(metrics))
    return sections


def _settings(
    measurement: MeasureSettings,
    metrics: Sequence[str],
    seed: int,
) -> Settings:
    tools = tools_of(metrics)
    detector_classes = {}
    if Tool.DETECTORS in tools:
        for name, detector in open_detectors(measurement.detectors).items():
            detector_classes[name] = tuple(detector.classes)
    settings = Settings(
        classes=measurement.classes,
        encoder=measurement.encoder,
        detector_classes=detector_classes,
        seed=seed,
    )
    if Tool.PERCEPTUAL not in tools:
        return settings
    weights = measurement.perceptual_weights
    perceptual = open_perceptual(
        measurement.perceptual,
        weights=weights,
        device=measurement.device,
    )
    return replace(
        settings,
        perceptual=perceptual.name,
        perceptual_facts=perceptual.about,
    )
