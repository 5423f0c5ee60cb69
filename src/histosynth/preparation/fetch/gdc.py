"""Open diagnostic slides of a project in the Genomic Data Commons, with patient and diagnosis."""

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
_MAX_NAME_BYTES = 200
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
_NOT_REPORTED = {"", "not reported", "unknown", "not available", "not applicable"}


@dataclass(frozen=True)
class RemoteSlide:
    """One slide that can be fetched. Its name cannot lead out of a folder.

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
        shown = repr(self.name)[:120]
        if not _is_safe_name(self.name):
            self._refuse(
                shown,
                "the server gives it a name that is not safe as a file name",
            )
        if not _ID.fullmatch(self.file_id):
            self._refuse(shown, f"{repr(self.file_id)[:80]} is no file id")
        if not 0 < self.size <= MAX_SLIDE_BYTES:
            self._refuse(shown, f"a slide of {self.size:,} bytes cannot be")
        if not _MD5.fullmatch(self.md5):
            self._refuse(shown, f"{repr(self.md5)[:80]} is no md5")

    @staticmethod
    def _refuse(what: str, reason: str) -> None:
        raise FetchFailed(
            f"The slide {what}",
            reason,
            "Check the endpoint, or leave the slide out.",
        )


def _is_safe_name(name: str) -> bool:
    """Whether a name stays in its folder, and is none of those that a fetch uses itself."""
    is_short = len(name.encode()) <= _MAX_NAME_BYTES
    return bool(_NAME.fullmatch(name)) and is_short and not name.endswith((".part", " "))


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
    """Open diagnostic slides of a project, by file id; none of a project unknown to the server.

    Args:
        project: e.g. TCGA-SARC.
        endpoint: address of the API.
        limit: at most that many slides.
        page: slides a request.
        tries: how often a page is requested.
        sleep: waits between tries, in s.
        timeout_s: how long the server may stay silent, in s.

    Raises:
        BadOption: the project, endpoint, limit or page cannot be.
        FetchFailed: the server cannot be reached, or its answer cannot be used.
    """
    endpoint = normal_endpoint(endpoint)
    _check_options(project, limit, page)
    what = f"The list of slides of {project}"
    found: dict[str, RemoteSlide] = {}
    start = 0
    total = MAX_SLIDES
    while start < total:
        size = min(page, total - start)
        answer = _request_page(
            _page_url(endpoint, project, start, size),
            what,
            RetryPolicy(tries, sleep),
            timeout_s,
        )
        if answer.total > MAX_SLIDES:
            raise FetchFailed(
                what,
                f"it names {answer.total:,} slides, more than {MAX_SLIDES:,}",
                "Check the endpoint.",
            )
        total = min(answer.total, limit or answer.total)
        count = len(answer.hits)
        if count > size or (not count and start < total):
            raise FetchFailed(what, f"{count} slides came where {size} were requested")
        for hit in answer.hits:
            slide = _slide_of(hit, what)
            found[slide.file_id] = slide
        start += count
    if len(found) < total:
        raise FetchFailed(
            what, f"{total - len(found)} of {total} slides came twice, so others are absent"
        )
    return list(found.values())[:limit]


def _check_options(
    project: str,
    limit: int | None,
    page: int,
) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", project):
        raise BadOption(
            "project",
            repr(project),
            "a project's id such as TCGA-SARC",
        )
    if limit is not None and limit < 1:
        raise BadOption("limit", limit, "1 or more")
    if not 1 <= page <= 10_000:
        raise BadOption("page", page, "in [1, 10000]")


def _page_url(
    endpoint: str,
    project: str,
    start: int,
    size: int,
) -> str:
    query = {
        "filters": json.dumps(_filters(project)),
        "fields": ",".join(_FIELDS),
        "format": "JSON",
        "from": str(start),
        "size": str(size),
        "sort": "file_id:asc",
    }
    return f"{endpoint}/files?{urllib.parse.urlencode(query)}"


def label_of(slide: RemoteSlide, subtypes: Subtypes) -> str:
    """The entity's name by diagnosis, else by morphology; else the diagnosis as the server writes
    it.
    """
    name = subtypes.name_of(slide.label) or subtypes.name_of(slide.morphology)
    if name:
        return name
    return "" if slide.label.casefold() in _NOT_REPORTED else slide.label


def write_manifest(path: Path, slides: Iterable[RemoteSlide]) -> None:
    """A manifest that `gdc-client` reads too: id, filename, md5, size in bytes, state.

    Raises:
        NotWritable: the file cannot be written.
    """
    lines = ["id\tfilename\tmd5\tsize\tstate\n"]
    for slide in slides:
        lines.append(f"{slide.file_id}\t{slide.name}\t{slide.md5}\t{slide.size}\treleased\n")
    write_text(path, "".join(lines))


def write_table(
    path: Path,
    slides: Iterable[RemoteSlide],
    subtypes: Subtypes,
) -> None:
    """The `table` of a preparation recipe: slide, patient, label.

    Raises:
        NotWritable: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("slide", "patient", "label"))
    for slide in slides:
        writer.writerow((slide.name, slide.case, label_of(slide, subtypes)))
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
            {
                "op": "in",
                "content": {"field": field, "value": [value]},
            }
            for field, value in wanted.items()
        ],
    }


