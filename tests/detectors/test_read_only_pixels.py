"""Pixels that are read-only, as those of tiles are."""

import torch

from histosynth.detectors.centroids import picture_to_signal


def test_pixels_that_are_read_only_raise_no_warning(tile):
    kept = tile.copy()
    kept.setflags(write=False)
    torch.set_warn_always(True)  # else only the first in a process would be noticed
    try:
        signal = picture_to_signal(kept)
    finally:
        torch.set_warn_always(False)
    assert torch.equal(signal, picture_to_signal(tile))
