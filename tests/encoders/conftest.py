"""What tests of encoders share: pictures of one size."""

import numpy as np
import pytest


@pytest.fixture
def pictures():
    """(3, 40, 48, 3) uint8, of different noise."""
    return np.random.default_rng(0).integers(0, 256, (3, 40, 48, 3)).astype(np.uint8)
