"""The adapter task: `global` (whole tiles) or `local` (masks in tissue) on a bundle's base."""

from __future__ import annotations

import math
from pathlib import Path

from ...core.errors import BadRecipe, ScaleMismatch
from ...core.shipped import starting_point
from ...model.bundle import Bundle
from ...model.families.compact import COMPACT_FAMILY
from ...model.loading import load_bundle
from ..loop.preflight import preflight
from ..recipes.diffusion import CompactAdapterRecipe
from .diffusion.adapter_start import open_adapter_start
from .diffusion.batches import smallest_batch
from .diffusion.building import (
    OpenedBundle,
    adapter_cost,
    build_adapter,
    prompts_of_bundle,
    remember_bundle_inputs,
)
from .diffusion.checks import (
    check_conditions,
    refuse_off_grid,
    refuse_targets,
    refuse_unknown_labels,
)
from .task import RunContext, Task, Training
from .tile_checks import open_examples, refuse_no_share


def _check(recipe: CompactAdapterRecipe, base_folder: Path) -> OpenedBundle:
    conditions = recipe.conditions
    smallest = smallest_batch(conditions, recipe.loop, family=COMPACT_FAMILY)
    preflight(recipe.loop, smallest=smallest)
    train, held_out = open_examples(recipe.data, base_folder)
    refuse_no_share(recipe.task, train)
    check_conditions(
        recipe.task,
        conditions,
        recipe.data,
        train,
    )
    bundle = load_bundle(starting_point(recipe.start, base_folder))
    _refuse_other_base(recipe, bundle)
    refuse_off_grid(
        recipe.task,
        conditions,
        held_out,
        bundle.grid_px,
    )
    refuse_unknown_labels([*train, *held_out], bundle.info.labels)
    begun = open_adapter_start(recipe, bundle, base_folder)
    return OpenedBundle(train, held_out, bundle, begun)


def _refuse_other_base(recipe: CompactAdapterRecipe, bundle: Bundle) -> None:
    """Refuse an adapter whose classes, guidance, targets or scale the base does not fit."""
    info = bundle.info
    data = recipe.data
    problems = []
    if data.classes != info.classes:
        own = ", ".join(data.classes)
        of_base = ", ".join(info.classes)
        problems.append(
            f"data.classes is {own}, but the base {recipe.start} was trained with {of_base}, "
            "in this order"
        )
    unknown = sorted(recipe.adapter.guided.nuclei_of.keys() - set(data.classes))
    if unknown:
        named = ", ".join(unknown)
        problems.append(f"adapter.guided.nuclei_of names {named}, not in data.classes")
    if recipe.adapter.guided.classes and not info.any_class:
        problems.append(
            f"adapter.guided.classes needs a base trained with drop_classes, and {recipe.start} "
            "is none"
        )
    if problems:
        raise BadRecipe(recipe.task, problems)
    refuse_targets(
        recipe.task,
        recipe.adapter.layers,
        bundle,
        recipe.start,
    )
    difference = abs(math.log(data.mpp / info.mpp))
    if not difference <= math.log(1 + info.mpp_tolerance):
        raise ScaleMismatch(data.mpp, info.mpp, info.mpp_tolerance).of("data.mpp")


def _build(
    recipe: CompactAdapterRecipe,
    opened: OpenedBundle,
    context: RunContext,
) -> Training:
    remember_bundle_inputs(opened, context.run)
    return build_adapter(recipe, opened, context)


ADAPTER = Task(
    ("global", "local"),
    CompactAdapterRecipe,
    _check,
    _build,
    cost=adapter_cost,
    prompts=prompts_of_bundle,
)
