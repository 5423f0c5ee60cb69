"""JSON text read piece by piece: small values whole, large ones member by member.

Values are parsed by Python's own `json`, so that what is read, and what is refused, is the same
whether a file fits a piece or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from .faults import AnnotationFault

WINDOW = 1 << 21
"""Characters; a value that does not fit is opened. A piece of this size is some 50 MB of values."""
MAX_VALUE_CHARACTERS = 1 << 26
"""Characters of one value that cannot be opened."""
_BLANKS = " \t\n\r"
_NUMBER_END = 4
"""A number that ends so near the end of a piece may continue in the next one."""
_LONGEST_CUT = 16
"""Characters of a word or escape that the end of a piece may cut."""
_BOM = "\ufeff"


class _Large:
    """Stands for a value that does not fit the window."""


LARGE = _Large()


class JsonText:
    """A document, from its pieces.

    Args:
        pieces: of the text, in order.

    Raises:
        AnnotationFault: it is no JSON, with the sentence that `json` has for it.
    """

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self._text = ""
        self._at = 0
        self._has_ended = False
        self._dropped = 0
        self._dropped_lines = 0
        self._dropped_column = 0
        self._decoder = json.JSONDecoder(object_pairs_hook=_without_twins)
        self._fill(1)
        if self._text.startswith(_BOM):
            raise self._error("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0)

    def peek(self) -> str:
        """The next character that is no blank; "" at the end."""
        while True:
            if self._at >= len(self._text) and not self._fill(1):
                return ""
            if self._text[self._at] not in _BLANKS:
                return self._text[self._at]
            self._at += 1

    def small_value(self) -> Any:
        """The next value, or `LARGE`, before which the text stays."""
        return self._value(WINDOW)

    def value(self) -> Any:
        """The next value, which must fit memory.

        Raises:
            AnnotationFault: it is too large.
        """
        found = self._value(MAX_VALUE_CHARACTERS)
        if found is LARGE:
            raise AnnotationFault(
                f" holds one value of more than {MAX_VALUE_CHARACTERS:,} characters",
                "Write each nucleus as an object of its own, and the type of a geometry before "
                "its coordinates.",
            )
        return found

    def skip(self) -> None:
        """Pass the next value, of any size."""
        if self.small_value() is not LARGE:
            return
        if self.peek() == "{":
            for _ in self.members():
                self.skip()
        elif self.peek() == "[":
            for _ in self.elements():
                self.skip()
        else:
            self.value()

    def members(self) -> Iterator[str]:
        """Keys of an object; the caller takes each value before the next key."""
        self._take("{")
        before = "{"
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self._misplaced(before)
            key = self.value()
            if self.peek() != ":":
                raise self._misplaced('{""')
            self._at += 1
            yield key
            before = '{"":0,'
            if self._is_last("}", '{"":0'):
                return

    def elements(self) -> Iterator[None]:
        """Elements of a list; the caller takes each before the next."""
        self._take("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield
            if self._is_last("]", "[0"):
                return
            if self.peek() == "]":
                raise self._misplaced("[0,")

    def end(self) -> None:
        """Refuse what follows the document."""
        if self.peek():
            raise self._error("Extra data", self._at)

    def _take(self, bracket: str) -> None:
        if self.peek() != bracket:
            raise self._misplaced("")
        self._at += 1

    def _is_last(self, bracket: str, before: str) -> bool:
        """Pass a comma, or the end of an object or list."""
        mark = self.peek()
        if mark not in ("", ",", bracket) or not mark:
            raise self._misplaced(before)
        self._at += 1
        return mark == bracket

    def _value(self, most: int) -> Any:
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._has_ended or self._is_certain(error):
                    raise self._error(error.msg, error.pos) from error
                end = len(self._text)
                value = None
            except (ValueError, RecursionError) as error:
                raise no_json(str(error)) from error
            if end + _NUMBER_END <= len(self._text) or self._has_ended:
                self._at = end
                return value
            held = len(self._text) - self._at
            if held >= most:
                return LARGE
            self._fill(min(2 * held + _NUMBER_END, most))

    def _is_certain(self, error: json.JSONDecodeError) -> bool:
        """Whether more text could not make a value of what is broken."""
        is_far = error.pos + _LONGEST_CUT < len(self._text)
        return is_far and not error.msg.startswith("Unterminated string")

    def _fill(self, wanted: int) -> bool:
        """Have `wanted` characters ahead, if there are so many; whether there are any."""
        held = [self._text[self._at :]]
        length = len(held[0])
        self._drop(self._text[: self._at])
        while length < wanted and not self._has_ended:
            piece = next(self._pieces, None)
            self._has_ended = piece is None
            if piece:
                held.append(piece)
                length += len(piece)
        self._text = "".join(held)
        self._at = 0
        return length > 0

    def _drop(self, text: str) -> None:
        self._dropped += len(text)
        lines = text.count("\n")
        self._dropped_lines += lines
        last = text.rfind("\n")
        self._dropped_column = len(text) - last - 1 + (0 if lines else self._dropped_column)

    def _misplaced(self, before: str) -> AnnotationFault:
        """The error that `json` has for the text from here after `before`."""
        try:
            self._decoder.decode(before + self._text[self._at :])
        except json.JSONDecodeError as error:
            return self._error(error.msg, self._at + error.pos - len(before))
        return self._error("Expecting value", self._at)

    def _error(self, message: str, at: int) -> AnnotationFault:
        """An error of `json` at a place of this piece, stated as a place of the document."""
        before = self._text[:at]
        column = at - before.rfind("\n")
        if "\n" not in before:
            column = at + 1 + self._dropped_column
        line = self._dropped_lines + before.count("\n") + 1
        return no_json(f"{message}: line {line} column {column} (char {self._dropped + at})")


def no_json(reason: str) -> AnnotationFault:
    """The refusal of what is no JSON."""
    return AnnotationFault(f" is not JSON: {reason}", "Export it again.")


def twice(key: str) -> AnnotationFault:
    """The refusal of a key that stands twice in an object too large to compare its values."""
    return no_json(f"an object holds the key {key!r:.80} twice")


def _without_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; where a key stands twice, Python would keep the last and drop the rest.

    QuPath 0.5 writes the metadata of a TMA core twice, which is harmless.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        for key, value in pairs:
            if value != values[key]:
                raise ValueError(f"an object holds the key {key!r:.80} twice, with two values")
    return values
