"""TOML of strangers: bounded before it is parsed, since a small file can keep the parser busy."""

from __future__ import annotations

import re
import tomllib
from typing import Any

MAX_TOML_BYTES = 1 << 20
MAX_KEY_PARTS = 16
"""Of one dotted key; recipes use three."""
MAX_ALL_PARTS = 20_000
"""Of all dotted keys together."""
MAX_SIGNS = 100_000
"""Brackets and commas: beginnings of tables and lists, and ends of their values."""
MAX_NESTED = 32
"""Lists and tables within each other."""

_NO_KEYS = re.compile(
    r'"""(?:\\(?:.|\Z)|[^\\])*?(?:"{3,5}|\Z)'
    r"|'''.*?(?:'{3,5}|\Z)"
    r'|"(?:\\.|[^"\\\n])*"?'
    r"|'[^'\n]*'?"
    r"|#[^\n]*",
    re.DOTALL,
)
"""Texts and comments. One that is not closed reaches to its end, so that this takes linear time."""
_DOTTED = re.compile(r"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++)++")
_BRACKETS = re.compile(r"[\[\]{}]")


def parse_toml(text: str) -> dict[str, Any]:
    """A text of TOML as plain values.

    Raises:
        ValueError: it is none, too long, or more deeply nested than any recipe.
    """
    if len(text) > MAX_TOML_BYTES:
        raise ValueError(f"the file is larger than {MAX_TOML_BYTES} bytes")
    _refuse_costly(text)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error


def _refuse_costly(text: str) -> None:
    bare = _NO_KEYS.sub(_stand_in, text)
    parts = [found.group().count(".") + 1 for found in _DOTTED.finditer(bare)]
    most = max(parts, default=1)
    if most > MAX_KEY_PARTS:
        raise ValueError(f"a key has {most:,} parts, over the limit of {MAX_KEY_PARTS}")
    if sum(parts) > MAX_ALL_PARTS:
        raise ValueError(f"its dotted keys have {sum(parts):,} parts, over {MAX_ALL_PARTS:,}")
    signs = sum(bare.count(sign) for sign in "[{,")
    if signs > MAX_SIGNS:
        raise ValueError(f"it holds {signs:,} lists, tables and their values, over {MAX_SIGNS:,}")
    depth = 0
    for found in _BRACKETS.finditer(bare):
        depth += 1 if found.group() in "[{" else -1
        if depth > MAX_NESTED:
            raise ValueError(f"its values lie more than {MAX_NESTED} deep in each other")


def _stand_in(found: re.Match[str]) -> str:
    """A part of a key in place of a text, which may be one; nothing in place of a comment."""
    return "" if found.group().startswith("#") else "t"
