"""`complete`: tissue for a hole, in the stain of what is left, without touching a known pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..core.condition import Condition, Context
from ..core.progress import ProgressCallback
from ..core.synthetic import Synthetic
from ..model.bundle import Bundle
from ..tissue.appearance import measure_appearance
from ..tissue.blend import paste
from .batches import Item, check_condition, paint_items
from .painter import Settings
from .provenance import condition_key, describe
from .solvers import item_generator

ADAPTER = "local"


def complete(
    bundle: Bundle,
    conditions: Sequence[Condition],
    *,
    seed: int,
    settings: Settings,
    batch: int,
    on_progress: ProgressCallback | None = None,
) -> Iterator[tuple[int, Synthetic]]:
    """Paint the hole of each condition's context.

    Stain and style are measured on the known pixels, and the hole starts from tissue copied from
    them (`start.py`). Sides may be of any length from the bundle's least to its most. Outside the
    hole the result equals the input.

    Args:
        bundle: loaded networks.
        conditions: each with a context; nuclei may be given or not.
        seed: source of all randomness, with each condition's content.
        settings: how to sample.
        batch: most pictures at a time.
        on_progress: told (done, total) solver steps.

    Yields:
        (condition index, picture), in the order they are done.

    Raises:
        BadSize, UnknownKinds, ScaleMismatch, UnknownLabel: before anything is painted.
    """
    items = []
    keys = []
    for condition in conditions:
        context = _context(condition)
        check_condition(condition, bundle.info)
        bundle.label_index(condition.label)
        # hue is matched when the hole is pasted, on both sides of its edge (tissue/blend.py)
        appearance = replace(measure_appearance(context.pixels, context.mask), hue=None)
        keys.append(condition_key(condition))
        items.append(Item(condition, appearance, item_generator(seed, keys[-1])))
    painted = paint_items(
        bundle,
        items,
        adapter=ADAPTER,
        settings=settings,
        batch=batch,
        on_progress=on_progress,
    )
    for index, pixels, start in painted:
        context = _context(conditions[index])
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
        # share of the hole that is known tissue, pixel by pixel: whoever counts tissue should know
        recipe["context"]["copied"] = (
            0.0 if start is None else round(float(start.ground[context.mask].mean()), 4)
        )
        yield index, Synthetic(image, conditions[index], recipe)


def _context(condition: Condition) -> Context:
    if condition.context is None:
        raise ValueError("complete() takes conditions with a context")
    return condition.context
