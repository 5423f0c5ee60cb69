"""What a callback per solver step receives: where sampling is, a preview, and a way to end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ..core.errors import Cancelled
from ..core.synthetic import Synthetic

PicturePlace = tuple[int, int]
"""Index of the condition, and the variant."""


@dataclass(frozen=True, eq=False)
class GroupStep:
    """One solver step of items that are sampled together.

    Attributes:
        step: from 1.
        steps: in all.
        time: of the step's last estimate, from 1, all noise, to 0, none.
        indices: of the items.
        decode: pixels (H, W, 3) float32 in [0, 255] of each, as they are estimated now, in the
            items' own stain.
    """

    step: int
    steps: int
    time: float
    indices: Sequence[int]
    decode: Callable[[], list[NDArray[np.float32]]]


@dataclass(frozen=True, eq=False)
class SamplingStep:
    """One solver step of the pictures that are sampled together.

    Attributes:
        step: solver steps done, from 1.
        steps: solver steps of these pictures.
        places: (index of the nuclei or image, variant) of each picture.
        finished: pictures that are complete.
        pictures: pictures in all.
        time: of the step's last estimate, from 1, all noise, to 0, none.
    """

    step: int
    steps: int
    places: Sequence[PicturePlace]
    finished: int
    pictures: int
    time: float = field(repr=False)
    _preview: Callable[[], list[Synthetic]] = field(repr=False)

    def preview(self) -> list[Synthetic]:
        """The pictures as they are estimated now; decoding takes about as long as a step.

        Each is marked synthetic, and its recipe states at which step it was taken.
        """
        return self._preview()

    def cancel(self) -> NoReturn:
        """End sampling.

        Raises:
            Cancelled: always; it leaves the verb with the pictures that are complete.
        """
        raise Cancelled(self.step, self.steps)


StepOfSampling = Callable[[SamplingStep], object]
"""A callback per solver step; what it returns does not matter."""


def watch_steps(
    on_step: StepOfSampling | None,
    places: Sequence[PicturePlace],
    as_synthetic: Callable[[int, NDArray[np.float32]], Synthetic],
    finished: list[int],
) -> Callable[[GroupStep], None] | None:
    """The callback of `paint_items` that calls a user's.

    Args:
        on_step: the user's; None: there is none.
        places: of all items.
        as_synthetic: an item's index and pixels => the picture with its recipe.
        finished: indices of the items that are complete; grows while sampling goes on.
    """
    if on_step is None:
        return None

    def watch(group: GroupStep) -> None:
        def preview() -> list[Synthetic]:
            taken = {"step": group.step, "steps": group.steps}
            pictures = []
            for index, pixels in zip(group.indices, group.decode(), strict=True):
                picture = as_synthetic(index, pixels)
                picture.recipe["preview"] = dict(taken)
                pictures.append(picture)
            return pictures

        on_step(
            SamplingStep(
                group.step,
                group.steps,
                [places[index] for index in group.indices],
                len(finished),
                len(places),
                group.time,
                preview,
            )
        )

    return watch
