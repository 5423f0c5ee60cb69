"""`prepare fetch`: list a project, write its manifest and labels, fetch its slides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ...core.errors import BadOption
from ...core.outcome import Outcome
from ...core.progress import ProgressCallback
from ...core.store import ensure_folder
from ..subtypes import load_subtypes
from . import fetch, find_slides, label_of, write_manifest, write_table


def fetch_project(
    project: str,
    out: Path,
    *,
    limit: int | None,
    list_only: bool,
    extra: Path | None,
    endpoint: str,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, Any]]:
    """Fetch a project's open diagnostic slides, going on where an earlier call stopped.

    Args:
        project: e.g. TCGA-SARC.
        out: gets the slides, `manifest.txt` and `slides.csv` (slide, patient, label).
        limit: so many slides at most.
        list_only: write the lists only.
        extra: TOML with more entities.
        endpoint: of the API.
        on_progress: told of bytes done and in all.

    Raises:
        BadOption: the project has no such slide.
        FetchFailed: the server cannot be reached, or answers what it should not.
        NotWritable: the folder cannot be written, or the disk is full.
    """
    subtypes = load_subtypes(extra)
    ensure_folder(out)
    slides = find_slides(project, endpoint=endpoint, limit=limit)
    if not slides:
        raise BadOption(
            "--project",
            project,
            "one that holds open-access diagnostic slides, e.g. TCGA-SARC",
        )
    write_manifest(out / "manifest.txt", slides)
    write_table(out / "slides.csv", slides, subtypes)
    outcome = Outcome(written=[out / "manifest.txt", out / "slides.csv"])
    facts: dict[str, Any] = {
        "slides": len(slides),
        "patients": len({slide.case for slide in slides}),
        "bytes": sum(slide.size for slide in slides),
        "labels": dict(Counter(label_of(slide, subtypes) for slide in slides).most_common()),
        "table": str(out / "slides.csv"),
        "fetched": 0,
        "already": 0,
    }
    if list_only:
        return outcome, facts
    fetched = fetch(slides, out, endpoint=endpoint, on_progress=on_progress)
    outcome.written += [out / name for name in fetched.done]
    outcome.refused.update(fetched.failed)
    return outcome, facts | {"fetched": len(fetched.done), "already": len(fetched.already)}
