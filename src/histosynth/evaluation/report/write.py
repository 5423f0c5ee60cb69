"""The two files of a report."""

from __future__ import annotations

from pathlib import Path

from ...core.store import write_json, write_text
from .model import Report


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write `report.json` and `report.html`, each whole or not at all; older ones are replaced.

    Args:
        report: what was found.
        folder: created if it does not exist.

    Returns:
        Paths of the two files.

    Raises:
        NotWritable: the folder cannot be created or written.
    """
    from .page import render  # jinja2 and matplotlib are loaded only where a page is written

    page = render(report)
    json_path = folder / "report.json"
    html_path = folder / "report.html"
    write_json(json_path, report.as_dict())
    write_text(html_path, page)
    return json_path, html_path
