"""Changes of a file's bytes: (content, random) => other content. All are harmless by size."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Random = np.random.Generator
Change = Callable[[bytes, Random], bytes]

HEADER_BYTES = 2_600
"""Most headers end before."""
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)
_WORDS = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80")
ODD_TEXTS = (
    "",
    " ",
    "nan",
    "-inf",
    "1e999",
    "-1",
    "0",
    "9" * 30,
    "1_0",
    "٣",
    "\x00",
    "\x1b[31m",
    "a\nb",
    "=1+1",
    "../..",
    "~",
    "/dev/null",
    "é" * 300,
    "\ud800",
    "x" * 5000,
    "\u202e",
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    2**64,
    10**40,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [None],
    {"": None},
    *ODD_TEXTS,
)


def pick(random: Random, items: Sequence[Any]) -> Any:
    """One of the items."""
    return items[int(random.integers(len(items)))]


def at(random: Random, length: int) -> int:
    """A place in [0, length), the beginning more often."""
    most = length if random.random() < 0.5 else min(length, HEADER_BYTES)
    return int(random.integers(max(most, 1)))


def set_bytes(content: bytes, random: Random) -> bytes:
    """One to eight bytes set to others, or to extremes."""
    changed = bytearray(content or b"\0")
    for _ in range(int(random.integers(1, 9))):
        value = pick(random, _EXTREMES) if random.random() < 0.5 else int(random.integers(256))
        changed[at(random, len(changed))] = value
    return bytes(changed)


def flip_bit(content: bytes, random: Random) -> bytes:
    """One bit of one byte."""
    changed = bytearray(content or b"\0")
    changed[at(random, len(changed))] ^= 1 << int(random.integers(8))
    return bytes(changed)


def set_word(content: bytes, random: Random) -> bytes:
    """Four bytes set to an extreme number."""
    place = at(random, len(content))
    return content[:place] + pick(random, _WORDS) + content[place + 4 :]


def cut(content: bytes, random: Random) -> bytes:
    """The beginning of a file."""
    return content[: int(random.integers(len(content) + 1))]


def drop(content: bytes, random: Random) -> bytes:
    """A piece left out."""
    place = at(random, len(content))
    return content[:place] + content[place + int(random.integers(1, 64)) :]


def repeat(content: bytes, random: Random) -> bytes:
    """A piece that stands there several times."""
    place = at(random, len(content))
    piece = content[place : place + int(random.integers(1, 64))]
    return content[:place] + piece * int(random.integers(2, 9)) + content[place + len(piece) :]


def move(content: bytes, random: Random) -> bytes:
    """A piece that stands elsewhere too."""
    source = at(random, len(content))
    piece = content[source : source + int(random.integers(1, 64))]
    place = at(random, len(content))
    return content[:place] + piece + content[place + len(piece) :]


def insert_noise(content: bytes, random: Random) -> bytes:
    """Bytes that do not belong there."""
    place = at(random, len(content))
    return content[:place] + random.bytes(int(random.integers(1, 32))) + content[place:]


BYTE_CHANGES: tuple[Change, ...] = (
    set_bytes,
    set_bytes,
    flip_bit,
    set_word,
    cut,
    drop,
    repeat,
    move,
    insert_noise,
)

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_TEXT = re.compile(rb'(?<=")[^"\n]*(?=")')


def _replace_one(pattern: re.Pattern[bytes], content: bytes, new: bytes, random: Random) -> bytes:
    found = list(pattern.finditer(content))
    if not found:
        return content[:1] + new + content[1:]
    place = pick(random, found)
    return content[: place.start()] + new + content[place.end() :]


def change_number(content: bytes, random: Random) -> bytes:
    """A number of a text set to an odd one."""
    new = pick(random, ("nan", "inf", "-1", "0", "1e999", "9" * 25, "0x7f", "1_0", "", "1.5", "-0"))
    return _replace_one(_NUMBER, content, new.encode(), random)


def change_quoted(content: bytes, random: Random) -> bytes:
    """A text in quotes set to an odd one."""
    new = pick(random, ODD_TEXTS).encode("utf-8", "surrogatepass")
    return _replace_one(_TEXT, content, new, random)


def change_lines(content: bytes, random: Random) -> bytes:
    """A line dropped, doubled, or exchanged with another."""
    lines = content.split(b"\n")
    first, second = (int(random.integers(len(lines))) for _ in range(2))
    match int(random.integers(4)):
        case 0:
            del lines[first]
        case 1:
            lines.insert(second, lines[first])
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
        case _:
            lines[first] = lines[first][: int(random.integers(len(lines[first]) + 1))]
    return b"\n".join(lines)


def set_coding(content: bytes, random: Random) -> bytes:
    """The same text in another coding."""
    text = content.decode("utf-8", "replace")
    return text.encode(pick(random, ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp037")))


TEXT_CHANGES: tuple[Change, ...] = (
    *BYTE_CHANGES[:4],
    cut,
    change_number,
    change_number,
    change_quoted,
    change_quoted,
    change_lines,
    change_lines,
    set_coding,
)


def places_of(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value inside a value of lists and dicts."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        box = waiting.pop()
        keys: Any = ()
        if isinstance(box, dict):
            keys = list(box)
        elif isinstance(box, list):
            keys = range(len(box))
        for key in keys:
            found.append((box, key))
            waiting.append(box[key])
    return found


def change_tree(value: Any, random: Random, odd: Sequence[Any] = ODD_VALUES) -> Any:
    """One to three values of a tree of lists and dicts dropped, replaced, wrapped or renamed."""
    tree = copy.deepcopy(value)
    for _ in range(int(random.integers(1, 4))):
        places = places_of(tree)
        if not places:
            return pick(random, odd)
        box, key = pick(random, places)
        match int(random.integers(6)):
            case 0:
                del box[key]
            case 1:
                box[key] = [box[key]]
            case 2 if isinstance(box, dict):
                box[pick(random, ODD_TEXTS)] = box.pop(key)
            case 3:
                other, other_key = pick(random, places_of(tree))
                box[key] = copy.deepcopy(other[other_key])
            case _:
                box[key] = pick(random, odd)
    return tree


def change_json(content: bytes, random: Random) -> bytes:
    """Values of a JSON document changed; the result is JSON. Of other texts, a number."""
    try:
        tree = change_tree(json.loads(content), random)
    except ValueError:
        return change_number(content, random)
    return json.dumps(tree).encode("utf-8", "surrogatepass")


JSON_CHANGES: tuple[Change, ...] = (change_json,) * 8 + TEXT_CHANGES
