"""`complete`: tissue for a masked region, in the stain around it; known pixels do not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..core.condition import Condition, Context
from ..core.progress import ProgressCallback
from ..core.synthetic import Synthetic
from ..core.tile import Mask
from ..model.bundle import Bundle
from ..tissue.appearance import measure_appearance
from ..tissue.blend import paste
from .batches import SampleItem, check_condition, paint_items
from .exemplar_start import Start
from .painter import SamplingSettings
from .provenance import condition_key, describe
from .solvers import item_generator

_ADAPTER = "local"


def complete(
    bundle: Bundle,
    conditions: Sequence[Condition],
    *,
    seed: int,
    settings: SamplingSettings,
    batch: int,
    on_progress: ProgressCallback | None = None,
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
        on_progress: called with (done, total) solver steps.

    Yields:
        (condition index, picture), in the order in which they are finished.

    Raises:
        BadSize, UnknownClasses, ScaleMismatch, UnknownLabel: before anything is sampled.
    """
    items = []
    keys = []
    for condition in conditions:
        context = _context_of(condition)
        check_condition(condition, bundle.info)
        bundle.label_index(condition.label)
        # hue is matched when the region is pasted, on both sides of its boundary (tissue/blend.py)
        appearance = replace(measure_appearance(context.pixels, context.mask), hue=None)
        key = condition_key(condition)
        keys.append(key)
        items.append(SampleItem(condition, appearance, item_generator(seed, key)))
    painted = paint_items(
        bundle,
        items,
        adapter=_ADAPTER,
        settings=settings,
        batch=batch,
        on_progress=on_progress,
    )
    for index, pixels, start in painted:
        context = _context_of(conditions[index])
        copied = None if start is None else (start.pixels, start.ground)
        image = paste(context.pixels, pixels, context.mask, copied=copied)
        recipe = describe(
            bundle,
            items[index],
            verb="complete",
            place=(keys[index],),
            seed=seed,
            settings=settings,
        )
        recipe["context"]["copied"] = _copied_share(start, context.mask)
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
