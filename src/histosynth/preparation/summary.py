"""`prepare.json`: the result of every slide."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import HistosynthError
from ..core.tileset import read_metadata
from .jobs import ChunkJob
from .patients import SlideSource
from .survey import Survey
from .tile_files import digest_of_set


def summary_of(
    sources: Sequence[SlideSource],
    surveys: Mapping[str, Survey],
    refused: Mapping[str, HistosynthError],
    splits: Mapping[str, str],
    jobs: Sequence[ChunkJob],
) -> dict[str, Any]:
    """Slides with patient, split, stain and tiles by reason; the totals; the sha256 of the set."""
    reasons = _reasons_by_slide(jobs)
    slides = []
    for source in sources:
        entry: dict[str, Any] = {
            "slide": source.name,
            "patient": source.patient,
            "label": source.label,
            "split": splits[source.patient],
        }
        if source.name in refused:
            entry["refused"] = str(refused[source.name])
        else:
            entry |= _surveyed_entry(surveys[source.name], reasons[source.name])
        slides.append(entry)
    total: Counter[str] = Counter()
    for counts in reasons.values():
        total += counts
    tiles = sum(total.values())
    kept = total.pop("kept", 0)
    return {
        "slides": slides,
        "tiles": tiles,
        "kept": kept,
        "refused": dict(sorted(total.items())),
        "sha256": digest_of_set(job.path for job in jobs),
    }


def _reasons_by_slide(jobs: Sequence[ChunkJob]) -> defaultdict[str, Counter[str]]:
    """Tiles by the gate that refused them, or `kept`, of each slide."""
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for job in jobs:
        metadata = read_metadata(job.path)
        reasons[job.facts.slide].update(metadata["reasons"])
    return reasons


def _surveyed_entry(survey: Survey, reasons: Counter[str]) -> dict[str, Any]:
    stain: Any = survey.unstained or None
    if survey.stain:
        stain = survey.stain.as_dict()
    return survey.noted() | {
        "mpp": survey.grid.mpp,
        "tiles": dict(sorted(reasons.items())),
        "stain": stain,
    }
