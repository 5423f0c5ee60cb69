"""Nuclei at random places of a small tile."""

import numpy as np

from histosynth.core.nuclei import Nuclei

CLASSES = ("epithelial", "lymphocyte", "stromal")


def some(count=30, size=(64, 48), seed=0):
    random = np.random.default_rng(seed)
    xy = random.uniform(-0.5, np.array(size) - 0.51, (count, 2))
    return Nuclei.of(
        xy,
        [CLASSES[i % 3] for i in range(count)],
        size=size,
        mpp=0.5,
        classes=CLASSES,
    )
