"""The task of adapters on text-conditioned bases: checks a recipe, builds what is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ....core.errors import BadRecipe
from ....model.families.stable_diffusion import STABLE_DIFFUSION
from ...balance.patient_table import read_patient_traits
from ...balance.rare_labels import balance_examples, write_data_sheet
from ...data.sources import Example
from ...loop.preflight import preflight
from ...recipes.text_adapter import TextAdapterRecipe
from ..diffusion.adapter_start import open_adapter_start
from ..diffusion.batches import smallest_batch
from ..diffusion.building import (
    OpenedBundle,
    adapter_cost,
    build_adapter,
    prompts_of_bundle,
    remember_bundle_inputs,
)
from ..diffusion.checks import (
    check_conditions,
    refuse_off_grid,
    refuse_targets,
    refuse_unknown_labels,
)
from ..painting import Guard
from ..task import RunContext, Task, Training
from ..tile_checks import open_examples, refuse_no_share
from .text_bundle import prompts_of, text_bundle

_MAX_LABELS_NAMED = 8


def _check(recipe: TextAdapterRecipe, base_folder: Path) -> OpenedBundle:
    """Checks that cost little come first: a base is gigabytes."""
    conditions = recipe.conditions
    # the family is known once the base is open; all text families count batches alike
    smallest = smallest_batch(conditions, recipe.loop, family=STABLE_DIFFUSION)
    preflight(recipe.loop, smallest=smallest)
    train, held_out = open_examples(recipe.data, base_folder)
    refuse_no_share(recipe.task, train)
    check_conditions(
        recipe.task,
        conditions,
        recipe.data,
        train,
    )
    prompts_of(recipe)
    refuse_unknown_labels([*train, *held_out], recipe.labels)
    _refuse_unlisted_labels(recipe, train)
    options = recipe.rare_labels
    if options.table:
        read_patient_traits(base_folder / options.table)
    train = balance_examples(train, options)
    bundle = text_bundle(recipe, base_folder, train)
    refuse_targets(
        recipe.task,
        recipe.adapter.layers,
        bundle,
        recipe.base,
    )
    refuse_off_grid(
        recipe.task,
        conditions,
        held_out,
        bundle.grid_px,
    )
    begun = open_adapter_start(recipe, bundle, base_folder)
    return OpenedBundle(train, held_out, bundle, begun)


def _refuse_unlisted_labels(recipe: TextAdapterRecipe, train: Sequence[Example]) -> None:
    """Refuse a template that names the label of tiles where the recipe lists no labels."""
    found = sorted({example.label for example in train} - {""})
    if found and not recipe.labels and recipe.prompts.uses_label:
        named = ", ".join(found[:_MAX_LABELS_NAMED])
        problem = "the template names the label, but labels is empty"
        raise BadRecipe("prompts", [f"{problem}; the tiles have {named}"])


def _build(
    recipe: TextAdapterRecipe,
    opened: OpenedBundle,
    context: RunContext,
) -> Training:
    remember_bundle_inputs(opened, context.run)
    write_data_sheet(
        recipe.rare_labels,
        context.base_folder,
        context.run,
        opened,
    )
    return build_adapter(
        recipe,
        opened,
        context,
        guard=_guard(recipe, opened, context),
    )


def _guard(
    recipe: TextAdapterRecipe,
    opened: OpenedBundle,
    context: RunContext,
) -> Guard | None:
    """Stops a run that begins to copy; None where the recipe allows any share of copies."""
    if recipe.stop_copying >= 1:
        return None
    return context.guard_factory(opened.train, opened.held_out, recipe.stop_copying)


TEXT_ADAPTER = Task(
    ("global", "local"),
    TextAdapterRecipe,
    _check,
    _build,
    takes_base=True,
    writes=("datasheet.json", "datasheet.md", "../views/ (latents, shared)"),
    cost=adapter_cost,
    prompts=prompts_of_bundle,
)
