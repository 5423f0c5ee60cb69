"""Text of others where people read it: nothing in it can move, colour or reorder what is around."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_JOINERS = "\u200c\u200d"
"""Part of words in Persian and in languages of India."""
_HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's controls, formats (with those that reverse text), surrogates and line separators."""
_SHORT = {
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
}
_NOT_PLAIN = re.compile(r"[^\x20-\x7e]")


def is_hidden(character: str) -> bool:
    """Whether a character does not show: a control, an escape, a direction of writing."""
    if character in _JOINERS:
        return False
    category = unicodedata.category(character)
    return category in _HIDDEN_CATEGORIES


def visible(text: object, *, keep: str = "") -> str:
    r"""A text with its hidden characters as escapes: `\n`, `\u001b`, `\u202e`.

    Args:
        text: or a value, as `str` gives it.
        keep: hidden characters that stay, e.g. ends of lines.
    """

    def escaped(found: re.Match[str]) -> str:
        character = found.group()
        if character in keep or not is_hidden(character):
            return character
        code = ord(character)
        return _SHORT.get(character, f"\\u{code:04x}")

    return _NOT_PLAIN.sub(escaped, str(text))


def json_line(value: Any) -> str:
    """A value as one line of JSON in plain ASCII characters, which reads back equal."""
    text = json.dumps(value)
    return text.replace("\x7f", r"\u007f")
