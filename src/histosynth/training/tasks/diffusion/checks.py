"""Checks of tiles and recipes that the base and both adapter tasks share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ....core.errors import BadRecipe, UnknownLabel
from ....core.nuclei import ANY_CLASS
from ....model.autoencoder import FACTOR
from ....model.bundle import Bundle
from ...data.buckets import fill_buckets
from ...data.sources import Example
from ...data.views import view_sides
from ...recipes.data import DataPlan
from ...recipes.diffusion import DiffusionPlan
from ..tile_checks import MIN_PROBE_PX, count_and_first, refuse_small_tiles


def check_conditions(
    task: str,
    conditions: DiffusionPlan,
    data: DataPlan,
    train: Sequence[Example],
) -> None:
    """Refuse nuclei without a class that the base does not learn, and crops that no tile can give.

    Raises:
        BadRecipe: with all problems.
    """
    problems = [
        *_class_problems(conditions, data, train),
        *_crop_problems(conditions, data, train),
    ]
    if problems:
        raise BadRecipe(task, problems)


def _class_problems(
    conditions: DiffusionPlan,
    data: DataPlan,
    train: Sequence[Example],
) -> list[str]:
    problems = []
    without_class = 0
    for example in train:
        if example.nuclei is not None and (example.nuclei.class_ids == ANY_CLASS).any():
            without_class += 1
    if without_class and not conditions.drop_classes:
        problems.append(
            f"{without_class} tiles hold nuclei of class any; map them to classes, or set "
            "conditions.drop_classes"
        )
    unknown = sorted(conditions.nucleus_weights.keys() - set(data.classes))
    if unknown:
        named = ", ".join(unknown)
        problems.append(f"conditions.nucleus_weights names {named}, not in data.classes")
    return problems


def _crop_problems(
    conditions: DiffusionPlan,
    data: DataPlan,
    train: Sequence[Example],
) -> list[str]:
    crops = conditions.drawn_crops()
    if conditions.longest > 1:
        _refuse_unbucketed(
            conditions,
            data,
            train,
            crops,
        )
        return []
    # a view is a little smaller than its tile
    sides = [_smallest_view_side(example, index, data) for index, example in enumerate(train)]
    problems = []
    smallest_crop = min(crops)
    small = [example for example, side in zip(train, sides, strict=True) if side < smallest_crop]
    if small:
        counted = count_and_first(small, train)
        problems.append(f"{counted} give no crop of {smallest_crop} px, the least of crops")
    largest = max(side for example, side in zip(train, sides, strict=True) if example.share)
    too_large = sorted({crop for crop in crops if crop > largest})
    if too_large:
        named = ", ".join(map(str, too_large))
        problems.append(
            f"conditions.crops names {named}, but the views of the largest tile are {largest} px"
        )
    return problems


def _smallest_view_side(example: Example, index: int, data: DataPlan) -> int:
    return min(
        view_sides(
            example.tile.size,
            index,
            data.views,
            whole=data.whole,
        )
    )


def _refuse_unbucketed(
    conditions: DiffusionPlan,
    data: DataPlan,
    train: Sequence[Example],
    crops: Sequence[int],
) -> None:
    """Refuse tiles that can be cut to no shape: as views they are up to a latent cell smaller."""
    lost_px = 0 if data.whole else FACTOR
    sizes = []
    for example in train:
        width, height = example.tile.size
        sizes.append((_view_length(width, lost_px), _view_length(height, lost_px)))
    slides = [example.tile.ref.slide for example in train]
    for crop in crops:
        fill_buckets(
            sizes,
            area=crop * crop,
            multiple=FACTOR,
            longest=conditions.longest,
            names=slides,
        )


def _view_length(length: int, lost_px: int) -> int:
    """Side of a view of a tile with this side, in whole latent cells, at least 1 px."""
    return max((length - lost_px) // FACTOR * FACTOR, 1)


def refuse_targets(
    task: str,
    targets: Sequence[str],
    bundle: Bundle,
    base: str,
) -> None:
    """Refuse an adapter's targets that name no layer, or layers that cannot have an adapter.

    Args:
        task: of the recipe, for the message.
        targets: ends of layer names.
        bundle: with the base.
        base: its name in the recipe, for the message.
    """
    takes_adapter = {
        name: isinstance(module, nn.Linear | nn.Conv2d)
        for name, module in bundle.unet.named_modules()
    }
    problems = []
    for target in targets:
        found = [fits for name, fits in takes_adapter.items() if f".{name}".endswith(f".{target}")]
        if not found or not all(found):
            problems.append(f"adapter.targets names {target}, which is no layer of the base {base}")
    if problems:
        raise BadRecipe(task, problems)


def refuse_unknown_labels(examples: Sequence[Example], labels: Sequence[str]) -> None:
    """Refuse a tile's label that the base does not list. A base without labels ignores them."""
    if not labels:
        return
    for example in examples:
        if example.label and example.label not in labels:
            raise UnknownLabel(example.label, labels).of(example.tile.ref.slide)


def refuse_off_grid(
    task: str,
    conditions: DiffusionPlan,
    held_out: Sequence[Example],
    grid_px: int,
) -> None:
    """Refuse crops that are not whole on the base's coarsest scale, and tiles too small to be
    measured.
    """
    off_grid = [side for side in conditions.crops if side % grid_px]
    if off_grid:
        named = ", ".join(map(str, off_grid))
        problem = f"conditions.crops names {named}, not multiples of {grid_px}"
        raise BadRecipe(task, [f"{problem}, the base's coarsest cell in px"])
    min_px = max(MIN_PROBE_PX, grid_px)
    refuse_small_tiles(
        task,
        held_out,
        min_px,
        "the least that is measured",
    )
