"""The help in colours, on terminals only: headings bold, options and verbs cyan.

Typer's own colours load rich and its Markdown, which takes half as long again as the whole help.
"""

from __future__ import annotations

import os
import re

from ..core.visible import visible
from .streams import allow_escapes, shows_results

_HEADING = re.compile(
    r"^(?:Usage:|\w[\w ]*:$)",
    re.MULTILINE,
)
_NAME = re.compile(
    r"^  (?:-{1,2}[\w-]+(?:[,/] ?-{1,2}[\w-]+)*|[\w-]+(?=  +\S|$))",
    re.MULTILINE,
)
"""An option with its other names, or a verb."""
_BOLD = "\x1b[1m"
_CYAN = "\x1b[36m"
_END = "\x1b[0m"


def coloured(text: str) -> str:
    """A text of help in colours where stdout shows them, and as it is elsewhere."""
    if not _shows_colours():
        return text
    shown = visible(text, keep="\n")
    shown = _HEADING.sub(rf"{_BOLD}\g<0>{_END}", shown)
    shown = _NAME.sub(rf"{_CYAN}\g<0>{_END}", shown)
    allow_escapes(shown)
    return shown


def _shows_colours() -> bool:
    """Whether stdout is a terminal that knows colours; see no-color.org."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("TERM") == "dumb":
        return False
    if os.name == "nt" and "WT_SESSION" not in os.environ:
        return False
    return shows_results()
