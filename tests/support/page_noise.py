"""The noise of the browser page, computed here."""

import numpy as np

from histosynth.tissue.position_hash import hashed_at


def page_noise(seed, count):
    """The page's numbers, from the program's hash: Box and Muller 1958."""
    pairs = -(-count // 2)
    words = hashed_at(seed, 0, 0, width=pairs, height=1, count=2)[:, 0] >> np.uint64(11)
    radius = np.sqrt(-2 * np.log((words[0] + 1.0) / 2**53))
    angle = 2 * np.pi * (words[1] / 2.0**53)
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return both.ravel()[:count].astype(np.float32)
