"""Seeds that every source of randomness takes: whole numbers from 0 to 2^63 - 1."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from .errors import BadOption
from .recipe_limits import (
    Limits,
)

MAX_SEED = 2**63 - 1
Seed = Annotated[int, Limits(least=0, most=MAX_SEED)]
"""A seed in a recipe."""


def is_seed(seed: object) -> bool:
    """Whether every source of randomness takes this value as a seed."""
    if not isinstance(seed, int | np.integer):
        return False
    return 0 <= int(seed) <= MAX_SEED


def check_seed(seed: int) -> None:
    """Refuse an option's or argument's value that is no seed.

    Raises:
        BadOption: naming it.
    """
    if not is_seed(seed):
        raise BadOption("seed", seed, "a whole number from 0 to 2^63 - 1")
