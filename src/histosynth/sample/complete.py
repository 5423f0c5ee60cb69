"""`complete`: tissue for a hole, in the stain of what is left, without touching a known pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..core.appearance import measure_appearance
from ..core.blend import paste
from ..core.condition import Condition, Context
from ..core.nuclei import Nuclei
from ..core.synthetic import Synthetic
from ..core.tile import Mask, Pixels
from ..model.bundle import Bundle
from .batches import Item, check_condition, paint_items
from .painter import Settings
from .provenance import describe
from .solver import Tick, item_generator

ADAPTER = "local"


def complete(
    bundle: Bundle,
    conditions: Sequence[Condition],
    *,
    seed: int,
    settings: Settings,
    batch: int,
    tick: Tick | None = None,
) -> Iterator[tuple[int, Synthetic]]:
    """Paint the hole of each condition's context.

    Stain and style are measured on the known pixels. Sides that are no multiple of 8 are mirrored
    up to one for the model and cut back after. Outside the hole the result equals the input.

    Args:
        bundle: loaded networks.
        conditions: each with a context; nuclei may be given or not.
        seed: source of all randomness; condition i draws from (seed, i).
        settings: how to sample.
        batch: most pictures at a time.
        tick: told (done, total) solver steps.

    Yields:
        (condition index, picture), in the order they are done.

    Raises:
        BadSize, UnknownKinds, ScaleMismatch, UnknownLabel: before anything is painted.
    """
    items = []
    for index, condition in enumerate(conditions):
        context = _context(condition)
        padded = _padded(condition, bundle.info.multiple_px)
        check_condition(padded, bundle.info)
        bundle.label_index(condition.label)
        appearance = measure_appearance(context.pixels, context.hole)
        items.append(Item(padded, appearance, item_generator(seed, index)))
    painted = paint_items(bundle, items, adapter=ADAPTER, settings=settings, batch=batch, tick=tick)
    for index, pixels in painted:
        context = _context(conditions[index])
        height, width = context.hole.shape
        image = paste(context.pixels, pixels[:height, :width], context.hole)
        recipe = describe(
            bundle,
            items[index],
            verb="complete",
            place=(index,),
            seed=seed,
            settings=settings,
        )
        yield (
            index,
            Synthetic(image, conditions[index], {**recipe, "size": [width, height]}),
        )


def _context(condition: Condition) -> Context:
    if condition.context is None:
        raise ValueError("complete() takes conditions with a context")
    return condition.context


def _padded(condition: Condition, multiple: int) -> Condition:
    context = _context(condition)
    height, width = context.hole.shape
    right, bottom = -width % multiple, -height % multiple
    if not right and not bottom:
        return condition
    pixels: Pixels = np.pad(context.pixels, ((0, bottom), (0, right), (0, 0)), mode="symmetric")
    hole: Mask = np.pad(context.hole, ((0, bottom), (0, right)), mode="symmetric")
    size, nuclei = (width + right, height + bottom), condition.nuclei
    if nuclei is not None:
        nuclei = Nuclei(nuclei.xy.copy(), nuclei.kind.copy(), nuclei.kinds, size, nuclei.mpp)
    return Condition(nuclei, size, condition.label, Context(pixels, hole))
