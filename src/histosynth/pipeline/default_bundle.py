"""The bundle inside the package, opened once per process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model.bundle import Bundle


@cache
def default_bundle() -> Bundle:
    """The bundle inside the package, opened once per process."""
    from ..model.opening import open_bundle

    return open_bundle()
