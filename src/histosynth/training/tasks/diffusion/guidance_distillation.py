"""Guidance distilled into an adapter: its target is the base's own output under guidance.

Sampling with such an adapter needs one forward pass per step where guidance needs two or three
(Meng et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ....model.adapters import set_active_adapter
from ....model.autoencoder import FACTOR
from ....model.bundle import Bundle
from ....model.structure import NUCLEI_CELL, StructureMaps
from ...recipes.adapter_options import GuidedPlan

_NEAR = 0.05
"""Splat of nuclei, averaged over cells, from which on a cell is counted as near to them."""
_LEAST = 1e-6


@torch.no_grad()
def guided_answer(
    bundle: Bundle,
    adapter: str,
    maps: StructureMaps,
    *,
    noisy: Tensor,
    times: Tensor,
    style: Tensor,
    plan: GuidedPlan,
) -> Tensor:
    """The bare base's output for `noisy`, moved away from its output under fewer conditions.

    v + a (v - v_without_nuclei) + b (v - v_without_classes), where the second is for the same
    nuclei; a may differ by class, around the nuclei of each. Only for items with nuclei whose time
    lies within the span; the others get v.

    Args:
        bundle: the networks; the adapter is inactive inside and active again afterwards.
        adapter: its name.
        maps: conditions, (B).
        noisy: (B, C, h, w).
        times: (B,) in [0, 1].
        style: (B, S).
        plan: strengths a and b, and the span of times.

    Returns:
        (B, C, h, w) float32, in the network's own units.
    """
    change, conditional = _guidance(
        bundle,
        adapter,
        maps,
        noisy=noisy,
        times=times,
        style=style,
        plan=plan,
        everywhere=True,
    )
    return conditional + change


@torch.no_grad()
def guidance_change(
    bundle: Bundle,
    adapter: str,
    maps: StructureMaps,
    *,
    noisy: Tensor,
    times: Tensor,
    style: Tensor,
    plan: GuidedPlan,
) -> Tensor:
    """What guidance adds to the bare base's output, see `guided_answer`: 0 outside its span."""
    change, _ = _guidance(
        bundle,
        adapter,
        maps,
        noisy=noisy,
        times=times,
        style=style,
        plan=plan,
        everywhere=False,
    )
    return change


def _guidance(
    bundle: Bundle,
    adapter: str,
    maps: StructureMaps,
    *,
    noisy: Tensor,
    times: Tensor,
    style: Tensor,
    plan: GuidedPlan,
    everywhere: bool,
) -> tuple[Tensor, Tensor]:
    """What guidance adds, and the base's output: of all items, or of the guided ones alone."""
    low, high = plan.span
    in_span = (times >= low) & (times <= high)
    rows_guided = torch.nonzero((maps.has_nuclei.to(times) > 0) & in_span).flatten()
    guided_maps = maps.picked(rows_guided.to(maps.has_nuclei.device))
    branches = []
    if len(rows_guided):
        branches = _weaker_conditions(guided_maps, plan, bundle.info.classes)

    # all outputs in one pass: those under all conditions, then the guided items in each branch
    first_rows = rows_guided
    if everywhere:
        first_rows = torch.arange(len(times), device=times.device)
    elif not branches:
        return torch.zeros_like(noisy), noisy[:0]
    features = bundle.features(maps if everywhere else guided_maps)
    rows = [first_rows]
    for _, weaker_maps in branches:
        features = features.joined(bundle.features(weaker_maps))
        rows.append(rows_guided)
    all_rows = torch.cat(rows)
    set_active_adapter(bundle.unet, None)
    outputs = bundle.denoiser.predict(
        noisy[all_rows],
        times[all_rows],
        features,
        style[all_rows],
    )
    set_active_adapter(bundle.unet, adapter)

    conditional, *weaker_outputs = torch.split(outputs, [len(each) for each in rows])
    guided = conditional[rows_guided] if everywhere else conditional
    change = torch.zeros_like(noisy, dtype=conditional.dtype)
    for (strength, _), weaker in zip(branches, weaker_outputs, strict=True):
        if isinstance(strength, Tensor):
            strength = strength.to(guided)
        change[rows_guided] += strength * (guided - weaker)
    return change, conditional


def _weaker_conditions(
    maps: StructureMaps,
    plan: GuidedPlan,
    classes: Sequence[str],
) -> list[tuple[float | Tensor, StructureMaps]]:
    """Strengths that are not 0, with the conditions that each leads away from."""
    away_from_none: float | Tensor = plan.nuclei
    if any(plan.nuclei_of.values()):
        away_from_none = strength_map(maps, plan.strengths_of(classes), elsewhere=plan.nuclei)
    reductions: list[tuple[float | Tensor, Callable[[], StructureMaps]]] = [
        (away_from_none, maps.without_nuclei),
        (plan.classes, maps.without_classes),
    ]
    return [
        (strength, reduce())
        for strength, reduce in reductions
        if isinstance(strength, Tensor) or strength
    ]


def strength_map(
    maps: StructureMaps,
    strengths: Sequence[float],
    *,
    elsewhere: float,
) -> Tensor:
    """Strength of guidance at each latent cell.

    Args:
        maps: conditions, (B).
        strengths: around nuclei of each class, K.
        elsewhere: where no nucleus is within a cell or two.

    Returns:
        (B, 1, h, w) float32; between nuclei of several classes their mean, by nearness.
    """
    cells = F.avg_pool2d(maps.nuclei.float(), FACTOR // NUCLEI_CELL)
    reach = F.avg_pool2d(F.max_pool2d(cells, 3, 1, 1), 3, 1, 1)  # a nucleus is wider than a splat
    of_class = torch.tensor(strengths, device=cells.device).reshape(1, -1, 1, 1)
    share = reach / reach.sum(dim=1, keepdim=True).clamp_min(_LEAST)
    near = (reach.amax(dim=1, keepdim=True) / _NEAR).clamp(0, 1)
    mean = (share * of_class).sum(dim=1, keepdim=True)
    return elsewhere + near * (mean - elsewhere)
