"""An adapter that a run begins with, in place of a new one: `adapter.start`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ....core.errors import BadRecipe
from ....core.shipped import SHIPPED_BUNDLES
from ....core.store import digest, sha256_of
from ....model.adapters import (
    ADAPTER_FILE,
    AdapterInfo,
    adapter_sha256,
    adapter_weights,
    base_sha256,
    read_adapter,
    remove_adapters,
)
from ....model.bundle import Bundle
from ....model.structure import StructureEncoder
from ...recipes.adapter_options import AdapterPlan
from ...recipes.diffusion import AdapterRecipe


@dataclass(frozen=True, eq=False)
class AdapterStart:
    """What a run begins with.

    Attributes:
        info: of the adapter.
        sha256: of the adapter's file and its structure encoder.
        weights: of the adapter, by their names in the base.
        encoder: its own structure encoder; None: it has none.
        weights_sha256: of both, as `FewSteps` names a teacher.
        few_steps: weights of the adapter of few steps that a run begins with on this one; none: it
            begins with a new one.
    """

    info: AdapterInfo
    sha256: str
    weights: Mapping[str, Tensor]
    encoder: StructureEncoder | None
    weights_sha256: str
    few_steps: Mapping[str, Tensor] = field(default_factory=dict)


def adapter_start_folder(plan: AdapterPlan, task: str, base_folder: Path) -> Path:
    """Folder of the adapter that `adapter.start` names."""
    if plan.start in SHIPPED_BUNDLES:
        return SHIPPED_BUNDLES[plan.start] / "adapters" / task
    return base_folder / plan.start


def open_adapter_start(
    recipe: AdapterRecipe,
    bundle: Bundle,
    base_folder: Path,
) -> AdapterStart | None:
    """Open the adapter that a recipe begins with; None: it begins with a new one.

    The bundle is as it was before afterwards.

    Raises:
        BadRecipe: the adapter is of another name, rank or layers, or has a structure encoder that
            the recipe does not train.
        BadWeights, AdapterMismatch: see `Bundle.load_adapter`.
    """
    plan = recipe.adapter
    task = recipe.task
    if not plan.start:
        return None
    folder = adapter_start_folder(plan, task, base_folder)
    info = bundle.load_adapter(folder)
    weights = adapter_weights(bundle.unet, info.name)
    encoder = bundle.structures.pop(info.name, None)
    remove_adapters(bundle.unet)
    del bundle.adapters[info.name]
    problems = [
        *_other_adapter(plan, task, info),
        *_other_encoder(plan, encoder),
    ]
    if problems:
        raise BadRecipe(task, problems)
    facts = [sha256_of(folder / ADAPTER_FILE), "" if encoder is None else base_sha256(encoder)]
    few_steps: Mapping[str, Tensor] = {}
    if plan.few_steps.start:
        few_steps_folder = base_folder / plan.few_steps.start
        few_steps = _few_steps_weights(recipe, bundle, few_steps_folder)
        facts.append(sha256_of(few_steps_folder / ADAPTER_FILE))
    return AdapterStart(
        info,
        digest(facts),
        weights,
        encoder,
        adapter_sha256(weights, encoder),
        few_steps,
    )


def _few_steps_weights(
    recipe: AdapterRecipe,
    bundle: Bundle,
    folder: Path,
) -> dict[str, Tensor]:
    """Weights of an adapter of few steps, by their names in the base.

    Raises:
        BadRecipe: it is none, or has another rank or other layers.
    """
    plan = recipe.adapter
    info, tensors = read_adapter(folder / ADAPTER_FILE)
    problems = [
        problem.replace("adapter.start", "adapter.few_steps.start")
        for problem in _other_shape(plan, info)
    ]
    if info.few_steps is None:
        problems.append(f"adapter.few_steps.start is the adapter {info.name}, which takes many")
    if problems:
        raise BadRecipe(recipe.task, problems)
    prefix = bundle.family.adapter_prefix
    return {name.removeprefix(prefix): value.float() for name, value in tensors.items()}


def _other_adapter(plan: AdapterPlan, task: str, info: AdapterInfo) -> list[str]:
    """Problems of an adapter whose name, rank, alpha or layers are not the recipe's."""
    problems = []
    if info.name != task:
        problems.append(f"adapter.start is an adapter named {info.name}, not {task}")
    if plan.few_steps:  # a new adapter on that one, of any shape
        return problems
    return problems + _other_shape(plan, info)


def _other_shape(plan: AdapterPlan, info: AdapterInfo) -> list[str]:
    problems = []
    for name, own, found in (
        ("rank", plan.rank, info.rank),
        ("alpha", plan.alpha, info.alpha),
    ):
        if own != found:
            problems.append(f"adapter.{name} is {own:g}, but that of adapter.start {found:g}")
    if set(plan.layers) != set(info.targets):
        layers = ", ".join(info.targets)
        problems.append(f"adapter.targets must be those of adapter.start: {layers}")
    return problems


def _other_encoder(plan: AdapterPlan, encoder: StructureEncoder | None) -> list[str]:
    """Problems of an adapter with a structure encoder that would be left behind."""
    if encoder is None:
        return []
    if encoder.config.shapes and not plan.shapes:
        return ["adapter.start follows sizes of nuclei: set adapter.shapes to true"]
    if not plan.shapes and not plan.structure:
        return ["adapter.start has a structure encoder of its own: set adapter.structure to true"]
    return []
