"""Steps from opened networks to the train task that the base and both adapter tasks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from ....core.store import digest, ensure_folder
from ....metrics.morphology.shapes import with_measured_shapes
from ....model.adapters import (
    FEW_STEPS_SUFFIX,
    AdapterInfo,
    FewSteps,
    add_adapter,
    base_sha256,
    set_adapter_weights,
)
from ....model.autoencoder import Autoencoder
from ....model.bundle import Bundle
from ....model.device import convert_network
from ....model.fused_lora import fuse_lora_layers
from ....model.parts import part_weights, save_part
from ....model.structure import StructureEncoder, with_shapes
from ....tensors.device import DTYPES
from ....tissue.nucleus_sizes import ClassSizes, measure_sizes
from ....tissue.orientation import find_orientation
from ....tissue.orientation_statistics import (
    OrientationStatistics,
    measure_orientation_statistics,
)
from ...data.sources import Example
from ...data.views import VIEW_SEED, LatentView, open_views, tiles_sha256
from ...loop.fit import module_weights
from ...loop.processes import join_processes
from ...recipes.adapter_options import AdapterPlan
from ...recipes.data import DataPlan
from ...recipes.diffusion import AdapterRecipe
from ...recipes.loop import LoopPlan
from ...resume import remember_inputs
from ..painting import Guard
from ..run_cost import Cost
from ..task import OpenedTiles, RunContext, Training
from .adapter_start import AdapterStart
from .batches import items_per_batch
from .cost import cost_of
from .few_steps_distillation import FewStepsTrainTask, merge_teacher
from .train_task import DiffusionTrainTask, Save

_Weights = Mapping[str, Tensor]
_MAX_FIBRE_TILES = 400
"""Tiles on which it is measured how fibres run, evenly taken: some twenty numbers need no more."""


@dataclass(frozen=True)
class OpenedBundle(OpenedTiles):
    """Tiles, and the bundle whose base gets an adapter."""

    bundle: Bundle
    adapter_start: AdapterStart | None = None
    """What the adapter begins with; None: a new one."""


@dataclass(frozen=True)
class TileViews:
    """Latent views of the tiles."""

    train: list[list[LatentView]]
    """Several of each training tile."""
    held_out: list[LatentView]
    """One of each validation tile."""


def tile_digests(opened: OpenedTiles) -> dict[str, str]:
    """Digests of the tiles, for `remember_inputs`."""
    return {
        "train": tiles_sha256(opened.train),
        "validation": tiles_sha256(opened.held_out),
    }


def remember_bundle_inputs(opened: OpenedBundle, run: Path) -> None:
    """Save digests of tiles and base in the run folder; a run begun with others is refused."""
    digests = {**tile_digests(opened), "base": opened.bundle.base_sha256}
    if opened.adapter_start is not None:
        digests["adapter"] = opened.adapter_start.sha256
    remember_inputs(run, digests)


def encode_tiles(
    opened: OpenedTiles,
    autoencoder: Autoencoder,
    *,
    data: DataPlan,
    loop: LoopPlan,
    context: RunContext,
) -> TileViews:
    """Latent views of the tiles, from the cache next to the run folder or encoded now.

    Moves the autoencoder to the run's device and precision.
    """
    weights_sha256 = base_sha256(autoencoder)
    convert_network(autoencoder, device=context.device, dtype=DTYPES[loop.precision])
    # runs on the same tiles and autoencoder share one cache, whatever their recipe's other keys
    cache = ensure_folder(context.run.parent / "views")

    def open_side(
        examples: Sequence[Example], views: int, stain_jitter: float
    ) -> list[list[LatentView]]:
        facts = [
            tiles_sha256(examples),
            weights_sha256,
            views,
            stain_jitter,
            VIEW_SEED,
            loop.precision,
        ]
        if data.whole:
            facts.append("whole")
        return open_views(
            cache / f"{digest(facts)[:16]}.safetensors",
            examples,
            autoencoder,
            views=views,
            stain_jitter=stain_jitter,
            seed=VIEW_SEED,
            whole=data.whole,
            on_progress=context.on_encoded,
        )

    def open_both() -> TileViews:
        train = open_side(opened.train, data.views, data.stain_jitter)
        held_out = open_side(opened.held_out, 1, 0.0)
        return TileViews(train, [view for (view,) in held_out])

    # the first of several processes encodes; the others read its cache afterwards
    return join_processes(context.device).on_first_process(open_both) or open_both()


def merge_averaged(stored: _Weights, averaged: _Weights, module: str) -> dict[str, Tensor]:
    """Weights of a module as they were stored, with the averages of those that learn."""
    return {**stored, **module_weights(averaged, module)}


def freeze(bundle: Bundle) -> None:
    """Let nothing of a bundle learn."""
    for part in (bundle.autoencoder, bundle.unet, bundle.structure):
        part.requires_grad_(False)


def build_adapter(
    recipe: AdapterRecipe,
    opened: OpenedBundle,
    context: RunContext,
    *,
    guard: Guard | None = None,
) -> Training:
    """Add an adapter to the base, and build the task that trains it.

    Args:
        recipe: of the adapter.
        opened: tiles and bundle.
        context: of the run.
        guard: samples validation pictures in place of `context.paint`, and may stop the run.
    """
    bundle = opened.bundle
    base_structure = bundle.structure
    begun = opened.adapter_start
    if begun is not None:
        _begin(bundle, begun, recipe.adapter)
    drawn = _DrawnConditions()
    if recipe.adapter.shapes:
        opened = _with_shapes(opened)
        if not bundle.structure.config.shapes:
            bundle.structure = with_shapes(bundle.structure)
        drawn = _conditions_to_draw(opened, recipe.adapter)
    # what is written stays as it was before anything is rounded to bfloat16
    stored = _stored_weights(bundle)
    views = encode_tiles(
        opened,
        bundle.autoencoder,
        data=recipe.data,
        loop=recipe.loop,
        context=context,
    )
    bundle.to(dtype=DTYPES[recipe.loop.precision], device=context.device)
    bundle.order_for_training()
    freeze(bundle)
    few_steps = recipe.adapter.few_steps
    make_task: Callable[..., DiffusionTrainTask]
    if few_steps:
        make_task = partial(
            FewStepsTrainTask,
            name=adapter_name(recipe),
            few_steps=few_steps,
            follow_path=context.follow_path,
        )
        paint = context.paint_in_steps(few_steps.steps)
    else:
        make_task = _guided_task(
            recipe,
            bundle,
            base_structure,
            device=context.device,
        )
        paint = guard.paint if guard else context.paint
    train_task = make_task(
        bundle,
        _add_adapter(recipe, bundle, begun),
        views.train,
        views.held_out,
        plan=recipe.conditions,
        loop=recipe.loop,
        paint=paint,
        save=_saver(
            recipe,
            bundle,
            stored,
            drawn=drawn,
            begun=begun,
        ),
    )
    return Training(train_task, stop=guard)


def _begin(
    bundle: Bundle,
    begun: AdapterStart,
    plan: AdapterPlan,
) -> None:
    """Give a bundle what a run begins with: a structure encoder, and what few steps lie on."""
    if begun.encoder is not None:
        bundle.structure = begun.encoder
    if plan.few_steps:
        bundle.unet = merge_teacher(bundle.unet, begun)


@dataclass(frozen=True)
class _DrawnConditions:
    """Of the training tiles, what is drawn where users state nothing; see `AdapterInfo`."""

    sizes: tuple[ClassSizes, ...] = ()
    orientation: OrientationStatistics | None = None


def _conditions_to_draw(opened: OpenedBundle, plan: AdapterPlan) -> _DrawnConditions:
    """Those of the training tiles with nuclei; those of few steps are their teacher's."""
    if plan.few_steps:
        return _DrawnConditions()
    learnt = [example for example in opened.train if example.nuclei is not None]
    if not learnt:
        return _DrawnConditions()
    nuclei = [example.nuclei for example in learnt if example.nuclei is not None]
    step = -(-len(learnt) // _MAX_FIBRE_TILES)
    fibres = [
        find_orientation(example.pixels, mpp=opened.bundle.info.mpp) for example in learnt[::step]
    ]
    return _DrawnConditions(
        measure_sizes(nuclei, opened.bundle.info.classes),
        measure_orientation_statistics(fibres, nuclei[::step]),
    )


def _guided_task(
    recipe: AdapterRecipe,
    bundle: Bundle,
    base_structure: StructureEncoder,
    *,
    device: str,
) -> Callable[..., DiffusionTrainTask]:
    """The train task of an adapter, with the guidance that it learns, if any."""
    guidance = recipe.adapter.guided
    guide = None
    if recipe.adapter.shapes and guidance:
        convert_network(base_structure, device=device, dtype=DTYPES[recipe.loop.precision])
        guide = replace(bundle, structure=base_structure.requires_grad_(False))
    return partial(
        DiffusionTrainTask,
        guided=(recipe.task, guidance) if guidance else None,
        guide=guide,
    )


def _with_shapes(opened: OpenedBundle) -> OpenedBundle:
    """The same tiles, with shapes of nuclei where they can be measured."""
    sides = []
    for side in (opened.train, opened.held_out):
        examples = []
        for example in side:
            nuclei = example.nuclei
            if nuclei is not None:
                nuclei = with_measured_shapes(example.pixels, nuclei)
            examples.append(replace(example, nuclei=nuclei))
        sides.append(examples)
    return replace(
        opened,
        train=sides[0],
        held_out=sides[1],
    )


def _stored_weights(bundle: Bundle) -> dict[str, dict[str, Tensor]]:
    """Weights as they were loaded, of all parts that will be written."""
    return {name: part_weights(getattr(bundle, name)) for name in bundle.family.held_parts}


def _add_adapter(
    recipe: AdapterRecipe,
    bundle: Bundle,
    begun: AdapterStart | None,
) -> dict[str, nn.Module]:
    """Add the adapter to the base; returns the modules that learn, by name."""
    plan = recipe.adapter
    name = adapter_name(recipe)
    add_adapter(
        bundle.unet,
        name,
        rank=plan.rank,
        alpha=plan.alpha,
        targets=plan.layers,
        dropout=plan.dropout,
    )
    if begun is not None:
        weights = begun.few_steps if plan.few_steps else begun.weights
        if weights:
            set_adapter_weights(bundle.unet, name, weights)
    if bundle.family.fuses_lora:
        fuse_lora_layers(bundle.unet)
    trained: dict[str, nn.Module] = {"unet": bundle.unet}
    if plan.trains_structure:
        bundle.structure.requires_grad_(True)
        trained["structure"] = bundle.structure
    return trained


def _saver(
    recipe: AdapterRecipe,
    bundle: Bundle,
    stored: Mapping[str, _Weights],
    *,
    drawn: _DrawnConditions,
    begun: AdapterStart | None,
) -> Save:
    """Writes the adapter, with its structure encoder if it has its own."""
    plan = recipe.adapter
    info = AdapterInfo(
        name=adapter_name(recipe),
        rank=plan.rank,
        alpha=plan.alpha,
        targets=plan.layers,
        base_sha256=bundle.base_sha256,
        classes=bundle.info.classes,
        mpp=bundle.info.mpp,
        guidance=(plan.guided.nuclei, plan.guided.classes) if plan.guided else None,
        guidance_of=_guidance_of(plan, bundle.info.classes),
        licence=bundle.info.licence,
        data=bundle.info.data,
        sizes=drawn.sizes,
        mask_share=recipe.conditions.mask_share,
        orientation=drawn.orientation,
        few_steps=_few_steps_facts(recipe, begun),
    )

    def save(folder: Path, averaged: _Weights) -> None:
        if not bundle.family.holds_base:  # the result is a new bundle, which names its base
            bundle.save(folder, weights=stored)
            folder = folder / "adapters" / info.name
        bundle.save_adapter(info, folder, weights=module_weights(averaged, "unet"))
        if plan.trains_structure:
            weights = merge_averaged(stored["structure"], averaged, "structure")
            save_part(bundle.structure, folder / "structure", weights=weights)

    return save


def adapter_name(recipe: AdapterRecipe) -> str:
    """Name of the adapter that a recipe trains."""
    return recipe.task + FEW_STEPS_SUFFIX if recipe.adapter.few_steps else recipe.task


def _few_steps_facts(
    recipe: AdapterRecipe,
    begun: AdapterStart | None,
) -> FewSteps | None:
    """What is stated of the adapter that few steps were learnt from."""
    few_steps = recipe.adapter.few_steps
    if not few_steps or begun is None:
        return None
    return FewSteps(
        few_steps.steps,
        recipe.task,
        begun.weights_sha256,
    )


def _guidance_of(plan: AdapterPlan, classes: Sequence[str]) -> tuple[float, ...]:
    """Strength around nuclei of each class; empty: the same for all."""
    if not any(plan.guided.nuclei_of.values()):
        return ()
    return plan.guided.strengths_of(classes)


def adapter_cost(recipe: AdapterRecipe, opened: OpenedBundle, device: str) -> Cost:
    """Cost of training an adapter, on its largest crops."""
    bundle = opened.bundle
    side = max(recipe.conditions.drawn_crops())
    items = items_per_batch(
        recipe.conditions,
        recipe.loop,
        side,
        family=bundle.family,
    )
    return cost_of(
        bundle,
        recipe.adapter,
        recipe.loop,
        side=side,
        items=items,
        device=device,
    )


def prompts_of_bundle(opened: OpenedBundle) -> tuple[str, ...]:
    """Text prompts of the base; none on a compact one."""
    return opened.bundle.info.prompts
