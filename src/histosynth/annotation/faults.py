"""What is wrong with a file of annotations, before the file is named."""

from __future__ import annotations

BROKEN_VALUES = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What values of JSON raise that are not as the form has them."""


class AnnotationFault(Exception):
    """A file cannot be used. The reader that knows its name makes a refusal of it.

    Args:
        problem: what follows the file's name, without the full stop, e.g. ` is empty`.
        remedy: what to do next, a sentence.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
