"""What the caller hands in: sampling of validation pictures, and a guard that may stop a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from ...core.tile import Pixels
from ...model.bundle import Bundle
from ...model.denoiser import Denoise
from ..data.crops import Batch
from ..data.sources import Example

Paint = Callable[[Bundle, Batch], list[Pixels]]
"""Samples one picture for each item of a batch from the item's conditions."""


class FollowPath(Protocol):
    """Follows the flow from noise to clean latents, and gives latents on the way."""

    def __call__(
        self,
        denoise: Denoise,
        noise: Tensor,
        *,
        times: Sequence[float],
        steps: int,
    ) -> list[Tensor]:
        """Latents (B, C, h, w) at each time, of `steps` steps from 1 to 0, whose times it is one
        of.
        """


class Guard(Protocol):
    """Samples validation pictures, and stops the run where they cannot be trusted."""

    def paint(
        self,
        bundle: Bundle,
        batch: Batch,
    ) -> list[Pixels]:
        """See `Paint`."""

    def __call__(
        self,
        step: int,
        numbers: Mapping[str, float],
    ) -> str | None:
        """The reason to stop, as a sentence; None: go on. See `loop.StopRule`."""


GuardFactory = Callable[[Sequence[Example], Sequence[Example], float], Guard]
"""Called with training tiles, held-out tiles, and the share of pictures that may be suspect."""
