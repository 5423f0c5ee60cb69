"""Texts of others inside Markdown and YAML that we write: they stay text, whatever they hold."""

from __future__ import annotations

import json
import re
import unicodedata

_MARKUP = re.compile(r"[\\`*\[\]<>|~$]|(?<![^\W_])_|_(?![^\W_])")
"""Characters that begin or end markup inside a line. An underscore within a word does not."""
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK = re.compile(r"^(?:[#+=-]|\d{1,9}(?=[.)]))")
"""What begins a heading, a list or a rule at the start of a line."""
_ADDRESS = re.compile(r":(?=//)")
_WEB = re.compile(r"(?<=www)\.", re.IGNORECASE)
"""Programs make links of bare addresses."""
_NOT_SHOWN = ("Cc", "Cf", "Cs")
"""Unicode's categories of control characters, format marks and halves of pairs."""
_PLAIN_YAML = re.compile(r"[a-z][a-z0-9.+/();, -]*(?<! )")
_YAML_WORDS = (
    "false",
    "n",
    "no",
    "null",
    "off",
    "on",
    "true",
    "y",
    "yes",
)
"""Words that are values of other types in some version of YAML."""


def one_line(text: str) -> str:
    """A text on one line, without control characters and marks that reverse its direction."""
    kept = []
    for character in " ".join(text.split()):
        if unicodedata.category(character) not in _NOT_SHOWN:
            kept.append(character)
    return "".join(kept)


def escaped_markdown(text: str) -> str:
    """A text as one line of Markdown that shows it: no HTML, link, picture, table or heading."""
    line = _ENTITY.sub("&amp;", one_line(text))
    line = _MARKUP.sub(_escape, line)
    line = _ADDRESS.sub("&#58;", line)
    line = _WEB.sub("&#46;", line)
    block = _BLOCK.match(line)
    if block is None:
        return line
    end = block.end()
    is_number = block.group()[0].isdigit()
    at = end if is_number else 0
    return f"{line[:at]}\\{line[at:]}"


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    if character == "<":
        return "&lt;"
    if character == ">":
        return "&gt;"
    return f"\\{character}"


def markdown_code(text: str) -> str:
    """A text as code inside a line of Markdown. Backquotes, which would end it, become quotes."""
    code = one_line(text).replace("`", "'")
    if not code:
        code = " "
    return f"`{code}`"


def front_matter_text(text: str) -> str:
    """A text as one value of YAML: plain where that is certain, else in JSON's quotes."""
    line = one_line(text)
    if _PLAIN_YAML.fullmatch(line) and line not in _YAML_WORDS:
        return line
    return json.dumps(line, ensure_ascii=False)
