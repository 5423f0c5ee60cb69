"""Names of files that others chose: which of them are used, and which are one file."""

from __future__ import annotations

import re
import unicodedata

from .visible import is_hidden, visible

MAX_NAME_BYTES = 240
"""Of one name: file systems take 255, and the temporary file that it is written to first has a
longer name."""
_NOT_PORTABLE = re.compile(r'[/\\:*?"<>|]')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)
"""Windows opens a device for these, whatever ending follows."""


def name_problem(name: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Why a name that a stranger chose cannot be that of one file in a folder; "" if it can.

    The same on every system, as folders move between them.

    Args:
        name: without any folder.
        max_bytes: limit of its length in UTF-8.
    """
    if not name.strip():
        return "it is empty"
    hidden = next(filter(is_hidden, name), "")
    if hidden:
        return f"it holds the character {visible(hidden)}"
    found = _NOT_PORTABLE.search(name)
    if found:
        return f"it holds the character {found.group()}"
    if name.startswith("."):
        return "it begins with a dot"
    if name != name.strip() or name.endswith("."):
        return "it begins or ends with a space, or ends with a dot"
    if _DEVICE.fullmatch(name.partition(".")[0].strip()):
        return "Windows keeps it for a device"
    length = len(name.encode())
    if length > max_bytes:
        return f"it has {length} bytes, and {max_bytes} are the most"
    return ""


def path_problem(name: str) -> str:
    """Why a relative path with slashes, e.g. in an archive, cannot be used; "" if it can."""
    parts = name.split("/")
    if {"", ".", ".."} & {*parts}:
        return "it leads elsewhere"
    problems = [name_problem(part) for part in parts]
    return next(filter(None, problems), "")


def name_key(name: str) -> str:
    """Equal for names that are one file where upper and lower case, or composed and decomposed
    letters, are the same (Windows, macOS).
    """
    folded = unicodedata.normalize("NFC", name).casefold()
    return unicodedata.normalize("NFC", folded)
