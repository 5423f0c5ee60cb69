"""`prepare.json`: what became of every slide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import HistosynthError
from ..core.store import digest, sha256_of
from ..core.tileset import read_metadata
from .jobs import ChunkJob
from .patients import Source
from .survey import Survey


def summary_of(
    sources: Sequence[Source],
    surveys: Mapping[str, Survey],
    refused: Mapping[str, HistosynthError],
    splits: Mapping[str, str],
    jobs: Sequence[ChunkJob],
) -> dict[str, Any]:
    """Slides with patient, split, stain and tiles by reason; the totals; the sha256 of the whole
    set.
    """
    slides = []
    whole = Counter[str]()
    for source in sources:
        fact: dict[str, Any] = {
            "slide": source.name,
            "patient": source.patient,
            "label": source.label,
            "split": splits[source.patient],
        }
        if source.name in refused:
            fact["refused"] = str(refused[source.name])
        else:
            reasons: Counter[str] = Counter()
            for job in jobs:
                if job.facts.slide == source.name:
                    reasons.update(read_metadata(job.path)["reasons"])
            whole += reasons
            survey = surveys[source.name]
            fact |= {"mpp": survey.grid.mpp, "tiles": dict(sorted(reasons.items()))}
            fact["stain"] = survey.stain.as_dict() if survey.stain else survey.unstained or None
        slides.append(fact)
    return {
        "slides": slides,
        "tiles": sum(whole.values()),
        "kept": whole["kept"],
        "refused": {gate: count for gate, count in sorted(whole.items()) if gate != "kept"},
        "sha256": digest({job.path.name: sha256_of(job.path) for job in jobs}),
    }
