"""Grain of known statistics for tests."""

import numpy as np

from histosynth.tissue.grain_patches import GRAIN_PATCH_PX, LOOK_SIDE, UNIT, GrainPatches
from histosynth.tissue.grain_table import Grain, GrainTable

TYPICAL_NOISE = 6.0


def white_patches(count=512, seed=0):
    """Patches of white noise of unit variance, each of another look."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal((count, GRAIN_PATCH_PX, GRAIN_PATCH_PX, 3))
    lost = np.rint(noise / UNIT).clip(-127, 127).astype(np.int8)
    looks = random.integers(-8, 9, (count, LOOK_SIDE, LOOK_SIDE)).astype(np.int8)
    return GrainPatches(lost, looks)


def table_of(patches, **numbers):
    """A table whose grain is as strong as the noise of all tissue."""
    return GrainTable(
        **{
            "strength": ((0.0, 1.0, 0.0),) * 3,
            "noise": ((TYPICAL_NOISE,) * 3,) * 2,
            "extremes": (0.0, 0.0, 0.0, 255.0),
            "patches_sha256": patches.sha256,
            **numbers,
        }
    )


def white_grain(**numbers):
    """A table with its patches."""
    patches = white_patches()
    return Grain(table_of(patches, **numbers), patches)
