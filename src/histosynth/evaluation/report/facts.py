"""Facts of a section as a tree of texts, tables and heat tables, which the template walks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...core.number_format import MISSING, format_count
from .fact_words import estimate_in_words, key_in_words

MAX_ITEMS = 40
"""Items of one list or table on the page; the others are in report.json."""
MAX_DEPTH = 6
Matrix = tuple[str, "Fact"]
"""A title, and a heat table."""


@dataclass(frozen=True)
class Cell:
    """A cell of a heat table: count, share of its row, and colour strength in percent."""

    text: str
    share: str
    heat: int


@dataclass(frozen=True)
class Fact:
    """One value.

    Attributes:
        form: how it is drawn; it decides which of the other attributes are filled.
        text: of a `text`.
        pairs: key and value of each line of `pairs`.
        heads: of the columns of a `grid` or a `heat`.
        names: of the rows of a `heat`.
        grid: rows of a `grid`.
        cells: rows of a `heat`.
        titles: what rows and columns of a `heat` are.
        more: number of items that were left out.
    """

    form: Literal["text", "pairs", "grid", "heat"]
    text: str = ""
    pairs: tuple[tuple[str, Fact], ...] = ()
    heads: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    grid: tuple[tuple[Fact, ...], ...] = ()
    cells: tuple[tuple[Cell, ...], ...] = ()
    titles: tuple[str, str] = ("", "")
    more: int = 0


def fact_of(value: Any, depth: int = 0) -> Fact:
    """A JSON value as a tree."""
    if not value or depth >= MAX_DEPTH:
        return Fact("text", plain_text(value))
    if isinstance(value, Mapping):
        return _mapping(value, depth)
    if isinstance(value, list):
        if all(isinstance(each, Mapping) and each for each in value):
            return _grid(value, depth)
        if any(isinstance(each, Mapping | list) for each in value):
            numbered = {str(number): each for number, each in enumerate(value, 1)}
            return _pairs(numbered, depth)
    return Fact("text", plain_text(value))


def _mapping(value: Mapping[str, Any], depth: int) -> Fact:
    text = estimate_in_words(value)
    if text:
        return Fact("text", text)
    return _pairs(value, depth)


def plain_text(value: Any) -> str:
    """A value in one line. Numbers have no separators, since they may be copied (seeds)."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", [], {}):
        return MISSING
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        parts = [plain_text(each) for each in value[:MAX_ITEMS]]
        text = ", ".join(parts)
        more = len(value) - MAX_ITEMS
        if more > 0:
            text += f" and {format_count(more)} more"
        return text
    return str(value)


def take_matrices(
    facts: Mapping[str, Any], path: tuple[str, ...] = ()
) -> tuple[list[Matrix], dict[str, Any]]:
    """Confusion matrices at any depth of facts, each with a title; and the other facts."""
    tables: list[Matrix] = []
    rest: dict[str, Any] = {}
    for key, value in facts.items():
        titles = (*path, str(key).replace("_", " "))
        if not isinstance(value, Mapping) or not value or len(titles) > MAX_DEPTH:
            rest[key] = value
            continue
        found = matrices_of(value)
        if found:
            for side, table in found:
                parts = [*titles, side] if side else titles
                tables.append((", ".join(parts), table))
            continue
        inner, left = take_matrices(value, titles)
        tables += inner
        if left or not inner:
            rest[key] = left
    return tables, rest


def matrices_of(value: Mapping[str, Any]) -> list[Matrix]:
    """Confusion matrices, if a value is one or several over the same classes; else [].

    Either {"rows": [...], "columns": [...], "counts": [[...]]}, with optional `row_title` and
    `column_title`; or {"requested": [...], "found": [...], side: [[...]], ...} with one matrix for
    each side.
    """
    if "requested" in value and "found" in value:
        return _matrices_by_side(value)
    row_title = str(value.get("row_title", ""))
    column_title = str(value.get("column_title", ""))
    titles = (row_title, column_title)
    table = _heat_table(
        value.get("rows"),
        value.get("columns"),
        value.get("counts"),
        titles,
    )
    return [] if table is None else [("", table)]


def _matrices_by_side(value: Mapping[str, Any]) -> list[Matrix]:
    tables = []
    for side, counts in value.items():
        if side in ("requested", "found") or counts is None:
            continue
        titles = ("requested", "found")
        table = _heat_table(
            value["requested"],
            value["found"],
            counts,
            titles,
        )
        if table is None:
            return []
        tables.append((side, table))
    return tables


def _heat_table(
    rows: Any,
    columns: Any,
    counts: Any,
    titles: tuple[str, str],
) -> Fact | None:
    """A matrix of counts; None where the values are no matrix of that size."""
    for each in (rows, columns, counts):
        if not isinstance(each, list):
            return None
    if len(counts) != len(rows):
        return None
    for row in counts:
        if not isinstance(row, list) or len(row) != len(columns):
            return None
        if not all(_is_count(each) for each in row):
            return None
    return Fact(
        "heat",
        heads=tuple(map(str, columns)),
        names=tuple(map(str, rows)),
        cells=tuple(_cells(row) for row in counts),
        titles=titles,
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def _cells(row: Sequence[float]) -> tuple[Cell, ...]:
    total = sum(row)
    cells = []
    for each in row:
        share = each / total if total else 0.0
        text = f"{each:.3g}"
        if each == int(each):
            text = format_count(int(each))
        percent = f"{share:.0%}"
        cells.append(Cell(text, percent, round(100 * share)))
    return tuple(cells)


def _pairs(value: Mapping[str, Any], depth: int) -> Fact:
    items = list(value.items())
    pairs = []
    for key, each in items[:MAX_ITEMS]:
        name = key_in_words(str(key))
        inner = fact_of(each, depth + 1)
        pairs.append((name, inner))
    return Fact(
        "pairs",
        pairs=tuple(pairs),
        more=max(0, len(items) - MAX_ITEMS),
    )


def _grid(rows: Sequence[Mapping[str, Any]], depth: int) -> Fact:
    names: dict[str, None] = {}
    for row in rows:
        for key in row:
            names[str(key)] = None
    heads = tuple(names)
    grid = []
    for row in rows[:MAX_ITEMS]:
        cells = [fact_of(row.get(head), depth + 1) for head in heads]
        grid.append(tuple(cells))
    return Fact(
        "grid",
        heads=heads,
        grid=tuple(grid),
        more=max(0, len(rows) - MAX_ITEMS),
    )
