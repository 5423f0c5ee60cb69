"""Values of recipes that are no tables: numbers, texts, paths, and how wrong ones are shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .recipe_limits import Limits
from .recipe_names import nearest_name

_MAX_TEXT = 4_096
"""Characters of a text; no path is longer."""
_MAX_NAME_BYTES = 255
"""Of a part of a path, on every file system in use."""
_MAX_WHOLE = 2**63
_MAX_DIGITS = 18
_SHOWN = 80
"""Characters of a wrong value in a message."""


def convert_scalar(
    value: Any,
    hint: Any,
    key: str,
    problems: list[str],
) -> Any:
    """A plain value as a path, or as the number, text or truth value that it already is."""
    if hint is Path and isinstance(value, str):
        _check_text(value, key, problems)
        check_path(value, key, problems)
        return Path(value)
    if hint is float:
        value = _finite_number(value, key, problems)
    is_bool_as_int = hint is int and isinstance(value, bool)
    if not isinstance(value, hint) or is_bool_as_int:
        meant = _meant_value(value, hint)
        problems.append(
            f"{key} must be {hint.__name__}, not {shown_value(value)}{suggested(meant)}"
        )
    elif hint is int and abs(value) >= _MAX_WHOLE:
        problems.append(f"{key} is a whole number of more than 63 bits")
    elif hint is str:
        _check_text(value, key, problems)
    return value


def check_choice(
    value: Any,
    choices: Sequence[Any],
    key: str,
    problems: list[str],
) -> None:
    """A value that must be one of some."""
    if value in choices:
        return
    listed = ", ".join(repr(choice) for choice in choices)
    names = [choice for choice in choices if isinstance(choice, str) and choice]
    meant = nearest_name(value, names) if isinstance(value, str) else ""
    found = f"{key} is {shown_value(value)}, not one of {listed}"
    problems.append(found + suggested(repr(meant) if meant else ""))


def check_limits(
    value: Any,
    limits: Limits,
    key: str,
    problems: list[str],
) -> None:
    """A number that must lie within limits."""
    problem = limits.problem_of(value)
    if problem:
        problems.append(f"{key} {problem}")


def check_path(value: Any, key: str, problems: list[str]) -> None:
    """Problems of a path that no file system can have."""
    if not isinstance(value, str):
        return
    longest = max(len(part.encode("utf-8", "surrogatepass")) for part in value.split("/"))
    if longest > _MAX_NAME_BYTES and len(value) <= _MAX_TEXT:
        problems.append(f"{key} names a file of {longest:,} bytes; {_MAX_NAME_BYTES} are the most")


def suggested(meant: str) -> str:
    """The end of a problem that names what the user may have meant."""
    return f" (did you mean {meant}?)" if meant else ""


def shown_value(value: Any) -> str:
    """A wrong value for a message, cut where it is long."""
    if isinstance(value, int) and abs(value) >= _MAX_WHOLE:
        return "a whole number of more than 63 bits"  # Python refuses to write very long ones
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _meant_value(value: Any, hint: Any) -> str:
    """The value of the right type that a wrong one stands for, as TOML; "" for none."""
    if isinstance(value, str):
        return _meant_by_text(value.strip().lower(), hint)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return _meant_by_number(value, hint)


def _meant_by_number(value: int | float, hint: Any) -> str:
    if hint is bool:
        truth = {0.0: "false", 1.0: "true"}
        return truth.get(float(value), "") if abs(value) < _MAX_WHOLE else ""
    if hint is str:
        text = shown_value(value)
        return f'"{text}"' if len(text) < _MAX_DIGITS else ""
    is_whole = isinstance(value, float) and value.is_integer()
    is_meant = hint is int and is_whole and abs(value) < _MAX_WHOLE
    return str(int(value)) if is_meant else ""


def _meant_by_text(text: str, hint: Any) -> str:
    if hint is bool:
        return text if text in ("true", "false") else ""
    if hint not in (int, float) or len(text) > _MAX_DIGITS:
        return ""
    try:
        number = hint(text)
    except ValueError:
        return ""
    return str(number) if math.isfinite(number) else ""


def _finite_number(value: Any, key: str, problems: list[str]) -> Any:
    value = _whole_to_float(value)
    if isinstance(value, float) and not math.isfinite(value):
        problems.append(f"{key} must be a finite number, not {value}")
    return value


def _check_text(value: str, key: str, problems: list[str]) -> None:
    if "\0" in value:
        problems.append(f"{key} holds a NUL character")
    if len(value) > _MAX_TEXT:
        problems.append(f"{key} holds {len(value):,} characters, over the limit of {_MAX_TEXT:,}")


def _whole_to_float(value: Any) -> Any:
    """A whole number as a float, infinite if it is too large; any other value unchanged."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return float(value) if abs(value) < 2**63 else math.inf
