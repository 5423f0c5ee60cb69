"""Errors that libraries raise for weights and settings that make no sense."""

from __future__ import annotations

from huggingface_hub.errors import StrictDataclassError

BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    StrictDataclassError,
    TypeError,
    ValueError,
)
"""What building and running a network raises where its settings or weights are broken."""