@dataclass(frozen=True)
class _Page:
    """One page of an answer.

    Attributes:
        hits: its entries.
        total: how many there are on all pages.
    """

    hits: list[Any]
    total: int


def _request_page(
    url: str,
    what: str,
    policy: RetryPolicy,
    timeout_s: float,
) -> _Page:
    while True:
        try:
            with open_url(
                url,
                what,
                headers={"Accept": "application/json"},
                timeout_s=timeout_s,
            ) as answer:
                text = read_all(answer, MAX_ANSWER_BYTES, what)
            return _parse_page(text)
        except TransientError as error:
            policy.wait(what, error)


def _parse_page(text: bytes) -> _Page:
    """A page of JSON.

    Raises:
        TransientError: it is no list of files; often it was cut off.
    """
    try:
        data = json.loads(text)["data"]
        hits = data["hits"]
        total = data["pagination"]["total"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TransientError("the answer is no list of files") from error
    if not isinstance(hits, list) or type(total) is not int or total < 0:
        raise TransientError("the answer is no list of files")
    return _Page(hits, total)


def _slide_of(hit: Any, what: str) -> RemoteSlide:
    try:
        case = (hit.get("cases") or [{}])[0]
        diagnosis = _main_diagnosis(case.get("diagnoses") or [{}])
        size = hit["file_size"]
        return RemoteSlide(
            file_id=str(hit["file_id"]),
            name=str(hit["file_name"]),
            size=size if type(size) is int else 0,
            md5=str(hit["md5sum"]).lower(),
            case=_one_line(case.get("submitter_id")),
            label=_one_line(diagnosis.get("primary_diagnosis")),
            morphology=_one_line(diagnosis.get("morphology")),
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise FetchFailed(
            what,
            "an entry of it lacks a name, size or md5",
            "Check the endpoint.",
        ) from error


def _main_diagnosis(diagnoses: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The tumour that the case stands for: cases also list earlier tumours and metastases."""

    def rank(each: Mapping[str, Any]) -> tuple[bool, bool, bool]:
        return (
            str(each.get("diagnosis_is_primary_disease")).lower() == "true",
            str(each.get("classification_of_tumor")).lower() == "primary",
            bool(each.get("primary_diagnosis")),
        )

    return max(diagnoses, key=rank)


def _one_line(value: Any) -> str:
    """Text of a server on one line, 200 characters at most."""
    if not isinstance(value, str):
        return ""
    return " ".join(value.split())[:200]
