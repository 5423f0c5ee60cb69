"""The nearest patches of grain, searched on the device of the networks."""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch import Tensor

from ..core.arrays import Float32Array, IndexArray
from ..tensors.streams import own_stream
from ..tissue.grain_patches import GrainPatches

_ROWS_AT_A_TIME = 1024
"""Places that are searched for at a time: 250 MB beside 27,200 looks."""


class DeviceGrainSearch:
    """`GrainPatches.nearest` on a device, with the same result; on the CPU where the device has too
    little memory left.

    Args:
        patches: to search.
        device: where.
    """

    def __init__(
        self,
        patches: GrainPatches,
        device: torch.device,
    ) -> None:
        columns = torch.from_numpy(patches.posed_looks).to(device)
        self._looks = columns[:-1].contiguous()
        self._half_squares = columns[-1].contiguous()
        self._patches = patches
        self._one_at_a_time = threading.Lock()
        count = columns.shape[1]
        self._places = torch.arange(
            count,
            dtype=torch.int32,
            device=device,
        )
        if device.type == "cuda":  # searches read these on streams of their own
            torch.cuda.synchronize(device)

    @torch.inference_mode()
    def __call__(self, looks: Float32Array) -> IndexArray:
        """Indices (M,) of the nearest of all posed looks to looks (M, 36), the first of equals."""
        try:
            # threads would each take memory beside the networks, and gain nothing
            with self._one_at_a_time, own_stream(self._looks.device):
                return self._search(looks)
        except torch.OutOfMemoryError:
            return self._patches.nearest(looks)

    def _search(self, looks: Float32Array) -> IndexArray:
        wanted = torch.from_numpy(looks).to(self._looks.device)
        found = []
        for rows in torch.split(wanted, _ROWS_AT_A_TIME):
            found.append(self._nearest(rows))
        return torch.cat(found).cpu().numpy().astype(np.intp)

    def _nearest(self, wanted: Tensor) -> Tensor:
        # looks are whole numbers below 2,048: exact even where products are rounded to TF32
        closeness = wanted @ self._looks - self._half_squares
        greatest = closeness.amax(dim=1, keepdim=True)
        # argmax does not promise the first of equals
        places = torch.where(
            closeness == greatest,
            self._places,
            len(self._places),
        )
        return places.amin(dim=1)
