"""Everything a recipe names, opened and checked before anything is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffusers import AutoencoderDC
from torch import nn

from ..core.errors import BadRecipe, ScaleMismatch, UnknownLabel
from ..core.nuclei import ANY_CLASS
from ..core.shipped import starting_point
from ..model.autoencoder import FACTOR, Autoencoder
from ..model.bundle import Bundle
from ..model.families import FAMILIES
from ..model.loading import load_bundle
from ..model.parts import load_part
from .balance.patient_table import read_patient_traits
from .balance.rare_labels import balance_examples
from .data.buckets import fill_buckets
from .data.sources import Example, open_source, refuse_leaks
from .data.views import view_sides
from .loop.preflight import preflight
from .recipes import AutoencoderRecipe, DataPlan, DetectorRecipe, DiffusionRecipe, TrainRecipe
from .tasks.autoencoder import LEAST_PROBE
from .tasks.detector import patients_aside
from .tasks.diffusion import items_of
from .tasks.encoder_recipe import EncoderRecipe
from .tasks.stable_recipe import StableRecipe
from .text_base import prompts_of, stable_bundle


@dataclass(frozen=True)
class Opened:
    """What a recipe names, opened and checked."""

    train: list[Example]
    held_out: list[Example]
    autoencoder: Autoencoder | None
    bundle: Bundle | None


def check(recipe: TrainRecipe | EncoderRecipe | StableRecipe, here: Path) -> Opened:
    """Open all that a recipe names, and refuse what cannot be trained, before anything is written.

    Raises:
        SplitLeak: a patient stands on both sides.
        BadRecipe: the recipe asks for what its tiles or its start cannot give.
        ScaleMismatch, UnknownLabel: the tiles' scale or a label is none of its start's.
        BadWeights, BundleMismatch: its start is no autoencoder, or no bundle.
    """
    preflight(recipe.loop, smallest=smallest_batch(recipe))
    train, held_out = open_examples(recipe.data, here)
    if isinstance(recipe, DetectorRecipe):
        _check_detector(recipe, train, held_out)
        return Opened(train, held_out, None, None)
    if not any(each.share for each in train):
        raise BadRecipe(recipe.task, [f"share is 0 for all of its {len(train)} training tiles"])
    if isinstance(recipe, EncoderRecipe):
        _refuse_small(
            recipe.task,
            [*train, *held_out],
            recipe.data.crop,
            "data.crop",
        )
        return Opened(train, held_out, None, None)
    if isinstance(recipe, AutoencoderRecipe):
        _refuse_small(
            recipe.task,
            held_out,
            LEAST_PROBE,
            "the least that is measured",
        )
        _refuse_small(
            recipe.task,
            train,
            recipe.data.crop,
            "data.crop",
        )
        begun = load_part(_autoencoder(recipe.start, here), AutoencoderDC) if recipe.start else None
        return Opened(train, held_out, begun, None)
    _check_conditions(recipe, train)
    if isinstance(recipe, StableRecipe):
        return _check_stable(recipe, here, train, held_out)
    if recipe.task == "base":
        _check_grid(recipe, held_out, FACTOR << (len(recipe.base.widths) - 1))
        _refuse_labels([*train, *held_out], recipe.base.labels)
        return Opened(
            train,
            held_out,
            load_part(_autoencoder(recipe.start, here), AutoencoderDC),
            None,
        )
    bundle = load_bundle(starting_point(recipe.start, here))
    _check_adapter(recipe, bundle)
    _check_grid(recipe, held_out, bundle.grid_px)
    _refuse_labels([*train, *held_out], bundle.info.labels)
    return Opened(train, held_out, bundle.autoencoder, bundle)


def open_examples(data: DataPlan, here: Path) -> tuple[list[Example], list[Example]]:
    """Training and validation tiles, patient-disjoint or refused."""
    sides = []
    for sources in (data.train, data.validation):
        opened = [
            open_source(
                source,
                root=(here / data.root).resolve(),
                mpp=data.mpp,
                classes=data.classes,
            )
            for source in sources
        ]
        sides.append([example for source in opened for example in source])
    for name, side in zip(("training", "validation"), sides, strict=True):
        if not side:
            raise BadRecipe("[data]", [f"its {name} sources hold no tile"])
    refuse_leaks(sides[0], sides[1])
    return sides[0], sides[1]


def _autoencoder(start: str, here: Path) -> Path:
    return starting_point(start, here, part="autoencoder")


def _check_detector(
    recipe: DetectorRecipe, train: Sequence[Example], held_out: Sequence[Example]
) -> None:
    bare = sum(each.nuclei is None for each in [*train, *held_out])
    if bare:
        raise BadRecipe(
            recipe.task,
            [
                f"{bare} of its tiles have no nuclei; name their points, or prepare the set "
                "with nuclei"
            ],
        )
    _refuse_small(
        recipe.task,
        [*train, *held_out],
        recipe.data.crop,
        "data.crop",
    )
    patients = {each.tile.ref.patient for each in train}
    if patients <= patients_aside(sorted(patients), recipe.model.aside):
        problem = (
            f"model.aside {recipe.model.aside:g} leaves none of {len(patients)} "
            "patients to learn from"
        )
        raise BadRecipe(recipe.task, [problem])


def smallest_batch(recipe: TrainRecipe | EncoderRecipe | StableRecipe) -> int | None:
    """Items of the smallest batch of a task whose batches can be cut."""
    if not isinstance(recipe, DiffusionRecipe | StableRecipe):
        return None
    plan = recipe.conditions
    family = FAMILIES["stable-diffusion" if isinstance(recipe, StableRecipe) else "compact"]
    drawn = [side for side, share in zip(plan.crops, plan.crop_shares, strict=True) if share]
    return min(items_of(plan, recipe.loop, side, family=family) for side in drawn)


def _check_stable(
    recipe: StableRecipe,
    here: Path,
    train: Sequence[Example],
    held_out: Sequence[Example],
) -> Opened:
    """What costs little first: a base is gigabytes."""
    prompts_of(recipe)
    _refuse_labels([*train, *held_out], recipe.labels)
    found = sorted({each.label for each in train} - {""})
    if found and not recipe.labels and recipe.prompts.uses_label:
        problem = (
            "the template names the label, but labels is empty; the tiles have "
            f"{', '.join(found[:8])}"
        )
        raise BadRecipe("prompts", [problem])
    if recipe.rare_labels.table:
        read_patient_traits(here / recipe.rare_labels.table)
    train = balance_examples(train, recipe.rare_labels)
    bundle = stable_bundle(recipe, here, train)
    _check_layers(
        recipe.task,
        recipe.adapter.layers,
        bundle,
        recipe.base,
    )
    _check_grid(recipe, held_out, bundle.grid_px)
    return Opened(
        list(train),
        list(held_out),
        bundle.autoencoder,
        bundle,
    )


def _check_conditions(recipe: DiffusionRecipe | StableRecipe, train: Sequence[Example]) -> None:
    """Refuse nuclei that a base would not be told of as they are, and crops that no tile can
    give.
    """
    conditions = recipe.conditions
    problems = []
    undefined = sum(
        (each.nuclei.class_ids == ANY_CLASS).any() for each in train if each.nuclei is not None
    )
    if undefined and not conditions.drop_classes:
        problems.append(
            f"{undefined} tiles hold nuclei of class any; map them to kinds, or set "
            "conditions.drop_classes"
        )
    if unknown := sorted(conditions.nucleus_weights.keys() - set(recipe.data.classes)):
        problems.append(
            f"conditions.nucleus_weights names {', '.join(unknown)}, not in data.classes"
        )
    drawn = [
        side
        for side, share in zip(conditions.crops, conditions.crop_shares, strict=True)
        if share > 0
    ]
    if conditions.longest > 1:
        _check_shapes(recipe, train, drawn)
        drawn = []
    # a view is a little smaller than its tile
    sides = [
        min(
            view_sides(
                each.tile.size,
                index,
                recipe.data.views,
                whole=recipe.data.whole,
            )
        )
        for index, each in enumerate(train)
    ]
    small = [each for each, side in zip(train, sides, strict=True) if side < min(drawn, default=0)]
    if small and drawn:
        problems.append(
            f"{_told(small, train)} give no crop of {min(drawn)} px, the least of crops"
        )
    largest = max(side for each, side in zip(train, sides, strict=True) if each.share)
    if too_large := sorted({side for side in drawn if side > largest}):
        named = ", ".join(map(str, too_large))
        problems.append(
            f"conditions.crops names {named}, but the views of the largest tile are {largest} px"
        )
    if problems:
        raise BadRecipe(recipe.task, problems)


def _check_shapes(
    recipe: DiffusionRecipe | StableRecipe, train: Sequence[Example], sides: Sequence[int]
) -> None:
    """Refuse tiles that can be cut to no shape: as views they are up to a latent cell smaller."""
    lost = 0 if recipe.data.whole else FACTOR
    sizes = [
        tuple(max((side - lost) // FACTOR * FACTOR, 1) for side in each.tile.size) for each in train
    ]
    names = [each.tile.ref.slide for each in train]
    for side in sides:
        fill_buckets(
            [(width, height) for width, height in sizes],
            area=side * side,
            multiple=FACTOR,
            longest=recipe.conditions.longest,
            names=names,
        )


def _check_adapter(recipe: DiffusionRecipe, bundle: Bundle) -> None:
    """Refuse an adapter that this base would learn amiss, or not at all."""
    info = bundle.info
    data = recipe.data
    problems = []
    if data.classes != info.classes:
        problems.append(
            f"data.classes is {', '.join(data.classes)}, but the base {recipe.start} was "
            "trained with "
            f"{', '.join(info.classes)}, in this order"
        )
    if recipe.adapter.guided.classes and not info.any_class:
        problems.append(
            "adapter.guided.classes needs a base trained with drop_classes, and "
            f"{recipe.start} is none"
        )
    if problems:
        raise BadRecipe(recipe.task, problems)
    _check_layers(
        recipe.task,
        recipe.adapter.layers,
        bundle,
        recipe.start,
    )
    if not abs(math.log(data.mpp / info.mpp)) <= math.log(1 + info.mpp_tolerance):
        raise ScaleMismatch(data.mpp, info.mpp, info.mpp_tolerance).of("data.mpp")


def _check_layers(
    task: str,
    targets: Sequence[str],
    bundle: Bundle,
    base: str,
) -> None:
    """Refuse targets that name no layer, or what can wear no adapter."""
    layers = {
        name: isinstance(module, nn.Linear | nn.Conv2d)
        for name, module in bundle.unet.named_modules()
    }
    problems = []
    for target in targets:
        found = [fits for name, fits in layers.items() if f".{name}".endswith(f".{target}")]
        if not found or not all(found):
            problems.append(f"adapter.targets names {target}, which is no layer of the base {base}")
    if problems:
        raise BadRecipe(task, problems)


def _refuse_labels(examples: Sequence[Example], labels: Sequence[str]) -> None:
    """Refuse a tile's label that a base with labels does not list; one without is told of none."""
    for each in examples:
        if labels and each.label and each.label not in labels:
            raise UnknownLabel(each.label, labels).of(each.tile.ref.slide)


def _check_grid(
    recipe: DiffusionRecipe | StableRecipe, held_out: Sequence[Example], grid_px: int
) -> None:
    """Refuse crops that are not whole on the base's coarsest scale, and tiles too small to be
    measured.
    """
    if off := [side for side in recipe.conditions.crops if side % grid_px]:
        problem = f"conditions.crops names {', '.join(map(str, off))}, not multiples of {grid_px}"
        raise BadRecipe(recipe.task, [f"{problem}, the base's coarsest cell in px"])
    _refuse_small(
        recipe.task,
        held_out,
        max(LEAST_PROBE, grid_px),
        "the least that is measured",
    )


def _refuse_small(
    task: str,
    examples: Sequence[Example],
    least: int,
    what: str,
) -> None:
    small = [each for each in examples if min(each.tile.size) < least]
    if small:
        raise BadRecipe(task, [f"{_told(small, examples)} are smaller than {least} px ({what})"])


def _told(few: Sequence[Example], many: Sequence[Example]) -> str:
    """How many tiles, and the first one's name and size."""
    width, height = few[0].tile.size
    return (
        f"{len(few)} of {len(many)} tiles, first {few[0].tile.ref.slide} of {width} x {height} px,"
    )
