"""Open diagnostic slides of a project in the Genomic Data Commons, with patient and diagnosis."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ...core.cells import csv_text
from ...core.errors import BadOption, FetchFailed
from ...core.file_names import name_problem
from ...core.numbers_read import is_whole
from ...core.visible import visible
from ...core.web import RetryPolicy, TransientError, normal_endpoint, open_url, read_all
from ...slides import SLIDE_SUFFIXES
from ..subtypes import Subtypes

GDC = "https://api.gdc.cancer.gov"
MAX_SLIDES = 100_000
MAX_ANSWER_BYTES = 64 << 20
MAX_SLIDE_BYTES = 1 << 40
_MAX_NAME_BYTES = 200
_MAX_TEXT = 10_000
"""Characters of a text of the server that are looked through."""
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
    """One slide that can be fetched. Its name is that of a slide, and cannot lead out of a folder.

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
        problem = _name_problem(self.name)
        if problem:
            self._refuse(
                shown,
                f"the server gives it a name that is not safe as a file name: {problem}",
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


def _name_problem(name: str) -> str:
    """Why a name is none of a slide that a fetch may write; "" if it is one.

    With the endings of slides, no list, recipe or record can be replaced.
    """
    problem = name_problem(name, _MAX_NAME_BYTES)
    if problem:
        return problem
    if not _NAME.fullmatch(name):
        return "it holds more than letters, digits, spaces and .()+,=@~_-, or begins with a sign"
    if PurePosixPath(name).suffix.lower() not in SLIDE_SUFFIXES:
        return f"it ends in none of {', '.join(SLIDE_SUFFIXES)}"
    return ""


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


def manifest_text(slides: Iterable[RemoteSlide]) -> str:
    """A manifest that `gdc-client` reads too: id, filename, md5, size in bytes, state."""
    lines = ["id\tfilename\tmd5\tsize\tstate\n"]
    for slide in slides:
        lines.append(f"{slide.file_id}\t{slide.name}\t{slide.md5}\t{slide.size}\treleased\n")
    return "".join(lines)


def table_text(slides: Iterable[RemoteSlide], subtypes: Subtypes) -> str:
    """The `table` of a preparation recipe, CSV: slide, patient, label."""
    rows = [("slide", "patient", "label")]
    for slide in slides:
        rows.append((slide.name, slide.case, label_of(slide, subtypes)))
    return csv_text(rows)


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
    if not isinstance(hits, list) or not is_whole(total):
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
            size=size if is_whole(size) else 0,
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
    """Text of a server on one line, 200 characters at most, with all of them shown."""
    if not isinstance(value, str):
        return ""
    line = " ".join(value[:_MAX_TEXT].split())
    return visible(line)[:200]
