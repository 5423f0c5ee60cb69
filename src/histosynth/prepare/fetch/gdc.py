"""What the Genomic Data Commons holds: open diagnostic slides of a project, with patient and
diagnosis.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import BadOption, FetchFailed
from ...core.store import write_text
from ...core.web import RetryPolicy, TransientError, normal_endpoint, open_url, read_all
from ..subtypes import Subtypes

GDC = "https://api.gdc.cancer.gov"
MAX_SLIDES = 100_000
MAX_ANSWER_BYTES = 64 << 20
MAX_SLIDE_BYTES = 1 << 40
_FIELDS = (
    "file_id",
    "file_name",
    "file_size",
    "md5sum",
    "cases.submitter_id",
    "cases.diagnoses.primary_diagnosis",
    "cases.diagnoses.morphology",
    "cases.diagnoses.classification_of_tumor",
    "cases.diagnoses.diagnosis_is_primary_disease",
)
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
_MD5 = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"\w[\w .()+,=@~-]*")
_UNSAID = {"", "not reported", "unknown", "not available", "not applicable"}


@dataclass(frozen=True)
class RemoteSlide:
    """One slide that can be fetched. It holds no name that would leave its folder.

    Raises:
        FetchFailed: the id, name, size or md5 cannot be used.
    """

    file_id: str
    name: str
    """File name, without any folder."""
    size: int
    """In bytes."""
    md5: str
    """32 hex digits."""
    case: str = ""
    """Patient barcode."""
    label: str = ""
    """Primary diagnosis, as the server writes it."""
    morphology: str = ""
    """ICD-O-3 code, e.g. 8890/3."""

    def __post_init__(self) -> None:
        said = repr(self.name)[:120]
        if (
            not _NAME.fullmatch(self.name)
            or len(self.name.encode()) > 200
            or self.name.endswith((".part", " "))
        ):
            self._refuse(said, "the server gives it a name that is not safe as a file name")
        if not _ID.fullmatch(self.file_id):
            self._refuse(said, f"{repr(self.file_id)[:80]} is no file id")
        if not 0 < self.size <= MAX_SLIDE_BYTES:
            self._refuse(said, f"a slide of {self.size:,} bytes cannot be")
        if not _MD5.fullmatch(self.md5):
            self._refuse(said, f"{repr(self.md5)[:80]} is no md5")

    @staticmethod
    def _refuse(what: str, reason: str) -> None:
        raise FetchFailed(
            f"The slide {what}",
            reason,
            "Check the endpoint, or leave the slide out.",
        )


def find_slides(
    project: str,
    *,
    endpoint: str = GDC,
    limit: int | None = None,
    page: int = 500,
    tries: int = 5,
    sleep: Callable[[float], None] = time.sleep,
    timeout_s: float = 60.0,
) -> list[RemoteSlide]:
    """Open diagnostic slides of a project, by file id; none where the server knows no such project.

    Args:
        project: e.g. TCGA-SARC.
        endpoint: address of the API.
        limit: at most that many slides.
        page: slides a request.
        tries: how often a page is asked for.
        sleep: waits between tries, in s.
        timeout_s: how long the server may stay silent, in s.

    Raises:
        BadOption: the project, endpoint, limit or page cannot be.
        FetchFailed: the server cannot be reached, or its answer cannot be used.
    """
    endpoint = normal_endpoint(endpoint)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", project):
        raise BadOption("project", repr(project), "a project's id such as TCGA-SARC")
    if limit is not None and limit < 1:
        raise BadOption("limit", limit, "1 or more")
    if not 1 <= page <= 10_000:
        raise BadOption("page", page, "in [1, 10000]")
    what = f"The list of slides of {project}"
    found: dict[str, RemoteSlide] = {}
    start = 0
    total = MAX_SLIDES
    while start < total:
        size = min(page, total - start)
        query = {
            "filters": json.dumps(_filters(project)),
            "fields": ",".join(_FIELDS),
            "format": "JSON",
        }
        query |= {
            "from": str(start),
            "size": str(size),
            "sort": "file_id:asc",
        }
        patience = RetryPolicy(tries, sleep)
        hits, said = _page(
            f"{endpoint}/files?{urllib.parse.urlencode(query)}",
            what,
            patience,
            timeout_s,
        )
        if said > MAX_SLIDES:
            raise FetchFailed(
                what,
                f"it names {said:,} slides, more than {MAX_SLIDES:,}",
                "Check the endpoint.",
            )
        total = min(said, limit or said)
        if len(hits) > size or (not hits and start < total):
            raise FetchFailed(what, f"{len(hits)} slides came where {size} were asked for")
        found.update((slide.file_id, slide) for slide in (_slide(hit, what) for hit in hits))
        start += len(hits)
    if len(found) < total:
        raise FetchFailed(
            what, f"{total - len(found)} of {total} slides came twice, so others are absent"
        )
    return list(found.values())[:limit]


def label_of(slide: RemoteSlide, subtypes: Subtypes) -> str:
    """The entity's name by diagnosis, else by morphology; else the diagnosis as the server writes
    it.
    """
    named = subtypes.name_of(slide.label) or subtypes.name_of(slide.morphology)
    return named or ("" if slide.label.casefold() in _UNSAID else slide.label)


def write_manifest(path: Path, slides: Iterable[RemoteSlide]) -> None:
    """A manifest that `gdc-client` reads too: id, filename, md5, size in bytes, state.

    Raises:
        NotWritable: the place cannot be written.
    """
    rows = [f"{each.file_id}\t{each.name}\t{each.md5}\t{each.size}\treleased\n" for each in slides]
    write_text(path, "id\tfilename\tmd5\tsize\tstate\n" + "".join(rows))


def write_table(path: Path, slides: Iterable[RemoteSlide], subtypes: Subtypes) -> None:
    """The `table` of a preparation recipe: slide, patient, label.

    Raises:
        NotWritable: the place cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("slide", "patient", "label"))
    writer.writerows((each.name, each.case, label_of(each, subtypes)) for each in slides)
    write_text(path, text.getvalue())


