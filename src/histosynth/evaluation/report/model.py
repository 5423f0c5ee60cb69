"""A report as values: the sides that were compared, sections of all metrics, warnings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ...core.line_of_facts import line_of_facts
from ...metrics.finding import Section

REPORT_SCHEMA = 2
"""Version of report.json. It increases when a key changes its meaning or is removed."""

_TEXTS = (str, bytes, bytearray)
"""Sequences that are one value of JSON."""


@dataclass(frozen=True)
class Material:
    """The tiles of one side, as the report describes them.

    Attributes:
        name: e.g. the folder's name.
        tiles: number of tiles measured.
        patients: number of patients; 0: not known.
        size_px: width and height; None: several sizes.
        mpp: micrometres per pixel at which tiles were measured; None: not known.
        codec: compression of the files, e.g. `png` or `jpeg 80`.
        sha256: of the files that were read.
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
    """Everything that was found.

    Attributes:
        title: of the page.
        synthetic: the synthetic tiles.
        real: the real tiles that they are compared with.
        reference: other real tissue, from which the baselines come.
        encoder: facts of the encoder: name, scale, digest.
        sections: one per metric, in reading order; each key once.
        warnings: sentences that come before any number.
        refused: tiles that were not measured, each with its reason.
        created: version, settings, seed, duration.
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
            raise ValueError(f"two sections have one key: {keys}")

    def __repr__(self) -> str:
        facts = [self.title, f"{self.synthetic.tiles:,} synthetic tiles"]
        if self.real is not None:
            facts.append(f"{self.real.tiles:,} real tiles")
        facts.append(f"{len(self.sections)} sections")
        facts.append(f"{len(self.warnings)} warnings")
        return line_of_facts("Report", facts)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a number that is not finite becomes None."""
        sides = {
            "synthetic": self.synthetic,
            "real": self.real,
            "reference": self.reference,
        }
        materials: dict[str, Any] = {}
        for name, side in sides.items():
            materials[name] = asdict(side) if side else None
        sections = {section.key: section.as_dict() for section in self.sections}
        plain = {
            "schema": REPORT_SCHEMA,
            "title": self.title,
            **materials,
            "encoder": self.encoder,
            "warnings": self.warnings,
            "refused": self.refused,
            "sections": sections,
            "created": self.created,
        }
        values: dict[str, Any] = json_value(plain)
        return values


def json_value(value: Any) -> Any:
    """A value as JSON allows it.

    NaN and infinity become None, numpy arrays lists, and unknown types their text.
    """
    if isinstance(value, np.generic | np.ndarray):
        return json_value(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): json_value(each) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        return [json_value(each) for each in sorted(value, key=str)]
    if isinstance(value, _TEXTS):
        return value if isinstance(value, str) else str(value)
    if isinstance(value, Sequence):
        return [json_value(each) for each in value]
    return _json_scalar(value)


def _json_scalar(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)
