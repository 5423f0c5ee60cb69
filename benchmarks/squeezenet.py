"""SqueezeNet as the benchmarks use it: one mask for all pictures, and rows in double precision."""

from pathlib import Path

import numpy as np

from histosynth.encoders import squeezenet


class SqueezeNet(squeezenet.SqueezeNet):
    """See `histosynth.encoders.squeezenet`."""

    def __init__(self, weights: Path) -> None:
        found = squeezenet.load_squeezenet(weights)
        super().__init__(found.weights, found.about["weights_sha256"])

    def embed(self, pictures: np.ndarray) -> np.ndarray:
        """(N, 512) float64: the last maps, averaged over the picture."""
        return super().embed(pictures).features.astype(np.float64)

    def distance(
        self,
        first: np.ndarray,
        second: np.ndarray,
        mask: np.ndarray,
    ) -> np.ndarray:
        """(N,) perceptual distance inside a mask (H, W)."""
        return super().distance(
            first,
            second,
            np.broadcast_to(mask, (len(first), 1, *mask.shape)),
        )[:, 0]
