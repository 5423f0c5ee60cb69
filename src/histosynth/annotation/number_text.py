"""Numbers that files hold as text."""

from __future__ import annotations


def parse_number(text: str) -> float:
    """A plain decimal number; Python would also take `1_0` for ten, and digits of other scripts.

    Raises:
        ValueError: the text is none.
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text} is not a number")
    return float(text)


def is_number(text: str) -> bool:
    """Whether `parse_number` reads a text."""
    try:
        parse_number(text)
    except ValueError:
        return False
    return True
