"""The two files of a report."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.own_files import OwnFiles, keys_of_json
from ...core.plain_files import open_plain
from ...core.store import json_text
from .model import Report

_JSON = "report.json"
_HTML = "report.html"
_KEYS = {"schema", "title", "sections"}
_MARK = b"The same numbers are in report.json."
"""Stands at the end of every page."""
_END_BYTES = 4096


def refuse_foreign_reports(folder: Path) -> None:
    """Refuse, before anything is measured, to replace files that no evaluation wrote.

    Raises:
        NotWritable: naming the first.
    """
    _reports_of(folder).refuse_foreign([_JSON, _HTML])


def _reports_of(folder: Path) -> OwnFiles:
    return OwnFiles(folder, earlier=_is_earlier)


def _is_earlier(path: Path) -> bool:
    """Whether a release that kept no record wrote a report."""
    if path.name == _JSON:
        return keys_of_json(path) >= _KEYS
    with open_plain(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _END_BYTES, 0))
        return _MARK in file.read(_END_BYTES)


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write `report.json` and `report.html`, each whole or not at all; older reports are replaced.

    Args:
        report: what was found.
        folder: created if it does not exist.

    Returns:
        Paths of the two files.

    Raises:
        NotWritable: the folder cannot be created or written, or holds other files of these names.
    """
    from .page import render  # jinja2 and matplotlib are loaded only where a page is written

    page = render(report)
    texts = {
        _JSON: json_text(report.as_dict()),
        _HTML: page,
    }
    json_path, html_path = _reports_of(folder).write_texts(texts)
    return json_path, html_path
