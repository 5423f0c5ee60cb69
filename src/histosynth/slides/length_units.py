"""Units of length by the names that files give them."""

from __future__ import annotations

import math
import re

UM_PER_UNIT = {
    "m": 1e6,
    "dm": 1e5,
    "cm": 1e4,
    "mm": 1e3,
    "um": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "fm": 1e-9,
    "Å": 1e-4,
    "in": 25_400.0,
    "thou": 25.4,
    "mil": 25.4,
    "ft": 304_800.0,
    "metre": 1e6,
    "centimetre": 1e4,
    "millimetre": 1e3,
    "micrometre": 1.0,
    "nanometre": 1e-3,
    "angstrom": 1e-4,
    "inch": 25_400.0,
    "micron": 1.0,
}
"""Micrometres in one unit. Case counts: Mm is no mm."""
_MICRO_SIGNS = ("\u00c2\u00b5", "\u00ce\u00bc", "\\u00b5", "\\u00B5", "\u00b5", "\u03bc")
"""Both signs of Unicode, how ImageJ writes one, and what is left of each where its UTF-8 bytes were
read as Latin-1."""
_ANGSTROM_SIGN = "\u212b"
_SHORTEST_WORD = 4
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_LENGTH = re.compile(r"([-+0-9.,eE' \u00a0\u202f]*[0-9.])\s*([^\d\s/]*)\s*(?:/\s*(?:px|pixel))?")


def um_per_unit(name: str) -> float | None:
    """Micrometres in a unit of that name; None where it is no known unit of length."""
    name = name.strip().replace(_ANGSTROM_SIGN, "Å")
    for sign in _MICRO_SIGNS:
        name = name.replace(sign, "u")
    if name in UM_PER_UNIT:
        return UM_PER_UNIT[name]
    word = name.lower().replace("meter", "metre")
    if len(word) < _SHORTEST_WORD:
        return None
    for singular in (word, word.removesuffix("s"), word.removesuffix("es")):
        if singular in UM_PER_UNIT:
            return UM_PER_UNIT[singular]
    return None


def number_of(text: str) -> float | None:
    """A finite number as people and programs of several languages write it.

    One comma is a decimal comma; of a comma and a point, the last is the decimal mark; spaces and
    apostrophes between digits are left out.
    """
    text = re.sub(r"[\s']", "", text)
    if "," in text and "." in text:
        thousands = "," if text.rindex(".") > text.rindex(",") else "."
        text = text.replace(thousands, "")
    elif text.count(",") > 1:
        text = text.replace(",", "")
    text = text.replace(",", ".")
    if not _DECIMAL.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def length_um(text: str) -> float | None:
    """A length such as `0,2525`, `0.25 um` or `250 nm/pixel` in um; without a unit it is in um."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        return None
    value = number_of(found.group(1))
    factor = um_per_unit(found.group(2) or "um")
    if value is None or factor is None:
        return None
    return value * factor
