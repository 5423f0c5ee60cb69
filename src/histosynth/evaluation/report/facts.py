"""Facts of a section as a tree of texts, tables and heat tables, for the template to walk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .number_format import count

MOST_ITEMS = 40
"""Of one list or table; the rest stands in report.json."""
DEEPEST = 6


@dataclass(frozen=True)
class Cell:
    """Of a heat table: the count, its share of the row, and the strength of its colour in
    percent.
    """

    text: str
    share: str
    heat: int


@dataclass(frozen=True)
class Fact:
    """One value.

    Attributes:
        kind: how it is drawn; which decides what else is filled in.
        text: of a `text`.
        pairs: key and value of each line of `pairs`.
        heads: of the columns of a `grid` or a `heat`.
        names: of the rows of a `heat`.
        grid: rows of a `grid`.
        cells: rows of a `heat`.
        titles: what rows and columns of a `heat` are.
        more: how much was left out.
    """

    kind: Literal["text", "pairs", "grid", "heat"]
    text: str = ""
    pairs: tuple[tuple[str, Fact], ...] = ()
    heads: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    grid: tuple[tuple[Fact, ...], ...] = ()
    cells: tuple[tuple[Cell, ...], ...] = ()
    titles: tuple[str, str] = ("", "")
    more: int = 0


def fact(value: Any, depth: int = 0) -> Fact:
    """A finite JSON value as a tree."""
    if isinstance(value, Mapping) and value and depth < DEEPEST:
        return _pairs(value, depth)
    if isinstance(value, list) and value and depth < DEEPEST:
        if all(isinstance(each, Mapping) and each for each in value):
            return _grid(value, depth)
        if any(isinstance(each, Mapping | list) for each in value):
            return _pairs({str(index): each for index, each in enumerate(value, 1)}, depth)
    return Fact("text", plain(value))


def plain(value: Any) -> str:
    """A value in one line; numbers unspaced, for they may be copied (seeds, settings)."""
    if value is None or value == "" or value == [] or value == {}:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        more = f" and {count(len(value) - MOST_ITEMS)} more" if len(value) > MOST_ITEMS else ""
        return ", ".join(plain(each) for each in value[:MOST_ITEMS]) + more
    return str(value)


def lifted(
    facts: Mapping[str, Any], path: tuple[str, ...] = ()
) -> tuple[list[tuple[str, Fact]], dict[str, Any]]:
    """Confusion matrices taken out of facts, however deep, each with a title; and what is left."""
    tables: list[tuple[str, Fact]] = []
    rest: dict[str, Any] = {}
    for key, value in facts.items():
        here = (*path, str(key).replace("_", " "))
        if not isinstance(value, Mapping) or not value or len(here) > DEEPEST:
            rest[key] = value
        elif found := heats(value):
            tables += [
                (", ".join((*here, *([side] if side else []))), table) for side, table in found
            ]
        else:
            inner, left = lifted(value, here)
            tables += inner
            rest |= {key: left} if left or not inner else {}
    return tables, rest


def heats(value: Mapping[str, Any]) -> list[tuple[str, Fact]]:
    """Confusion matrices, if this is one or several over the same classes.

    Either {"rows": [...], "columns": [...], "counts": [[...]]}, where `row_title` and
    `column_title` may say what rows and columns are; or {"asked": [...], "found": [...], side:
    [[...]], ...} with one for each side.
    """
    if "asked" in value and "found" in value:
        sides = {key: each for key, each in value.items() if key not in ("asked", "found")}
        tables = [
            (
                key,
                _heat(
                    value["asked"],
                    value["found"],
                    each,
                    ("asked for", "found"),
                ),
            )
            for key, each in sides.items()
            if each is not None
        ]
    else:
        titles = str(value.get("row_title", "")), str(value.get("column_title", ""))
        tables = [
            (
                "",
                _heat(
                    value.get("rows"),
                    value.get("columns"),
                    value.get("counts"),
                    titles,
                ),
            )
        ]
    found = [(key, table) for key, table in tables if table is not None]
    return found if len(found) == len(tables) else []


def _heat(
    rows: Any,
    columns: Any,
    counts: Any,
    titles: tuple[str, str],
) -> Fact | None:
    if not (isinstance(rows, list) and isinstance(columns, list) and isinstance(counts, list)):
        return None
    if len(counts) != len(rows) or not all(
        isinstance(r, list) and len(r) == len(columns) for r in counts
    ):
        return None
    if not all(_numeric(each) for row in counts for each in row):
        return None
    names = tuple(map(str, rows))
    heads = tuple(map(str, columns))
    return Fact(
        "heat",
        heads=heads,
        names=names,
        cells=tuple(map(_cells, counts)),
        titles=titles,
    )


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def _cells(row: Sequence[float]) -> tuple[Cell, ...]:
    total = sum(row)
    shares = [each / total if total else 0.0 for each in row]
    return tuple(
        Cell(
            count(int(each)) if each == int(each) else f"{each:.3g}",
            f"{share:.0%}",
            round(100 * share),
        )
        for each, share in zip(row, shares, strict=True)
    )


def _pairs(value: Mapping[str, Any], depth: int) -> Fact:
    items = list(value.items())
    pairs = tuple(
        (str(key).replace("_", " "), fact(each, depth + 1)) for key, each in items[:MOST_ITEMS]
    )
    return Fact("pairs", pairs=pairs, more=max(0, len(items) - MOST_ITEMS))


def _grid(rows: Sequence[Mapping[str, Any]], depth: int) -> Fact:
    heads = tuple(dict.fromkeys(str(key) for row in rows for key in row))
    grid = tuple(
        tuple(fact(row.get(head), depth + 1) for head in heads) for row in rows[:MOST_ITEMS]
    )
    return Fact(
        "grid",
        heads=heads,
        grid=grid,
        more=max(0, len(rows) - MOST_ITEMS),
    )
