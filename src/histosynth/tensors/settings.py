"""Settings of a network that come with its weights: `config.json` and the like.

A file of settings may decide sizes, and nothing else: neither which code runs, nor where anything
is fetched from. So only values that the network's own class takes are passed on, each within
bounds; keys that would choose code are refused, and all others are left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..core.errors import BadWeights, first_line
from ..core.plain_files import open_plain

MAX_SETTINGS_BYTES = 16 << 20
_MAX_NUMBER = 1e9
_MAX_LIST = 64
_MAX_TEXT = 200
_MAX_DEPTH = 3
_CODE_KEYS = {
    "quantization_config": "it is quantised by a library that the file chooses",
    "compression_config": "it is compressed by a library that the file chooses",
}
"""Keys by which files choose the code that loads their weights, and what each means.

Others, such as `auto_map`, choose code for the network itself: they are left out, as ours is built.
"""
_REMEDY = (
    "Give the network as its authors publish it for diffusers or transformers themselves, in "
    "float16, bfloat16 or float32."
)


def read_settings(path: Path, *, remedy: str = "") -> dict[str, Any]:
    """A JSON file of names and values.

    Args:
        path: of the file.
        remedy: of the error; "": the usual one.

    Raises:
        BadWeights: it cannot be read, is too large, holds no names with values, or chooses code.
    """
    try:
        with open_plain(path) as file:
            data = file.read(MAX_SETTINGS_BYTES + 1)
        if len(data) > MAX_SETTINGS_BYTES:
            raise ValueError(f"it has more than {MAX_SETTINGS_BYTES:,} bytes")
        values = json.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise _bad(path, "it is nested too deeply", remedy) from error
    except (OSError, ValueError) as error:
        reason = f"it cannot be read as settings ({first_line(error)})"
        raise _bad(path, reason, remedy) from error
    if not isinstance(values, dict):
        raise _bad(path, "it holds no names with values", remedy)
    refuse_code(values, path)
    return values


def _bad(path: Path, reason: str, remedy: str) -> BadWeights:
    return BadWeights(path, reason, remedy) if remedy else BadWeights(path, reason)


def refuse_code(values: dict[str, Any], path: Path) -> None:
    """Refuse settings that choose which code loads or runs the network.

    Raises:
        BadWeights: naming the key.
    """
    for key, meaning in _CODE_KEYS.items():
        if values.get(key):
            raise BadWeights(path, f"{meaning} ({key})", _REMEDY)


def network_settings(
    path: Path,
    names: Collection[str],
    *,
    remedy: str = "",
) -> dict[str, Any]:
    """The settings of a network, from a JSON file: those that its class takes, and no others.

    Args:
        path: of the file.
        names: of the settings that the class takes.
        remedy: of the error; "": the usual one.

    Raises:
        BadWeights: see `read_settings`; or a value is out of bounds.
    """
    found = read_settings(path, remedy=remedy)
    known = {
        name: value for name, value in found.items() if name in names and not name.startswith("_")
    }
    return settings_within_bounds(known, path, remedy=remedy)


def settings_within_bounds(
    settings: dict[str, Any],
    path: Path,
    *,
    remedy: str = "",
) -> dict[str, Any]:
    """The same settings: numbers, short texts and short lists of these.

    Raises:
        BadWeights: a value is something else, or too large.
    """
    for name, value in settings.items():
        problem = _problem_of(value, _MAX_DEPTH)
        if problem:
            raise _bad(path, f"{name[:_MAX_TEXT]} {problem}", remedy)
    return settings


def _problem_of(value: Any, depth: int) -> str:
    """Why a value is none that a network takes; "" if it is one."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        is_small = -_MAX_NUMBER <= value <= _MAX_NUMBER  # no number that is none is
        return "" if is_small else f"lies outside of {-_MAX_NUMBER:,.0f} to {_MAX_NUMBER:,.0f}"
    if isinstance(value, str):
        return "" if len(value) <= _MAX_TEXT else f"has more than {_MAX_TEXT} letters"
    if isinstance(value, list):
        return _problem_of_list(value, depth)
    return "is a table, which no network takes"


def _problem_of_list(values: list[Any], depth: int) -> str:
    """As `_problem_of`, for a list that may hold lists `depth` times."""
    if len(values) > _MAX_LIST:
        return f"holds {len(values):,} values, more than {_MAX_LIST}"
    if not depth:
        return "is nested too deeply"
    problems = (_problem_of(each, depth - 1) for each in values)
    return next((each for each in problems if each), "")
