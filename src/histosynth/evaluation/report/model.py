"""What judges said of one set of tiles, all together, and the two files that carry it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.store import write_json, write_text
from ...metrics.finding import Section

SCHEMA = 1
"""Of report.json. Goes up when a key changes its meaning or goes away, not when one is added."""


@dataclass(frozen=True)
class Material:
    """The tiles of one side, in words.

    Attributes:
        name: what they are, e.g. the folder's name.
        tiles: how many were judged.
        patients: of how many; 0: not known.
        size_px: width and height; None: not all the same.
        mpp: micrometres per pixel at which they were judged; None: not known.
        codec: how the files are compressed, e.g. `png` or `jpeg 80`.
        sha256: of what was read.
        note: anything else that a reader should know.
    """

    name: str
    tiles: int
    patients: int = 0
    size_px: tuple[int, int] | None = None
    mpp: float | None = None
    codec: str = ""
    sha256: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Report:
    """All that was found.

    Attributes:
        title: of the page.
        synthetic: what was judged.
        real: what it was judged beside.
        reference: other real tissue, from which the floors come.
        encoder: facts of what pictures were seen with: name, scale, digest.
        sections: what each judge says, in reading order; each key once.
        warnings: sentences that come before any number.
        refused: tiles that were not judged, each with its reason.
        created: version, settings, seed, how long it took.
    """

    title: str
    synthetic: Material
    real: Material | None = None
    reference: Material | None = None
    encoder: Mapping[str, Any] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    warnings: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    created: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        keys = [section.key for section in self.sections]
        if len(set(keys)) < len(keys):
            raise ValueError(f"two sections of one key: {keys}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, all of them finite: None stands where a number is not."""
        sides = {
            "synthetic": self.synthetic,
            "real": self.real,
            "reference": self.reference,
        }
        plain = {
            "schema": SCHEMA,
            "title": self.title,
            **{name: asdict(side) if side else None for name, side in sides.items()},
            "encoder": self.encoder,
            "warnings": self.warnings,
            "refused": self.refused,
            "sections": {section.key: section.as_dict() for section in self.sections},
            "created": self.created,
        }
        told: dict[str, Any] = finite(plain)
        return told


def finite(value: Any) -> Any:
    """A value as JSON has it: no NaN, no infinity, no numpy; what JSON does not know becomes its
    text.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return finite(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [finite(each) for each in items]
    return str(value)


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write `report.json` and `report.html`, each whole or not at all; what stands there is
    replaced.

    Args:
        report: what was found.
        folder: made if it is not there.

    Returns:
        Where the two files are.

    Raises:
        NotWritable: the folder cannot be made or written.
    """
    from .page import render  # jinja2 and matplotlib are loaded only where a page is wanted

    page = render(report)
    paths = folder / "report.json", folder / "report.html"
    write_json(paths[0], report.as_dict())
    write_text(paths[1], page)
    return paths
