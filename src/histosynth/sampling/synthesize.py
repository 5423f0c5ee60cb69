"""`synthesize`: a whole tile from its nuclei. Every pixel is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..core.condition import Condition
from ..core.progress import ProgressCallback
from ..core.synthetic import Synthetic
from ..model.bundle import Bundle
from ..tissue.appearance import Appearance
from .batches import SampleItem, check_condition, paint_items
from .painter import SamplingSettings
from .provenance import condition_key, describe
from .solvers import item_generator

_ADAPTER = "global"


def synthesize(
    bundle: Bundle,
    conditions: Sequence[Condition],
    appearances: Sequence[Appearance],
    *,
    seed: int,
    variants: int,
    settings: SamplingSettings,
    batch: int,
    on_progress: ProgressCallback | None = None,
) -> Iterator[tuple[int, int, Synthetic]]:
    """Generate `variants` tiles of each condition.

    The noise of variant k comes from (seed, the condition's content, k): the same picture in any
    batch and order, next to any other pictures.

    Args:
        bundle: loaded networks.
        conditions: nuclei, size, label; no context.
        appearances: one per condition.
        seed: source of all randomness.
        variants: pictures per condition.
        settings: how to sample.
        batch: largest number of pictures at a time.
        on_progress: called with (done, total) solver steps.

    Yields:
        (condition index, variant, picture), in the order in which they are finished.

    Raises:
        BadSize, UnknownClasses, ScaleMismatch, UnknownLabel: before anything is sampled.
    """
    for condition in conditions:
        check_condition(condition, bundle.info)
        bundle.label_index(condition.label)
    keys = [condition_key(condition) for condition in conditions]
    places = [(index, variant) for index in range(len(conditions)) for variant in range(variants)]
    items = []
    for index, variant in places:
        generator = item_generator(seed, keys[index], variant)
        items.append(SampleItem(conditions[index], appearances[index], generator))
    painted = paint_items(
        bundle,
        items,
        adapter=_ADAPTER,
        settings=settings,
        batch=batch,
        on_progress=on_progress,
    )
    for number, pixels, _ in painted:
        index, variant = places[number]
        recipe = describe(
            bundle,
            items[number],
            verb="synthesize",
            place=(keys[index], variant),
            seed=seed,
            settings=settings,
        )
        image = pixels.round().astype(np.uint8)
        yield index, variant, Synthetic(image, conditions[index], recipe)