def _filters(project: str) -> dict[str, Any]:
    wanted = {
        "cases.project.project_id": project,
        "data_format": "SVS",
        "experimental_strategy": "Diagnostic Slide",
        "access": "open",
    }
    return {
        "op": "and",
        "content": [
            {"op": "in", "content": {"field": field, "value": [value]}}
            for field, value in wanted.items()
        ],
    }


def _page(
    url: str,
    what: str,
    patience: RetryPolicy,
    timeout_s: float,
) -> tuple[list[Any], int]:
    """Hits of one page, and how many there are in all."""
    while True:
        try:
            with open_url(
                url,
                what,
                headers={"Accept": "application/json"},
                timeout_s=timeout_s,
            ) as answer:
                text = read_all(answer, MAX_ANSWER_BYTES, what)
            try:
                data = json.loads(text)["data"]
                hits = data["hits"]
                total = data["pagination"]["total"]
            except (ValueError, KeyError, TypeError, RecursionError) as error:  # often just cut off
                raise TransientError("the answer is no list of files") from error
            if not isinstance(hits, list) or type(total) is not int or total < 0:
                raise TransientError("the answer is no list of files")
            return hits, total
        except TransientError as fault:
            patience.wait(what, fault)


def _slide(hit: Any, what: str) -> RemoteSlide:
    try:
        case = (hit.get("cases") or [{}])[0]
        diagnosis = _diagnosis(case.get("diagnoses") or [{}])
        size = hit["file_size"]
        return RemoteSlide(
            file_id=str(hit["file_id"]),
            name=str(hit["file_name"]),
            size=size if type(size) is int else 0,
            md5=str(hit["md5sum"]).lower(),
            case=_line(case.get("submitter_id")),
            label=_line(diagnosis.get("primary_diagnosis")),
            morphology=_line(diagnosis.get("morphology")),
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise FetchFailed(
            what,
            "an entry of it lacks a name, size or md5",
            "Check the endpoint.",
        ) from error


def _diagnosis(diagnoses: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The tumour that the case stands for: cases also list earlier tumours and metastases."""

    def rank(each: Mapping[str, Any]) -> tuple[bool, bool, bool]:
        return (
            str(each.get("diagnosis_is_primary_disease")).lower() == "true",
            str(each.get("classification_of_tumor")).lower() == "primary",
            bool(each.get("primary_diagnosis")),
        )

    return max(diagnoses, key=rank)


def _line(value: Any) -> str:
    """Text of a server on one line, 200 characters at most."""
    return " ".join(value.split())[:200] if isinstance(value, str) else ""
