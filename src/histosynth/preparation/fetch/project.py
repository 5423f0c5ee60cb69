"""`prepare fetch`: list a project, write its manifest and labels, fetch its slides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.errors import BadOption
from ...core.folder_lock import in_own_folder
from ...core.outcome import Outcome
from ...core.own_files import OwnFiles
from ...core.progress import ProgressCallback
from ...core.store import ensure_folder
from ..subtypes import Subtypes, load_subtypes
from .download import fetch
from .gdc import RemoteSlide, find_slides, label_of, manifest_text, table_text


@in_own_folder
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
    """Fetch a project's open diagnostic slides, continuing where an earlier call stopped.

    Args:
        project: e.g. TCGA-SARC.
        out: gets the slides, `manifest.txt` and `slides.csv` (slide, patient, label).
        limit: at most that many slides.
        list_only: write the lists only.
        extra: TOML with more entities.
        endpoint: of the API.
        on_progress: called with (bytes done, bytes in all).

    Raises:
        BadOption: the project has no such slide.
        FetchFailed: the server cannot be reached, or its answer cannot be used.
        NotWritable: the folder cannot be written, or the disk is full, or the lists of another
            origin, or corrected ones, would be replaced.
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
    lists = {
        "manifest.txt": manifest_text(slides),
        "slides.csv": table_text(slides, subtypes),
    }
    outcome = Outcome(written=OwnFiles(out).write_texts(lists))
    facts = _facts_of(slides, subtypes) | {"table": str(out / "slides.csv")}
    if list_only:
        return outcome, facts | {"fetched": 0, "already": 0}
    fetched = fetch(
        slides,
        out,
        endpoint=endpoint,
        on_progress=on_progress,
    )
    outcome.written += [out / name for name in fetched.done]
    outcome.refused.update(fetched.failed)
    counts = {
        "fetched": len(fetched.done),
        "already": len(fetched.already),
    }
    return outcome, facts | counts


def _facts_of(slides: Sequence[RemoteSlide], subtypes: Subtypes) -> dict[str, Any]:
    """Numbers of slides, patients and bytes, and slides by label."""
    labels = Counter(label_of(slide, subtypes) for slide in slides)
    return {
        "slides": len(slides),
        "patients": len({slide.case for slide in slides}),
        "bytes": sum(slide.size for slide in slides),
        "labels": dict(labels.most_common()),
    }
