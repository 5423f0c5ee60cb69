"""Guidance distilled into an adapter: the base's own answer under guidance becomes what it learns.

Sampling with such an adapter costs one pass a step where guidance costs two or three (Meng et al.
2023).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.adapters import set_active_adapter
from ..model.bundle import Bundle
from ..model.structure import StructureMaps
from .adapter_options import GuidedPlan


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
    """What the bare base says of `noisy`, pushed away from what it says when told less.

    v + a (v - v_untold) + b (v - v_kindless): away from no nuclei told, and from the same nuclei
    with no kind told. Only where nuclei are told and the time lies within the span.

    Args:
        bundle: the networks; the adapter is off inside and worn again after.
        adapter: its name.
        maps: conditions, (B).
        noisy: (B, C, h, w).
        times: (B,) in [0, 1].
        style: (B, S).
        plan: strengths a and b, and the span of times.

    Returns:
        (B, C, h, w) float32, in the network's own units.
    """
    low, high = plan.span
    pushed = torch.nonzero(
        (maps.has_nuclei.to(times) > 0) & (times >= low) & (times <= high)
    ).flatten()
    few = maps.picked(pushed.to(maps.has_nuclei.device))
    less = [(plan.nuclei, few.without_nuclei), (plan.classes, few.without_classes)]
    asked = [(strength, make()) for strength, make in less if strength and len(pushed)]

    features = bundle.features(maps)
    rows = [torch.arange(len(times), device=times.device)]
    for _, other in asked:
        features = features.joined(bundle.features(other))
        rows.append(pushed)
    every = torch.cat(rows)
    set_active_adapter(bundle.unet, None)
    said = bundle.denoiser.predict(
        noisy[every],
        times[every],
        features,
        style[every],
    )
    set_active_adapter(bundle.unet, adapter)
    answers = torch.split(said, [len(each) for each in rows])
    answer = answers[0].clone()
    for (strength, _), lesser in zip(asked, answers[1:], strict=True):
        answer[pushed] += strength * (answers[0][pushed] - lesser)
    return answer
