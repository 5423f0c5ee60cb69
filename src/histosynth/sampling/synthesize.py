"""`synthesize`: a whole tile from its nuclei. Every pixel is new."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..core.condition import Condition
from ..core.progress import ProgressCallback
from ..core.synthetic import Synthetic
from ..model.bundle import Bundle
from ..tissue.appearance import Appearance
from .batches import check_condition, paint_items
from .items import SampleItem
from .painter import SamplingSettings
from .provenance import Recipe, condition_adapter, condition_key, describe
from .solvers import item_generator
from .steps import StepOfSampling, watch_steps

IsFinished = Callable[[int, int, Callable[[], Recipe]], bool]
"""Whether a picture is there: of (condition index, variant, a function that describes it)."""


def never_finished(index: int, variant: int, describe_picture: Callable[[], Recipe]) -> bool:
    """Sample every picture."""
    return False


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
    is_finished: IsFinished = never_finished,
    on_step: StepOfSampling | None = None,
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
        on_progress: called with (complete, all) pictures.
        is_finished: called with (condition index, variant) and a function that describes the
            picture; those for which it is true are not sampled.
        on_step: called after each solver step.

    Yields:
        (condition index, variant, picture), in the order in which they are finished.

    Raises:
        BadSize, UnknownClasses, ScaleMismatch, UnknownLabel: before anything is sampled.
    """
    for condition in conditions:
        check_condition(condition, bundle.info)
        bundle.label_index(condition.label)
    keys = [condition_key(condition) for condition in conditions]

    def recipe_of(item: SampleItem, index: int, variant: int) -> Recipe:
        return describe(
            bundle,
            item,
            verb="synthesize",
            place=(keys[index], variant),
            seed=seed,
            settings=settings,
        )

    places = []
    items = []
    for index, variant in itertools.product(range(len(conditions)), range(variants)):
        generator = item_generator(seed, keys[index], variant)
        item = SampleItem(conditions[index], appearances[index], generator)
        if not is_finished(index, variant, partial(recipe_of, item, index, variant)):
            places.append((index, variant))
            items.append(item)

    def as_synthetic(number: int, pixels: NDArray[np.float32]) -> Synthetic:
        index, variant = places[number]
        recipe = recipe_of(items[number], index, variant)
        image = pixels.round().astype(np.uint8)
        return Synthetic(image, conditions[index], recipe)

    finished: list[int] = []
    painted = paint_items(
        bundle,
        items,
        adapters=[condition_adapter(bundle, item.condition) for item in items],
        settings=settings,
        batch=batch,
        on_progress=on_progress,
        on_step=watch_steps(on_step, places, as_synthetic, finished),
    )
    for number, pixels, _ in painted:
        finished.append(number)
        yield *places[number], as_synthetic(number, pixels)
