"""Seeds that every source of randomness takes."""

from __future__ import annotations

import numpy as np

from .errors import BadOption


def check_seed(seed: int) -> None:
    """Refuse what is no seed.

    Raises:
        BadOption: naming it.
    """
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise BadOption("seed", seed, "a whole number from 0 to 2^63 - 1")
