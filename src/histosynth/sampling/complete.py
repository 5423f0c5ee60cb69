"""`complete`: tissue for a masked region, in the stain around it; known pixels do not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..core.condition import Condition, Context
from ..core.progress import ProgressCallback
from ..core.synthetic import Synthetic
from ..core.tile import Mask
from ..model.bundle import Bundle
from ..tissue.appearance import measure_appearance
from ..tissue.blend import paste
from .batches import check_condition, paint_items
from .exemplar_start import Start
from .items import SampleItem
from .painter import SamplingSettings
from .provenance import LOCAL, Recipe, condition_key, describe
from .solvers import item_generator
from .steps import StepOfSampling, watch_steps
from .synthesize import IsFinished, never_finished

COPIED = "copied"
"""Key of a recipe's context: the share that is known only when the picture is sampled."""


def complete(
    bundle: Bundle,
    conditions: Sequence[Condition],
    *,
    seed: int,
    settings: SamplingSettings,
    batch: int,
    on_progress: ProgressCallback | None = None,
    is_finished: IsFinished = never_finished,
    on_step: StepOfSampling | None = None,
) -> Iterator[tuple[int, Synthetic]]:
    """Fill the mask of each condition's context.

    Stain and style are measured on the known pixels, and the masked region starts from tissue
    copied from them (`exemplar_start.py`). Sides may be of any length from the bundle's smallest to
    its largest. Outside the mask the result equals the input.

    Args:
        bundle: loaded networks.
        conditions: each with a context, with nuclei or without.
        seed: source of all randomness, with each condition's content.
        settings: how to sample.
        batch: largest number of pictures at a time.
        on_progress: called with (complete, all) pictures.
        is_finished: called with the condition's index, variant 0 and a function that describes the
            picture, all but how much tissue was copied; those for which it is true are not sampled.
        on_step: called after each solver step.

    Yields:
        (condition index, picture), in the order in which they are finished.

    Raises:
        BadSize, UnknownClasses, ScaleMismatch, UnknownLabel: before anything is sampled.
    """

    def recipe_of(item: SampleItem) -> Recipe:
        return describe(
            bundle,
            item,
            verb="complete",
            place=(condition_key(item.condition),),
            seed=seed,
            settings=settings,
        )

    items = []
    places = []
    for index, condition in enumerate(conditions):
        context = _context_of(condition)
        check_condition(condition, bundle.info)
        bundle.label_index(condition.label)
        # hue is matched when the region is pasted, on both sides of its boundary (tissue/blend.py)
        appearance = replace(measure_appearance(context.pixels, context.mask), hue=None)
        generator = item_generator(seed, condition_key(condition))
        item = SampleItem(condition, appearance, generator)
        if not is_finished(index, 0, partial(recipe_of, item)):
            places.append(index)
            items.append(item)

    def as_preview(number: int, pixels: NDArray[np.float32]) -> Synthetic:
        condition = conditions[places[number]]
        context = _context_of(condition)
        is_unknown = context.mask[..., None]
        image = np.where(is_unknown, pixels.round(), context.pixels)
        return Synthetic(image.astype(np.uint8), condition, recipe_of(items[number]))

    finished: list[int] = []
    of_variant_0 = [(index, 0) for index in places]
    painted = paint_items(
        bundle,
        items,
        adapters=[LOCAL] * len(items),
        settings=settings,
        batch=batch,
        on_progress=on_progress,
        on_step=watch_steps(on_step, of_variant_0, as_preview, finished),
    )
    for number, pixels, start in painted:
        finished.append(number)
        index = places[number]
        context = _context_of(conditions[index])
        copied = None if start is None else (start.pixels, start.ground)
        image = paste(
            context.pixels,
            pixels,
            context.mask,
            copied=copied,
            raises_grain=settings.grain and bundle.grain is None,
        )
        recipe = recipe_of(items[number])
        recipe["context"][COPIED] = _copied_share(start, context.mask)
        yield index, Synthetic(image, conditions[index], recipe)


def _context_of(condition: Condition) -> Context:
    if condition.context is None:
        raise ValueError("complete() takes conditions with a context")
    return condition.context


def _copied_share(start: Start | None, mask: Mask) -> float:
    """Share of the masked region that is known tissue, copied pixel by pixel.

    It is part of the recipe because copied tissue must not be counted as new tissue.
    """
    if start is None:
        return 0.0
    return round(float(start.ground[mask].mean()), 4)
